//! Downloads of published data sets. A file appears complete and verified, or not at all: bytes gather in
//! `<name>.gz.part`, are compared with the published hash, decompressed aside, and renamed last. A transfer resumes
//! where it broke off.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use flate2::read::MultiGzDecoder;
use kiln_files::{Disk as _, Hasher, SystemDisk, replace_file};
use ureq::{
    Agent, Body,
    http::{Response, StatusCode, header},
};

use crate::source::{IdxFile, note_path};
use crate::{DataError, Mismatch, Progress, PublishedFile, PublishedSet};

/// How often a transfer that breaks off is resumed at the same mirror.
const RESUMPTIONS: usize = 3;

/// Settings for downloads of published data sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Downloads {
    /// Mirrors that replace the data set's own: URL prefixes to which file names are appended.
    pub mirrors: Option<Vec<String>>,
    /// How long a mirror may take.
    pub timeouts: Timeouts,
}

/// How long a mirror may take before the next one is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To accept the connection, including TLS.
    pub connect: Duration,
    /// To send the first byte of the response, and between any two pieces of it.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), stall: Duration::from_secs(20) }
    }
}

/// The error of a published data set that is not on this machine and that no mirror provided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnavailableData {
    /// Name of the data set.
    pub name: String,
    /// The folder for its files.
    pub folder: PathBuf,
    /// Names of its files.
    pub files: Vec<String>,
    /// The failed attempts, in order.
    pub attempts: Vec<DownloadAttempt>,
}

/// One attempt to download a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadAttempt {
    /// The URL.
    pub url: String,
    /// Why it failed.
    pub reason: String,
}

impl std::error::Error for UnavailableData {}

impl std::fmt::Display for UnavailableData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} is not on this machine, and could not be downloaded:", self.name)?;
        for DownloadAttempt { url, reason } in &self.attempts {
            writeln!(f, "  {url}: {reason}")?;
        }
        writeln!(
            f,
            "to install it by hand, place {} (plain or .gz) in {}",
            self.files.join(", "),
            self.folder.display()
        )?;
        write!(f, "to train without a network, use configs/digits.toml or data.source=digits")
    }
}

impl Downloads {
    /// Downloads the files of `set` that are missing in `folder`. Processes that share the folder wait for each other.
    ///
    /// # Errors
    /// If no mirror provides the right bytes, or `folder` is not writable. Complete files stay.
    pub fn fetch(&self, set: &PublishedSet, folder: &Path, progress: &dyn Progress) -> Result<(), DataError> {
        fs::create_dir_all(folder).map_err(DataError::write(folder))?;
        let lock_path = folder.join(".lock");
        let lock = File::create(&lock_path).map_err(DataError::write(&lock_path))?;
        lock.lock().map_err(DataError::write(&lock_path))?;
        for file in &set.files {
            if IdxFile::find(folder, file.name).is_none() {
                self.fetch_file(set, file, folder, progress)?;
            }
        }
        Ok(())
    }

    fn fetch_file(
        &self,
        set: &PublishedSet,
        file: &PublishedFile,
        folder: &Path,
        progress: &dyn Progress,
    ) -> Result<(), DataError> {
        let part = folder.join(format!("{}.gz.part", file.name));
        let mut attempts = Vec::new();
        for mirror in self.mirrors_of(set) {
            let url = format!("{mirror}{}.gz", file.name);
            let transfer = Transfer { url: &url, file, part: &part, timeouts: self.timeouts };
            tracing::info!(url, "downloading");
            match from_mirror(&transfer, progress) {
                Ok(()) => return install(file, &part, folder),
                Err(TransferFailure::Disk(error)) => return Err(error),
                Err(TransferFailure::BrokenOff(reason) | TransferFailure::Refused(reason)) => {
                    tracing::warn!(url, reason, "download failed");
                    attempts.push(DownloadAttempt { url, reason });
                }
            }
        }
        Err(DataError::Unavailable(Box::new(UnavailableData {
            name: set.name.to_owned(),
            folder: folder.to_path_buf(),
            files: set.files.iter().map(|file| file.name.to_owned()).collect(),
            attempts,
        })))
    }

    fn mirrors_of(&self, set: &PublishedSet) -> Vec<String> {
        self.mirrors.clone().unwrap_or_else(|| set.mirrors.iter().copied().map(String::from).collect())
    }
}

/// Downloads the compressed file from one mirror, and resumes when the transfer breaks off.
fn from_mirror(transfer: &Transfer<'_>, progress: &dyn Progress) -> Result<(), TransferFailure> {
    let mut resumptions = 0;
    loop {
        let had_part = transfer.part_bytes() > 0;
        match transfer.run(progress).and_then(|()| transfer.verify()) {
            Err(TransferFailure::BrokenOff(_)) if resumptions < RESUMPTIONS => {}
            // The part was discarded: the bytes of an earlier mirror may have been wrong from the start.
            Err(TransferFailure::Refused(_))
                if had_part && transfer.part_bytes() == 0 && resumptions < RESUMPTIONS => {}
            outcome => return outcome,
        }
        resumptions += 1;
    }
}

/// Decompresses the verified `part` and gives it its final name. Unfinished files never have this name.
fn install(file: &PublishedFile, part: &Path, folder: &Path) -> Result<(), DataError> {
    let path = folder.join(file.name);
    let aside = folder.join(format!("{}.new", file.name));
    let installed = decompress(file, part, &aside).and_then(|sha256| {
        if file.sha256.is_none() {
            replace_file(&note_path(&path), sha256.as_bytes())?;
        }
        fs::rename(&aside, &path).map_err(DataError::write(&path))?;
        SystemDisk.sync_folder(folder).map_err(DataError::write(folder))
    });
    // The compressed bytes are the published ones. If they decompress to something unexpected, keeping them would only
    // repeat the failure.
    for leftover in [part, &aside] {
        let _ = fs::remove_file(leftover);
    }
    installed
}

/// Decompresses `part` into `aside`, and returns the hash of the uncompressed bytes.
fn decompress(file: &PublishedFile, part: &Path, aside: &Path) -> Result<String, DataError> {
    let compressed = File::open(part).map_err(DataError::read(part))?;
    let mut reader = MultiGzDecoder::new(io::BufReader::new(compressed)).take(file.bytes + 1);
    let mut writer = File::create(aside).map_err(DataError::write(aside))?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let count = reader.read(&mut buffer).map_err(DataError::unreadable(part))?;
        if count == 0 {
            break;
        }
        bytes += count as u64;
        hasher.update(&buffer[..count]);
        writer.write_all(&buffer[..count]).map_err(DataError::write(aside))?;
    }
    writer.sync_all().map_err(DataError::write(aside))?;
    let sha256 = hasher.finish();
    if bytes != file.bytes || file.sha256.is_some_and(|expected| expected != sha256) {
        let expected = format!("{} bytes of SHA-256 {}", file.bytes, file.sha256.unwrap_or("(any)"));
        let mismatch = Mismatch::new(part, expected, format!("{bytes} bytes of {sha256}"));
        return Err(DataError::unfit(
            "wrong checksum",
            mismatch.place("uncompressed").remedy("please report this"),
        ));
    }
    Ok(sha256)
}

/// The transfer of one file from one mirror.
struct Transfer<'a> {
    url: &'a str,
    file: &'a PublishedFile,
    /// The file for the compressed bytes until they are complete.
    part: &'a Path,
    timeouts: Timeouts,
}

/// Why a transfer failed.
#[derive(Debug)]
enum TransferFailure {
    /// The connection ended early; the transfer can resume.
    BrokenOff(String),
    /// This mirror does not have the right file, or does not respond.
    Refused(String),
    /// This machine cannot store the file; another mirror would not help.
    Disk(DataError),
}

impl Transfer<'_> {
    /// The number of bytes received so far.
    fn part_bytes(&self) -> u64 {
        self.part.metadata().map_or(0, |metadata| metadata.len())
    }

    /// Downloads the missing bytes. Afterwards the part is complete, but not verified.
    fn run(&self, progress: &dyn Progress) -> Result<(), TransferFailure> {
        if self.part_bytes() >= self.file.gzip_bytes {
            return Ok(());
        }
        progress.begin(&format!("{}.gz", self.file.name), Some(self.file.gzip_bytes));
        let outcome = self.request().and_then(|response| self.receive(response, progress));
        progress.end();
        outcome
    }

    /// Compares the complete part with the published size and hash, and removes it if they differ.
    fn verify(&self) -> Result<(), TransferFailure> {
        let (bytes, sha256) = hash_file(self.part).map_err(TransferFailure::Disk)?;
        if bytes == self.file.gzip_bytes && sha256 == self.file.gzip_sha256 {
            return Ok(());
        }
        self.discard();
        Err(TransferFailure::Refused(format!(
            "wrong bytes: expected SHA-256 {}, found {sha256} ({bytes} bytes)",
            self.file.gzip_sha256
        )))
    }

    fn discard(&self) {
        // If the part cannot be removed, the next verification finds and reports it again.
        let _ = fs::remove_file(self.part);
    }

    fn request(&self) -> Result<Response<Body>, TransferFailure> {
        let config = Agent::config_builder()
            .timeout_connect(Some(self.timeouts.connect))
            .timeout_resolve(Some(self.timeouts.connect))
            .timeout_recv_response(Some(self.timeouts.stall))
            .timeout_per_read(Some(self.timeouts.stall))
            .timeout_per_write(Some(self.timeouts.stall))
            .http_status_as_error(false)
            .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")))
            .build();
        let mut request =
            Agent::new_with_config(config).get(self.url).header(header::ACCEPT_ENCODING, "identity");
        let have = self.part_bytes();
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        request.call().map_err(|error| TransferFailure::Refused(self.reason(&error)))
    }

    fn receive(&self, response: Response<Body>, progress: &dyn Progress) -> Result<(), TransferFailure> {
        let mut received = self.start(&response)?;
        let mut part = self
            .open_part(received)
            .map_err(|error| TransferFailure::Disk(DataError::write(self.part)(error)))?;
        progress.advance(received);
        let mut reader = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = reader.read(&mut buffer).map_err(|error| self.broken_off(received, error))?;
            if count == 0 {
                break;
            }
            received += count as u64;
            if received > self.file.gzip_bytes {
                self.discard();
                return Err(TransferFailure::Refused(format!(
                    "sent more than the {} bytes of the file",
                    self.file.gzip_bytes
                )));
            }
            part.write_all(&buffer[..count])
                .map_err(|error| TransferFailure::Disk(DataError::write(self.part)(error)))?;
            progress.advance(count as u64);
        }
        if received < self.file.gzip_bytes {
            return Err(self.broken_off(received, io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }

    /// The position of the response's first byte: a server may ignore the requested range and send the whole file.
    fn start(&self, response: &Response<Body>) -> Result<u64, TransferFailure> {
        let have = self.part_bytes();
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let start = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT => {
                let range = text(header::CONTENT_RANGE).unwrap_or_default();
                if !range.starts_with(&format!("bytes {have}-")) {
                    self.discard();
                    return Err(TransferFailure::Refused(format!("sent another range: \"{range}\"")));
                }
                have
            }
            status => {
                if status == StatusCode::RANGE_NOT_SATISFIABLE {
                    self.discard();
                }
                return Err(TransferFailure::Refused(format!("responded with HTTP status {status}")));
            }
        };
        let offered = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        match offered {
            Some(offered) if start.saturating_add(offered) != self.file.gzip_bytes => {
                Err(TransferFailure::Refused(format!(
                    "offers {} bytes, expected {}",
                    start.saturating_add(offered),
                    self.file.gzip_bytes
                )))
            }
            _ => Ok(start),
        }
    }

    fn open_part(&self, start: u64) -> io::Result<File> {
        if start == 0 { File::create(self.part) } else { OpenOptions::new().append(true).open(self.part) }
    }

    /// After a stall, the next mirror resumes; any other interruption is worth another attempt at this mirror.
    fn broken_off(&self, received: u64, error: io::Error) -> TransferFailure {
        let at = format!("after {received} of {} bytes", self.file.gzip_bytes);
        match ureq::Error::from(error) {
            error @ ureq::Error::Timeout(_) => {
                TransferFailure::Refused(format!("{} {at}", self.reason(&error)))
            }
            error => TransferFailure::BrokenOff(format!("broke off {at}: {}", self.reason(&error))),
        }
    }

    fn reason(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                format!("no connection within {:?}", self.timeouts.connect)
            }
            ureq::Error::Timeout(_) => format!("no data for {:?}", self.timeouts.stall),
            ureq::Error::HostNotFound => "host not found: is this machine online?".to_owned(),
            error => error.to_string(),
        }
    }
}

/// Size and SHA-256 of the file at `path`.
fn hash_file(path: &Path) -> Result<(u64, String), DataError> {
    let mut reader = File::open(path).map_err(DataError::read(path))?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let count = reader.read(&mut buffer).map_err(DataError::unreadable(path))?;
        if count == 0 {
            return Ok((bytes, hasher.finish()));
        }
        bytes += count as u64;
        hasher.update(&buffer[..count]);
    }
}

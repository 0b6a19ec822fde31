//! Getting a published data set from its mirrors, so that a file is there whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use flate2::read::MultiGzDecoder;
use kiln_files::{Disk as _, Hasher, SystemDisk, replace_file};

use crate::{
    DataError, Progress, Published, PublishedFile,
    data_file::DataFile,
    source::note_path,
    transfer::{Failure, Transfer},
};

/// How often a transfer that breaks off is taken up again at the same mirror.
const RESUMPTIONS: usize = 3;

/// Where published data sets are downloaded from, and how long a mirror may take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Downloads {
    /// Mirrors to use instead of the data set's own: addresses that file names are appended to.
    pub mirrors: Option<Vec<String>>,
    /// How long a mirror may take.
    pub timeouts: Timeouts,
}

/// How long a mirror may take before the next one is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To be connected to, TLS included.
    pub connect: Duration,
    /// To answer, and then between any two pieces of the answer.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), stall: Duration::from_secs(20) }
    }
}

/// A published data set that is not here, and that no mirror gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// Name of the data set.
    pub name: String,
    /// The folder that it belongs in.
    pub folder: PathBuf,
    /// The files that it consists of.
    pub files: Vec<String>,
    /// What was tried, in order.
    pub attempts: Vec<Attempt>,
}

/// One attempt to download a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The address.
    pub url: String,
    /// Why it did not work.
    pub reason: String,
}

impl std::error::Error for Unavailable {}

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} is not on this machine, and could not be downloaded:", self.name)?;
        for Attempt { url, reason } in &self.attempts {
            writeln!(f, "  {url}: {reason}")?;
        }
        writeln!(
            f,
            "to put it there by hand, place {} (plain or .gz) in {}",
            self.files.join(", "),
            self.folder.display()
        )?;
        write!(f, "to train without a network, use configs/digits.toml or data.source=digits")
    }
}

impl Downloads {
    /// Downloads the files of `set` that `folder` does not have yet; processes that share the folder wait
    /// for one another.
    ///
    /// # Errors
    /// If no mirror gives the right bytes, or `folder` cannot be written to. Files that were there stay.
    pub fn fetch(&self, set: &Published, folder: &Path, progress: &dyn Progress) -> Result<(), DataError> {
        fs::create_dir_all(folder).map_err(DataError::write(folder))?;
        let lock_path = folder.join(".lock");
        let lock = File::create(&lock_path).map_err(DataError::write(&lock_path))?;
        lock.lock().map_err(DataError::write(&lock_path))?;
        for file in &set.files {
            if DataFile::find(folder, file.name).is_none() {
                self.fetch_file(set, file, folder, progress)?;
            }
        }
        Ok(())
    }

    fn fetch_file(
        &self,
        set: &Published,
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
                Err(Failure::Disk(error)) => return Err(error),
                Err(Failure::BrokenOff(reason) | Failure::Refused(reason)) => {
                    tracing::warn!(url, reason, "download failed");
                    attempts.push(Attempt { url, reason });
                }
            }
        }
        Err(DataError::Unavailable(Box::new(Unavailable {
            name: set.name.to_owned(),
            folder: folder.to_path_buf(),
            files: set.files.iter().map(|file| file.name.to_owned()).collect(),
            attempts,
        })))
    }

    fn mirrors_of(&self, set: &Published) -> Vec<String> {
        self.mirrors.clone().unwrap_or_else(|| set.mirrors.iter().copied().map(String::from).collect())
    }
}

/// Downloads the compressed file from one mirror, taking it up again when it breaks off.
fn from_mirror(transfer: &Transfer<'_>, progress: &dyn Progress) -> Result<(), Failure> {
    let mut resumptions = 0;
    loop {
        let had_part = transfer.part_bytes() > 0;
        match transfer.run(progress).and_then(|()| transfer.verify()) {
            Err(Failure::BrokenOff(_)) if resumptions < RESUMPTIONS => {}
            // What another mirror had begun may have been wrong from the start.
            Err(Failure::Refused(_))
                if had_part && transfer.part_bytes() == 0 && resumptions < RESUMPTIONS => {}
            outcome => return outcome,
        }
        resumptions += 1;
    }
}

/// Decompresses the verified `part` and gives it its final name, which no unfinished file ever has.
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
    // The compressed bytes are those that were published; should they still not decompress to what was
    // expected, keeping them would only repeat the failure.
    for leftover in [part, &aside] {
        let _ = fs::remove_file(leftover);
    }
    installed
}

/// Decompresses `part` into `aside`, and returns the hash of what it wrote there.
fn decompress(file: &PublishedFile, part: &Path, aside: &Path) -> Result<String, DataError> {
    let compressed = File::open(part).map_err(DataError::read(part))?;
    let mut reader = MultiGzDecoder::new(io::BufReader::new(compressed)).take(file.bytes + 1);
    let mut writer = File::create(aside).map_err(DataError::write(aside))?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let count = reader.read(&mut buffer).map_err(crate::data_file::read_error(part))?;
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
        let fault = crate::Fault::new(part, expected, format!("{bytes} bytes of {sha256}"));
        return Err(DataError::unfit(
            "wrong checksum",
            fault.place("uncompressed").remedy("please report this"),
        ));
    }
    Ok(sha256)
}

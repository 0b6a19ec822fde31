//! One attempt to get one file from one address, which goes on where an earlier one stopped.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

use ureq::{
    Agent, Body,
    http::{Response, StatusCode, header},
};

use kiln_files::Hasher;

use crate::{DataError, Progress, PublishedFile, Timeouts, data_file};

/// A file to get.
pub(crate) struct Transfer<'a> {
    pub(crate) url: &'a str,
    pub(crate) file: &'a PublishedFile,
    /// Where the compressed bytes gather until they are complete.
    pub(crate) part: &'a Path,
    pub(crate) timeouts: Timeouts,
}

/// Why a transfer did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection ended before the file did; it can be taken up again.
    BrokenOff(String),
    /// This mirror does not have the right file, or does not answer.
    Refused(String),
    /// This machine cannot store the file; another mirror will not help.
    Disk(DataError),
}

impl Transfer<'_> {
    /// Bytes that are here already.
    pub(crate) fn part_bytes(&self) -> u64 {
        self.part.metadata().map_or(0, |metadata| metadata.len())
    }

    /// Gets the bytes that are missing; afterwards the part is complete, though not yet verified.
    pub(crate) fn run(&self, progress: &dyn Progress) -> Result<(), Failure> {
        if self.part_bytes() >= self.file.gzip_bytes {
            return Ok(());
        }
        progress.begin(&format!("{}.gz", self.file.name), Some(self.file.gzip_bytes));
        let outcome = self.request().and_then(|response| self.receive(response, progress));
        progress.end();
        outcome
    }

    /// Compares the complete part with what was published, and removes it if it is something else.
    pub(crate) fn verify(&self) -> Result<(), Failure> {
        let (bytes, sha256) = hash_file(self.part).map_err(Failure::Disk)?;
        if bytes == self.file.gzip_bytes && sha256 == self.file.gzip_sha256 {
            return Ok(());
        }
        self.discard();
        Err(Failure::Refused(format!(
            "wrong bytes: expected SHA-256 {}, found {sha256} ({bytes} bytes)",
            self.file.gzip_sha256
        )))
    }

    fn discard(&self) {
        // A part that cannot be removed is found wrong again, and reported then.
        let _ = fs::remove_file(self.part);
    }

    fn request(&self) -> Result<Response<Body>, Failure> {
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
        request.call().map_err(|error| Failure::Refused(self.reason(&error)))
    }

    fn receive(&self, response: Response<Body>, progress: &dyn Progress) -> Result<(), Failure> {
        let mut received = self.start(&response)?;
        let mut part =
            self.open_part(received).map_err(|error| Failure::Disk(DataError::write(self.part)(error)))?;
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
                return Err(Failure::Refused(format!(
                    "sends more than the {} bytes of the file",
                    self.file.gzip_bytes
                )));
            }
            part.write_all(&buffer[..count])
                .map_err(|error| Failure::Disk(DataError::write(self.part)(error)))?;
            progress.advance(count as u64);
        }
        if received < self.file.gzip_bytes {
            return Err(self.broken_off(received, io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }

    /// The byte that the answer starts at: a server may ignore that only the rest was asked for.
    fn start(&self, response: &Response<Body>) -> Result<u64, Failure> {
        let have = self.part_bytes();
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let start = match response.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT => {
                let range = text(header::CONTENT_RANGE).unwrap_or_default();
                if !range.starts_with(&format!("bytes {have}-")) {
                    self.discard();
                    return Err(Failure::Refused(format!("answers with another range: \"{range}\"")));
                }
                have
            }
            status => {
                if status == StatusCode::RANGE_NOT_SATISFIABLE {
                    self.discard();
                }
                return Err(Failure::Refused(format!("answers with HTTP status {status}")));
            }
        };
        let offered = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        match offered {
            Some(offered) if start.saturating_add(offered) != self.file.gzip_bytes => Err(Failure::Refused(
                format!("offers {} bytes, expected {}", start.saturating_add(offered), self.file.gzip_bytes),
            )),
            _ => Ok(start),
        }
    }

    fn open_part(&self, start: u64) -> io::Result<File> {
        if start == 0 { File::create(self.part) } else { OpenOptions::new().append(true).open(self.part) }
    }

    /// A stall is the mirror's fault, and the next one goes on; anything else is worth asking again.
    fn broken_off(&self, received: u64, error: io::Error) -> Failure {
        let at = format!("after {received} of {} bytes", self.file.gzip_bytes);
        match ureq::Error::from(error) {
            error @ ureq::Error::Timeout(_) => Failure::Refused(format!("{} {at}", self.reason(&error))),
            error => Failure::BrokenOff(format!("broke off {at}: {}", self.reason(&error))),
        }
    }

    fn reason(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                format!("no connection within {:?}", self.timeouts.connect)
            }
            ureq::Error::Timeout(_) => format!("no byte for {:?}", self.timeouts.stall),
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
        let count = reader.read(&mut buffer).map_err(data_file::read_error(path))?;
        if count == 0 {
            return Ok((bytes, hasher.finish()));
        }
        bytes += count as u64;
        hasher.update(&buffer[..count]);
    }
}

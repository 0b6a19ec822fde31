//! A data file as it lies on disk: plain, or compressed with gzip.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;

use crate::{DataError, Fault};

/// Deflate never makes a file more than 1,032 times smaller (RFC 1951: 258 bytes from 2 bits).
const GREATEST_RATIO: u64 = 1032;

/// A file that is there, plain or compressed.
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    /// Name without `.gz`.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) is_gzip: bool,
    /// Size on disk.
    pub(crate) bytes: u64,
}

impl DataFile {
    /// The file `name` in `folder`, or else `name.gz`.
    pub(crate) fn find(folder: &Path, name: &str) -> Option<Self> {
        let plain = (folder.join(name), false);
        let compressed = (folder.join(format!("{name}.gz")), true);
        [plain, compressed].into_iter().find_map(|(path, is_gzip)| {
            let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some(Self { name: name.to_owned(), path, is_gzip, bytes: metadata.len() })
        })
    }

    /// A reader of the uncompressed bytes.
    pub(crate) fn open(&self) -> Result<Box<dyn Read>, DataError> {
        let file = File::open(&self.path).map_err(DataError::read(&self.path))?;
        Ok(if self.is_gzip {
            Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(1 << 16, file)))
        } else {
            Box::new(file)
        })
    }

    /// The most uncompressed bytes that the file can hold; exact for a plain file.
    pub(crate) fn most_bytes(&self) -> u64 {
        if self.is_gzip { self.bytes.saturating_mul(GREATEST_RATIO) } else { self.bytes }
    }
}

/// Tells bytes that gzip cannot make sense of from a disk that cannot be read.
pub(crate) fn read_error(path: &Path) -> impl Fn(io::Error) -> DataError + '_ {
    move |error| match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            DataError::unfit(
                "damaged gzip file",
                Fault::new(path, "a whole gzip file", error.to_string())
                    .remedy("delete it and download or copy it again"),
            )
        }
        _ => DataError::read(path)(error),
    }
}

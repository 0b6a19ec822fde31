//! A data file as it lies on disk: plain, or compressed with gzip.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use kiln_table::GZIP;

use crate::DataError;

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
        [name, &format!("{name}.gz")].into_iter().find_map(|name| Self::at(folder, name))
    }

    /// The file of this very name in `folder`.
    pub(crate) fn at(folder: &Path, name: &str) -> Option<Self> {
        Self::of(&folder.join(name))
    }

    /// The file at `path`. Whether it is compressed is told by its first bytes; where they are neither gzip's nor a
    /// plain IDX file's, by its name.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let bytes = path.metadata().ok().filter(std::fs::Metadata::is_file)?.len();
        let name = path.file_name()?.to_string_lossy();
        let plain_name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".gzip"));
        let is_gzip = match start_of(path).as_deref() {
            Some(start) if start == GZIP => true,
            Some([0, 0]) => false,
            _ => plain_name.is_some(),
        };
        Some(Self { name: plain_name.unwrap_or(&name).to_owned(), path: path.to_owned(), is_gzip, bytes })
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

/// The first two bytes.
fn start_of(path: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::with_capacity(2);
    File::open(path).ok()?.take(2).read_to_end(&mut start).ok()?;
    Some(start)
}

/// Tells bytes that gzip cannot make sense of from a disk that cannot be read.
pub(crate) fn read_error(path: &Path) -> impl Fn(io::Error) -> DataError + '_ {
    move |error| kiln_table::read_error(path, error).into()
}

//! Files that grow before they replace others.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::atomic::{aside, put_in_place};
use crate::{FileError, SystemDisk};

/// A file that grows aside and takes the place of another when it is complete: what is too long for
/// [`replace_file`](crate::replace_file). Dropped before that, it is gone.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    temporary: PathBuf,
    file: fs::File,
}

impl Replacement {
    /// Begins an empty file in the folder of `path`, which is to be replaced.
    ///
    /// # Errors
    /// When the folder is missing or may not be written to.
    pub fn begin(path: &Path) -> Result<Self, FileError> {
        let (temporary, file) =
            aside(path, |path| fs::File::create_new(path)).map_err(FileError::new("write", path))?;
        Ok(Self { path: path.to_owned(), temporary, file })
    }

    /// Where the file grows.
    #[must_use]
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Puts the file in its place, when all of it is on the disk.
    ///
    /// # Errors
    /// When the disk is full, or the file there may not be replaced; it is then untouched.
    pub fn finish(self) -> Result<(), FileError> {
        self.file.sync_all().map_err(FileError::new("write", &self.path))?;
        put_in_place(&SystemDisk, &self.temporary, &self.path)
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        // In its place, it has this name no longer.
        let _ = fs::remove_file(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_is_seen_when_it_is_complete_or_never() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.csv");
        fs::write(&path, "old").unwrap();
        let seen = || (fs::read_to_string(&path).unwrap(), fs::read_dir(folder.path()).unwrap().count());
        let mut growing = Replacement::begin(&path).unwrap();
        growing.write_all(b"new").unwrap();
        assert_eq!(seen(), ("old".to_owned(), 2));
        drop(growing);
        assert_eq!(seen(), ("old".to_owned(), 1));
        let mut growing = Replacement::begin(&path).unwrap();
        growing.write_all(b"new").unwrap();
        growing.finish().unwrap();
        assert_eq!(seen(), ("new".to_owned(), 1));
    }
}

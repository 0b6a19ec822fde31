//! What a broken file must lead to: an error that says what is wrong, where, and what to do; never a panic.

use std::{fs, path::Path};

use kiln_config::DataSource;
use kiln_data::{DataError, DataSet};

use crate::fixture::{data, load};

/// A fault in the files of a folder: what it is called, how it is made, and what the message must say.
pub(crate) type FileCase = (&'static str, fn(&Path), &'static [&'static str]);

pub(crate) fn check(name: &str, result: Result<DataSet, DataError>, fragments: &[&str]) {
    let message = match result {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{name}: loaded without an error"),
    };
    for fragment in fragments {
        assert!(message.contains(fragment), "{name}: \"{fragment}\" is not in: {message}");
    }
}

pub(crate) fn check_folders(source: DataSource, good: fn(&Path), cases: &[FileCase]) {
    for (name, break_files, fragments) in cases {
        let folder = tempfile::tempdir().unwrap();
        good(folder.path());
        break_files(folder.path());
        check(name, load(&data(source, folder.path())), fragments);
    }
}

pub(crate) fn put(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    fs::write(folder.join(name), bytes).unwrap();
}

/// Replaces a file by a compressed one.
pub(crate) fn put_gzip(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    fs::remove_file(folder.join(name)).unwrap();
    put(folder, &format!("{name}.gz"), bytes);
}

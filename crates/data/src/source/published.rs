//! A published data set: looked for on this machine, else downloaded, and compared with what was published.

use std::path::{Path, PathBuf};

use kiln_config::Data;
use kiln_files::sha256_hex;

use super::{
    Means, Place, Published, PublishedFile, Reader, Source, check_folder,
    idx::Idx,
    idx_files::{IdxFiles, find_four},
    idx_folder::{self, FILE_NAMES},
    labelled_pictures,
};
use crate::{DataError, Fault, Folders, Framing, Profile, Reading, Split, data_file::DataFile};

impl Reader for Published {
    fn origin(&self) -> Option<&'static str> {
        Some(self.origin)
    }

    fn place(&self, data: &Data, folders: &Folders) -> Place {
        let (folder, is_complete) = locate(self, data.path.as_deref(), folders);
        // Nothing is downloaded into a folder that the user names.
        let is_here = is_complete || data.path.is_some();
        let missing_bytes = if is_here { 0 } else { self.files.iter().map(|file| file.gzip_bytes).sum() };
        Place { path: Some(folder), missing_bytes }
    }

    fn read(&self, data: &Data, means: &Means<'_>) -> Result<Source, DataError> {
        let (folder, is_complete) = locate(self, data.path.as_deref(), means.folders);
        match &data.path {
            _ if is_complete => {}
            Some(path) => return Err(incomplete(path, &folder)),
            None => means.downloads.fetch(self, &folder, means.progress)?,
        }
        let files = complete_files(&folder).ok_or_else(|| incomplete(&folder, &folder))?;
        let [first, second, third, fourth] = files;
        let files = IdxFiles { train: [first, second], test: Some([third, fourth]) };
        let (mut train, mut test) = idx_folder::read_pairs(files)?;
        let read = train.iter_mut().chain(test.iter_mut().flatten());
        for (published, (file, idx)) in self.files.iter().zip(read) {
            check(self, published, file, idx)?;
            // The data set is the same under whatever names its files are found.
            published.name.clone_into(&mut file.name);
        }
        let classes = self.classes.map(str::to_owned).to_vec();
        let numbers: Vec<i64> = (0..).take(classes.len()).collect();
        idx_folder::assemble(self.name, classes, &numbers, (train, test), Reading::default())
    }

    fn labelled(&self, path: &Path, data: &Data, profile: &Profile) -> Result<Split, DataError> {
        labelled_pictures(path, Some(&self.classes), data, profile)
    }

    fn framing(&self) -> Framing {
        self.framing
    }
}

/// Looks for all files of `set` in `path`, or else in the data folder, or else in the cache; in each, a folder of the
/// set's name goes first, and torchvision's `MNIST/raw` last. Gives the folder that they are in, or belong in, and
/// whether they are.
fn locate(set: &Published, path: Option<&Path>, folders: &Folders) -> (PathBuf, bool) {
    let root = path.or(folders.data_dir.as_deref());
    let (named, others) = match root {
        Some(root) => {
            let mut others = vec![root.to_path_buf(), root.join(set.torchvision_name).join("raw")];
            others.extend(path.map(|path| path.join("raw")));
            (root.join(set.name), others)
        }
        None => (folders.cache.join(set.name), Vec::new()),
    };
    let found =
        std::iter::once(&named).chain(&others).find(|folder| complete_files(folder).is_some()).cloned();
    found.map_or((named, false), |folder| (folder, true))
}

/// The four files of `folder`, if all are there: under MNIST's own names, or else under others that are usual.
fn complete_files(folder: &Path) -> Option<[DataFile; 4]> {
    let own: Option<Vec<DataFile>> = present_files(folder).into_iter().collect();
    own.and_then(|files| files.try_into().ok()).or_else(|| find_four(folder))
}

/// The four files of `folder`, as far as they are there.
pub(crate) fn present_files(folder: &Path) -> [Option<DataFile>; 4] {
    FILE_NAMES.map(|name| DataFile::find(folder, name))
}

fn incomplete(path: &Path, named: &Path) -> DataError {
    if let Err(error) = check_folder(path, "a folder with the four IDX files") {
        return error;
    }
    let folder = if named.is_dir() { named } else { path };
    let present = present_files(folder);
    let missing: Vec<&str> = FILE_NAMES
        .into_iter()
        .zip(present)
        .filter(|(_, file)| file.is_none())
        .map(|(name, _)| name)
        .collect();
    idx_folder::missing_files(folder, &missing)
}

/// Compares a file that was read with what was published.
fn check(set: &Published, published: &PublishedFile, file: &DataFile, idx: &Idx) -> Result<(), DataError> {
    let (expected, found) = match published.sha256 {
        Some(sha256) => (sha256.to_owned(), idx.sha256.clone()),
        None if file.is_gzip => {
            let bytes = std::fs::read(&file.path).map_err(DataError::read(&file.path))?;
            (published.gzip_sha256.to_owned(), sha256_hex(&bytes))
        }
        None => {
            let Some(noted) = noted_hash(&file.path) else {
                tracing::warn!(file = %file.path.display(), "no published checksum for the uncompressed file");
                return Ok(());
            };
            (noted, idx.sha256.clone())
        }
    };
    if expected == found {
        return Ok(());
    }
    let fault = Fault::new(&file.path, format!("SHA-256 {expected}"), found);
    Err(DataError::unfit("wrong checksum", fault.remedy(format!(
        "these are not the bytes of {}: delete the file to have it downloaded again, or give a data set of \
         your own its own folder and read it with data.source=idx",
        set.name
    ))))
}

/// The file in which a download notes the hash of `path`.
pub(crate) fn note_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sha256");
    name.into()
}

fn noted_hash(path: &Path) -> Option<String> {
    Some(std::fs::read_to_string(note_path(path)).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Downloads, NoProgress,
        source::{KMNIST, MNIST, idx},
    };

    fn folders(root: &Path) -> Folders {
        Folders { data_dir: Some(root.join("data")), cache: root.join("cache") }
    }

    fn put_files(folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        for name in FILE_NAMES {
            std::fs::write(folder.join(name), b"x").unwrap();
        }
    }

    fn found(set: &Published, path: Option<&Path>, folders: &Folders) -> (bool, PathBuf) {
        let (folder, is_complete) = locate(set, path, folders);
        (is_complete, folder)
    }

    #[test]
    fn the_path_goes_before_the_data_folder_and_that_before_the_cache() {
        let root = tempfile::tempdir().unwrap();
        let folders = folders(root.path());
        let cache_only = Folders { data_dir: None, ..folders.clone() };
        assert_eq!(found(&MNIST, None, &cache_only), (false, root.path().join("cache/mnist")));
        assert_eq!(found(&MNIST, None, &folders), (false, root.path().join("data/mnist")));
        put_files(&root.path().join("data"));
        assert_eq!(found(&MNIST, None, &folders), (true, root.path().join("data")));
        put_files(&root.path().join("data/mnist"));
        assert_eq!(found(&MNIST, None, &folders), (true, root.path().join("data/mnist")));
        put_files(&root.path().join("own"));
        assert_eq!(found(&MNIST, Some(&root.path().join("own")), &folders), (true, root.path().join("own")));
    }

    #[test]
    fn nothing_is_downloaded_into_a_path_that_the_user_names() {
        let root = tempfile::tempdir().unwrap();
        let data = Data { path: Some(root.path().to_owned()), ..Data::default() };
        let means =
            Means { folders: &folders(root.path()), downloads: &Downloads::default(), progress: &NoProgress };
        let error = MNIST.read(&data, &means).unwrap_err();
        assert!(
            error.to_string().contains("no train-images-idx3-ubyte, no train-labels-idx1-ubyte"),
            "{error}"
        );
    }

    /// One uncompressed label file, which has been noted when it was downloaded.
    #[test]
    fn a_file_that_has_changed_since_it_was_downloaded_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(FILE_NAMES[1]);
        let bytes = [0, 0, 8, 1, 0, 0, 0, 2, 0, 1];
        std::fs::write(&path, bytes).unwrap();
        std::fs::write(note_path(&path), sha256_hex(&bytes)).unwrap();
        let checked = || {
            let file = DataFile::find(root.path(), FILE_NAMES[1]).unwrap();
            check(&KMNIST, &KMNIST.files[1], &file, &idx::read(&file, idx::Content::Labels).unwrap())
        };
        checked().unwrap();
        std::fs::write(&path, [0, 0, 8, 1, 0, 0, 0, 2, 1, 1]).unwrap();
        let error = checked().unwrap_err();
        assert!(error.to_string().starts_with("wrong checksum"), "{error}");
        std::fs::remove_file(note_path(&path)).unwrap();
        checked().unwrap();
    }
}

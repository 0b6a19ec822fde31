//! The IDX files of a data set, found by the names under which they are spread.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kiln_table::listed;

use super::check_folder;
use super::idx::Content;
use super::idx_folder::{FILE_NAMES, missing_files};
use super::idx_name::{Name, Role};
use crate::{DataError, Fault, data_file::DataFile};

/// Folders of a folder that are looked into.
const MOST_FOLDERS: usize = 64;

/// The files of a data set: images and labels of each split.
#[derive(Debug)]
pub(super) struct IdxFiles {
    pub(super) train: [DataFile; 2],
    pub(super) test: Option<[DataFile; 2]>,
}

/// Files of each split and content.
type Slots = BTreeMap<(Role, Content), DataFile>;

impl IdxFiles {
    /// The files at `path`: in that folder, or in one within it that alone has them. Where `path` is a file, the set that
    /// it belongs to.
    ///
    /// # Errors
    /// Where there are none, some are missing, or there are several sets.
    pub(super) fn find(path: &Path) -> Result<Self, DataError> {
        if let Some((folder, family)) = folder_and_family(path) {
            return Self::of_slots(folder, families(folder).remove(&family).unwrap_or_default());
        }
        check_folder(path, "a folder with IDX files, or one of them")?;
        let mut sets = vec![(path.to_owned(), families(path))];
        if sets[0].1.is_empty() {
            sets = inner_folders(path).into_iter().map(|inner| (inner.clone(), families(&inner))).collect();
            sets.retain(|(_, families)| !families.is_empty());
        }
        let folders: Vec<String> = sets.iter().map(|(folder, _)| folder.display().to_string()).collect();
        match (sets.pop(), sets.len()) {
            (None, _) => Err(missing_files(path, &FILE_NAMES)),
            (Some((folder, families)), 0) => Self::of_families(&folder, families),
            _ => Err(several(path, "folder", &folders)),
        }
    }

    /// The files among `families` of `folder`: MNIST's own names go first.
    fn of_families(folder: &Path, mut families: BTreeMap<String, Slots>) -> Result<Self, DataError> {
        let is_trainable = |slots: &Slots| {
            [Content::Images, Content::Labels]
                .iter()
                .all(|&content| slots.contains_key(&(Role::Train, content)))
        };
        if families.len() > 1 && !families.get("").is_some_and(is_trainable) {
            families.retain(|_, slots| is_trainable(slots));
            if families.len() > 1 {
                let names: Vec<String> = families.into_keys().collect();
                return Err(several(folder, "set", &names));
            }
        }
        let slots = families.pop_first().map(|(_, slots)| slots).unwrap_or_default();
        Self::of_slots(folder, slots)
    }

    fn of_slots(folder: &Path, mut slots: Slots) -> Result<Self, DataError> {
        let keys = [
            (Role::Train, Content::Images),
            (Role::Train, Content::Labels),
            (Role::Test, Content::Images),
            (Role::Test, Content::Labels),
        ];
        let [train_images, train_labels, test_images, test_labels] = keys.map(|key| slots.remove(&key));
        let is_missing = [&train_images, &train_labels, &test_images, &test_labels].map(Option::is_none);
        match (train_images.zip(train_labels), test_images.zip(test_labels)) {
            (Some((images, labels)), Some(test)) => {
                Ok(Self { train: [images, labels], test: Some(test.into()) })
            }
            (Some((images, labels)), None) if is_missing[2] && is_missing[3] => {
                Ok(Self { train: [images, labels], test: None })
            }
            _ => {
                let missing = FILE_NAMES.iter().zip(is_missing).filter(|(_, is_missing)| *is_missing);
                Err(missing_files(folder, &missing.map(|(name, _)| *name).collect::<Vec<_>>()))
            }
        }
    }
}

/// The test images and labels at `path`: in that folder, or in one within it. Where `path` is a file, those of the set
/// that it belongs to. None where they are not there.
///
/// # Errors
/// Where there are several sets, and none under MNIST's own names.
pub(super) fn find_test(path: &Path) -> Result<Option<[DataFile; 2]>, DataError> {
    let pairs = |folder: &Path| -> Vec<(String, [DataFile; 2])> {
        let pair = |(family, mut slots): (String, Slots)| {
            let images = slots.remove(&(Role::Test, Content::Images))?;
            Some((family, [images, slots.remove(&(Role::Test, Content::Labels))?]))
        };
        families(folder).into_iter().filter_map(pair).collect()
    };
    let mut found = pairs(path);
    if let Some((folder, family)) = folder_and_family(path) {
        found = pairs(folder);
        found.retain(|(other, _)| *other == family);
    } else if found.is_empty() {
        found = inner_folders(path).iter().flat_map(|inner| pairs(inner)).collect();
    }
    let names: Vec<String> = found.iter().map(|(family, _)| family.clone()).collect();
    if names.len() > 1 && !names[0].is_empty() {
        return Err(several(path, "set", &names));
    }
    Ok(found.into_iter().next().map(|(_, pair)| pair))
}

/// The folder of the file at `path`, and the set that its name says; none where it is no IDX file.
fn folder_and_family(path: &Path) -> Option<(&Path, String)> {
    let name = path.file_name().filter(|_| path.is_file())?;
    let Name { family, .. } = Name::read(&name.to_string_lossy())?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some((folder, family))
}

/// MNIST's four files in `folder`, under whatever names; none where one is missing.
pub(super) fn find_four(folder: &Path) -> Option<[DataFile; 4]> {
    let IdxFiles { train: [first, second], test } =
        IdxFiles::of_slots(folder, families(folder).remove("")?).ok()?;
    let [third, fourth] = test?;
    Some([first, second, third, fourth])
}

/// The IDX files in `folder`, by what stands before the split in their names. Kaggle's archives have each file in a folder
/// of its name.
fn families(folder: &Path) -> BTreeMap<String, Slots> {
    let mut found: Vec<(bool, DataFile, Name)> = Vec::new();
    for (name, path) in entries(folder) {
        let Some(read) = Name::read(&name) else { continue };
        if path.is_dir() {
            let same = |inner: &String| {
                Name::read(inner).filter(|name| (name.role, name.content) == (read.role, read.content))
            };
            let inner = entries(&path).into_iter().filter_map(|(name, _)| Some((same(&name)?, name)));
            found.extend(inner.filter_map(|(read, name)| Some((true, DataFile::at(&path, &name)?, read))));
        } else if let Some(file) = DataFile::at(folder, &name) {
            found.push((false, file, read));
        }
    }
    // MNIST's own names go before others, plain files before compressed ones.
    found.sort_by_key(|(is_within, file, _)| {
        let is_own = FILE_NAMES.contains(&file.name.as_str());
        (*is_within, !is_own, file.is_gzip, file.path.clone())
    });
    let mut families: BTreeMap<String, Slots> = BTreeMap::new();
    for (_, file, name) in found {
        families.entry(name.family).or_default().entry((name.role, name.content)).or_insert(file);
    }
    families
}

/// The folders within `folder`, and a folder `raw` in each: so torchvision lays its data sets.
fn inner_folders(folder: &Path) -> Vec<PathBuf> {
    let folders = entries(folder).into_iter().map(|(_, path)| path).filter(|path| path.is_dir());
    let with_raw = |path: PathBuf| [path.join("raw"), path];
    folders.take(MOST_FOLDERS).flat_map(with_raw).filter(|path| path.is_dir()).collect()
}

fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut entries: Vec<_> =
        entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect();
    entries.retain(|(name, _)| !name.starts_with('.') && name != "__MACOSX");
    entries.sort();
    entries
}

fn several(folder: &Path, kind: &str, names: &[String]) -> DataError {
    let found = listed(names.iter().map(String::as_str), 10);
    let fault = Fault::new(folder, format!("one {kind} of IDX files"), found)
        .remedy("point data.path at the folder of one, or at one of its files");
    DataError::unfit("several data sets", fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Path, names: &[&str]) {
        for name in names {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, [0, 0, 8, 1, 0, 0, 0, 0]).unwrap();
        }
    }

    /// The names of the files found among `names`.
    fn found(names: &[&str], path: &str) -> Result<Vec<String>, String> {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), names);
        let found = IdxFiles::find(&root.path().join(path)).map_err(|error| error.to_string())?;
        let files = found.train.into_iter().chain(found.test.into_iter().flatten());
        Ok(files.map(|file| file.path.strip_prefix(root.path()).unwrap().display().to_string()).collect())
    }

    #[test]
    fn files_are_found_where_archives_and_programs_put_them() {
        for names in [
            [
                "train-images-idx3-ubyte",
                "train-labels-idx1-ubyte",
                "t10k-images-idx3-ubyte",
                "t10k-labels-idx1-ubyte",
            ],
            [
                "train-images.idx3-ubyte",
                "train-labels.idx1-ubyte",
                "test-images.idx3-ubyte",
                "test-labels.idx1-ubyte",
            ],
            [
                "train-images.idx3-ubyte/train-images-idx3-ubyte",
                "train-labels.idx1-ubyte/train-labels-idx1-ubyte",
                "t10k-images.idx3-ubyte/t10k-images-idx3-ubyte",
                "t10k-labels.idx1-ubyte/t10k-labels-idx1-ubyte",
            ],
            [
                "MNIST/raw/train-images-idx3-ubyte.gz",
                "MNIST/raw/train-labels-idx1-ubyte.gz",
                "MNIST/raw/t10k-images-idx3-ubyte.gz",
                "MNIST/raw/t10k-labels-idx1-ubyte.gz",
            ],
        ] {
            assert_eq!(found(&names, "").unwrap(), names);
        }
        let both = ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"];
        assert_eq!(found(&both, "").unwrap(), [both[0], both[2]]);
    }

    #[test]
    fn one_of_several_sets_is_chosen_by_one_of_its_files() {
        let names = [
            "emnist-digits-train-images-idx3-ubyte",
            "emnist-digits-train-labels-idx1-ubyte",
            "emnist-letters-train-images-idx3-ubyte",
            "emnist-letters-train-labels-idx1-ubyte",
        ];
        let error = found(&names, "").unwrap_err();
        assert!(error.contains("\"emnist-digits\", \"emnist-letters\""), "{error}");
        assert_eq!(found(&names, names[3]).unwrap(), names[2..]);
    }

    #[test]
    fn test_files_of_several_sets_leave_a_choice() {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), &["a-test-images-idx3-ubyte", "a-test-labels-idx1-ubyte"]);
        let chosen = |path: &str| {
            let found = find_test(&root.path().join(path)).map_err(|error| error.to_string())?;
            Ok::<_, String>(found.map(|[images, _]| images.name))
        };
        assert_eq!(chosen(""), Ok(Some("a-test-images-idx3-ubyte".to_owned())));
        put(root.path(), &["b-test-images-idx3-ubyte", "b-test-labels-idx1-ubyte"]);
        assert!(chosen("").unwrap_err().contains("\"a\", \"b\""));
        assert_eq!(chosen("b-test-labels-idx1-ubyte"), Ok(Some("b-test-images-idx3-ubyte".to_owned())));
        put(root.path(), &["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]);
        assert_eq!(chosen(""), Ok(Some("t10k-images-idx3-ubyte".to_owned())));
        assert_eq!(chosen("nowhere"), Ok(None));
    }

    #[test]
    fn missing_files_are_named() {
        let error = found(&["train-images.idx3-ubyte", "t10k-labels.idx1-ubyte"], "").unwrap_err();
        assert!(error.contains("no train-labels-idx1-ubyte, no t10k-images-idx3-ubyte"), "{error}");
        assert!(found(&["README"], "").unwrap_err().contains("no train-images-idx3-ubyte, no train-labels"));
    }
}

//! The IDX files of a data set, plain or compressed, found under the names that archives and programs give them.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use kiln_table::{GZIP, listed};

use super::idx::IdxContent;
use super::{check_folder, start_of};
use crate::{DataError, Mismatch};

/// Deflate's greatest compression ratio (RFC 1951: 258 bytes from 2 bits).
const GREATEST_RATIO: u64 = 1032;
/// MNIST's names: training images, training labels, test images, test labels.
pub(super) const FILE_NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];
/// The most subfolders that are searched.
const MOST_FOLDERS: usize = 64;

/// An existing file, plain or compressed with gzip.
#[derive(Clone, Debug)]
pub(crate) struct IdxFile {
    /// Name without `.gz`.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) is_gzip: bool,
    /// Size on disk.
    pub(crate) bytes: u64,
}

impl IdxFile {
    /// The file `name` in `folder`, or else `name.gz`.
    pub(crate) fn find(folder: &Path, name: &str) -> Option<Self> {
        [name, &format!("{name}.gz")].into_iter().find_map(|name| Self::at(folder, name))
    }

    /// The file of exactly this name in `folder`.
    pub(crate) fn at(folder: &Path, name: &str) -> Option<Self> {
        Self::of(&folder.join(name))
    }

    /// The file at `path`. Its first bytes tell whether it is compressed; if they are neither gzip's nor IDX's, its
    /// name does.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let bytes = path.metadata().ok().filter(Metadata::is_file)?.len();
        let name = path.file_name()?.to_string_lossy();
        let plain_name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".gzip"));
        let is_gzip = match start_of(path, 2).ok().as_deref() {
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

    /// An upper bound for the uncompressed size; exact for a plain file.
    pub(crate) fn most_bytes(&self) -> u64 {
        if self.is_gzip { self.bytes.saturating_mul(GREATEST_RATIO) } else { self.bytes }
    }
}

/// The files of a data set: images and labels of each split.
#[derive(Debug)]
pub(super) struct IdxFiles {
    pub(super) train: [IdxFile; 2],
    pub(super) test: Option<[IdxFile; 2]>,
}

/// The facts in the name of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdxName {
    /// The set: the part before the split, such as `emnist-letters`; empty for MNIST's own names.
    pub(super) family: String,
    pub(super) role: SplitRole,
    pub(super) content: IdxContent,
}

/// The split of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SplitRole {
    Train,
    Test,
}

impl IdxName {
    /// Parses a name such as `emnist-letters-train-images-idx3-ubyte.gz`; `None` for other names.
    pub(super) fn read(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".gzip")).unwrap_or(&name);
        let words: Vec<&str> = name.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
        let format = words.iter().position(|word| is_format(word))?;
        let is_type = |word: &str| matches!(word, "ubyte" | "byte" | "short" | "int" | "float" | "double");
        let at = words.iter().position(|word| role(word).is_some())?;
        if !words[format + 1..].iter().all(|word| is_type(word)) || at > format {
            return None;
        }
        let content = match words[at + 1..format] {
            ["images" | "image"] => IdxContent::Images,
            ["labels" | "label"] => IdxContent::Labels,
            _ => return None,
        };
        Some(Self { family: words[..at].join("-"), role: role(words[at])?, content })
    }
}

/// Files of each split and content.
type SetFiles = BTreeMap<(SplitRole, IdxContent), IdxFile>;

impl IdxFiles {
    /// Finds the files in the folder `path`, or in its only subfolder with IDX files. If `path` is a file, finds the
    /// files of the same set. Missing files and several sets are errors.
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

    /// The files of the only set with training data among `families`; MNIST's own names are preferred.
    fn of_families(folder: &Path, mut families: BTreeMap<String, SetFiles>) -> Result<Self, DataError> {
        let is_trainable = |slots: &SetFiles| {
            [IdxContent::Images, IdxContent::Labels]
                .iter()
                .all(|&content| slots.contains_key(&(SplitRole::Train, content)))
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

    fn of_slots(folder: &Path, mut slots: SetFiles) -> Result<Self, DataError> {
        let keys = [
            (SplitRole::Train, IdxContent::Images),
            (SplitRole::Train, IdxContent::Labels),
            (SplitRole::Test, IdxContent::Images),
            (SplitRole::Test, IdxContent::Labels),
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

/// The test images and labels in the folder `path` or in a subfolder; if `path` is a file, those of the same set. `None` if
/// they do not exist. Several sets are an error unless one has MNIST's own names.
pub(super) fn find_test(path: &Path) -> Result<Option<[IdxFile; 2]>, DataError> {
    let pairs = |folder: &Path| -> Vec<(String, [IdxFile; 2])> {
        let pair = |(family, mut slots): (String, SetFiles)| {
            let images = slots.remove(&(SplitRole::Test, IdxContent::Images))?;
            Some((family, [images, slots.remove(&(SplitRole::Test, IdxContent::Labels))?]))
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

/// The folder of the file at `path`, and the set in its name; `None` if this is not the name of an IDX file.
fn folder_and_family(path: &Path) -> Option<(&Path, String)> {
    let name = path.file_name().filter(|_| path.is_file())?;
    let IdxName { family, .. } = IdxName::read(&name.to_string_lossy())?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some((folder, family))
}

/// MNIST's four files in `folder` under any usual names; `None` if one is missing.
pub(super) fn find_four(folder: &Path) -> Option<[IdxFile; 4]> {
    let IdxFiles { train: [first, second], test } =
        IdxFiles::of_slots(folder, families(folder).remove("")?).ok()?;
    let [third, fourth] = test?;
    Some([first, second, third, fourth])
}

/// The IDX files in `folder`, by set: the part of the name before the split. In Kaggle's archives each file is in a
/// folder of the same name.
fn families(folder: &Path) -> BTreeMap<String, SetFiles> {
    let mut found: Vec<(bool, IdxFile, IdxName)> = Vec::new();
    for (name, path) in entries(folder) {
        let Some(read) = IdxName::read(&name) else { continue };
        if path.is_dir() {
            let same = |inner: &String| {
                IdxName::read(inner).filter(|name| (name.role, name.content) == (read.role, read.content))
            };
            let inner = entries(&path).into_iter().filter_map(|(name, _)| Some((same(&name)?, name)));
            found.extend(inner.filter_map(|(read, name)| Some((true, IdxFile::at(&path, &name)?, read))));
        } else if let Some(file) = IdxFile::at(folder, &name) {
            found.push((false, file, read));
        }
    }
    // MNIST's own names are preferred to others, plain files to compressed ones.
    found.sort_by_key(|(is_within, file, _)| {
        let is_own = FILE_NAMES.contains(&file.name.as_str());
        (*is_within, !is_own, file.is_gzip, file.path.clone())
    });
    let mut families: BTreeMap<String, SetFiles> = BTreeMap::new();
    for (_, file, name) in found {
        families.entry(name.family).or_default().entry((name.role, name.content)).or_insert(file);
    }
    families
}

/// The subfolders of `folder`, each with its subfolder `raw`, where torchvision puts its files.
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

pub(super) fn missing_files(folder: &Path, missing: &[&str]) -> DataError {
    let expected = format!("{} (plain or .gz)", FILE_NAMES.join(", "));
    let mismatch = Mismatch::new(folder, expected, format!("no {}", missing.join(", no ")));
    DataError::unfit(
        "missing data",
        mismatch.remedy("put the files there, or set data.path to the folder that has them"),
    )
}

fn several(folder: &Path, kind: &str, names: &[String]) -> DataError {
    let found = listed(names.iter().map(String::as_str), 10);
    let mismatch = Mismatch::new(folder, format!("one {kind} of IDX files"), found)
        .remedy("set data.path to the folder of one of them, or to one of its files");
    DataError::unfit("several data sets", mismatch)
}

fn is_format(word: &str) -> bool {
    word.strip_prefix("idx")
        .is_some_and(|rank| rank.len() <= 1 && rank.bytes().all(|byte| byte.is_ascii_digit()))
}

fn role(word: &str) -> Option<SplitRole> {
    match word {
        "train" | "training" => Some(SplitRole::Train),
        "t10k" | "test" | "testing" => Some(SplitRole::Test),
        _ => None,
    }
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
    fn files_are_found_in_the_places_where_archives_and_programs_put_them() {
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
    fn test_files_of_several_sets_are_ambiguous() {
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

    #[test]
    fn the_name_of_a_file_gives_its_set_its_split_and_its_content() {
        let read = |name| IdxName::read(name).map(|name| (name.family, name.role, name.content));
        let some = |family: &str, role, content| Some((family.to_owned(), role, content));
        for (name, expected) in [
            ("train-images-idx3-ubyte", some("", SplitRole::Train, IdxContent::Images)),
            ("train-labels.idx1-ubyte.gz", some("", SplitRole::Train, IdxContent::Labels)),
            ("t10k-images-idx3-ubyte", some("", SplitRole::Test, IdxContent::Images)),
            ("Test-Labels-idx1-ubyte", some("", SplitRole::Test, IdxContent::Labels)),
            (
                "emnist-letters-test-images-idx3-ubyte.gz",
                some("emnist-letters", SplitRole::Test, IdxContent::Images),
            ),
            ("qmnist-train-labels-idx2-int.gz", some("qmnist", SplitRole::Train, IdxContent::Labels)),
            ("train_images.idx", some("", SplitRole::Train, IdxContent::Images)),
            ("train-images-idx3-ubyte.sha256", None),
            ("train-images.zip", None),
            ("README", None),
        ] {
            assert_eq!(read(name), expected, "{name}");
        }
    }
}

//! Published data sets: MNIST and two others in its format. They are looked for on this machine, or else downloaded, and
//! compared with the published hashes.

use std::env;
use std::path::{Path, PathBuf};

use kiln_config::Data;
use kiln_files::sha256_hex;

use super::idx::IdxArray;
use super::idx_files::{FILE_NAMES, IdxFile, IdxFiles, find_four, missing_files};
use super::{
    SourceContext, SourceData, SourceLocation, SourceReader, check_folder, idx_folder, labelled_pictures,
};
use crate::{DataError, Framing, ImageEncoding, Mismatch, Profile, Split};

/// The folders of published data sets on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFolders {
    /// The user's folder for data sets, from `KILN_DATA_DIR`; if set, it replaces the cache.
    pub data_dir: Option<PathBuf>,
    /// The cache; downloads create it.
    pub cache: PathBuf,
}

impl DataFolders {
    /// `KILN_DATA_DIR`, and `kiln` in the user's cache folder: `XDG_CACHE_HOME` or `~/.cache`,
    /// `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::from_variables(|name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let home = || variable("HOME").or_else(|| variable("USERPROFILE"));
        let cache = variable("XDG_CACHE_HOME")
            // The XDG specification: relative paths are ignored.
            .filter(|path| path.is_absolute())
            .or_else(|| if cfg!(windows) { variable("LOCALAPPDATA") } else { None })
            .or_else(|| home().map(|home| home.join(cache_in_home())))
            .unwrap_or_else(env::temp_dir);
        Self { data_dir: variable("KILN_DATA_DIR"), cache: cache.join("kiln") }
    }
}

fn cache_in_home() -> &'static str {
    if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" }
}

/// A data set that its authors have published as four IDX files.
#[derive(Clone, Copy, Debug)]
pub struct PublishedSet {
    /// Name of the source in the experiment file, and of its folder.
    pub name: &'static str,
    /// Name of its folder in torchvision.
    pub torchvision_name: &'static str,
    /// Its authors, publication and licence.
    pub origin: &'static str,
    /// Names of the ten classes.
    pub classes: [&'static str; 10],
    /// How a user's picture is fitted to the size of its images.
    pub framing: Framing,
    /// URL prefixes to which the file names are appended, in the order of attempts.
    pub mirrors: &'static [&'static str],
    /// Training images, training labels, test images, test labels.
    pub files: [PublishedFile; 4],
}

/// One file as published, compressed with gzip.
#[derive(Clone, Copy, Debug)]
pub struct PublishedFile {
    /// Name without `.gz`.
    pub name: &'static str,
    /// Size of the compressed file.
    pub gzip_bytes: u64,
    /// SHA-256 of the compressed file.
    pub gzip_sha256: &'static str,
    /// Size of the uncompressed file.
    pub bytes: u64,
    /// SHA-256 of the uncompressed file, if published. Otherwise a verified download writes it to `<name>.sha256`.
    pub sha256: Option<&'static str>,
}

impl SourceReader for PublishedSet {
    fn origin(&self) -> Option<&'static str> {
        Some(self.origin)
    }

    fn location(&self, data: &Data, folders: &DataFolders) -> SourceLocation {
        let (folder, is_complete) = locate(self, data.path.as_deref(), folders);
        // Nothing is downloaded into a folder that the user names.
        let is_here = is_complete || data.path.is_some();
        let missing_bytes = if is_here { 0 } else { self.files.iter().map(|file| file.gzip_bytes).sum() };
        SourceLocation { path: Some(folder), missing_bytes }
    }

    fn read(&self, data: &Data, context: &SourceContext<'_>) -> Result<SourceData, DataError> {
        let (folder, is_complete) = locate(self, data.path.as_deref(), context.folders);
        match &data.path {
            _ if is_complete => {}
            Some(path) => return Err(incomplete(path, &folder)),
            None => context.downloads.fetch(self, &folder, context.progress)?,
        }
        let files = complete_files(&folder).ok_or_else(|| incomplete(&folder, &folder))?;
        let [first, second, third, fourth] = files;
        let files = IdxFiles { train: [first, second], test: Some([third, fourth]) };
        let (mut train, mut test) = idx_folder::read_pairs(files)?;
        let read = train.iter_mut().chain(test.iter_mut().flatten());
        for (published, (file, idx)) in self.files.iter().zip(read) {
            check(self, published, file, idx)?;
            // The names on disk do not matter for the hash of the data set.
            published.name.clone_into(&mut file.name);
        }
        let classes = self.classes.map(str::to_owned).to_vec();
        let numbers: Vec<i64> = (0..).take(classes.len()).collect();
        idx_folder::assemble(self.name, classes, &numbers, (train, test), ImageEncoding::default())
    }

    fn labelled(&self, path: &Path, data: &Data, profile: &Profile) -> Result<Split, DataError> {
        labelled_pictures(path, Some(&self.classes), data, profile)
    }

    fn framing(&self) -> Framing {
        self.framing
    }
}

/// Looks for all files of `set` in `path`, or else in the data folder, or else in the cache: first in a subfolder of the
/// set's name, then in the folder itself, then in torchvision's `MNIST/raw`. Returns the folder of the files and true; if
/// they are missing, the folder for them and false.
fn locate(set: &PublishedSet, path: Option<&Path>, folders: &DataFolders) -> (PathBuf, bool) {
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

/// The four files of `folder`, if all exist: under MNIST's own names, or else under other usual names.
fn complete_files(folder: &Path) -> Option<[IdxFile; 4]> {
    let own: Option<Vec<IdxFile>> = present_files(folder).into_iter().collect();
    own.and_then(|files| files.try_into().ok()).or_else(|| find_four(folder))
}

/// Those of the four files that exist in `folder`, under MNIST's own names.
pub(crate) fn present_files(folder: &Path) -> [Option<IdxFile>; 4] {
    FILE_NAMES.map(|name| IdxFile::find(folder, name))
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
    missing_files(folder, &missing)
}

/// Compares the hash of a file with the published one.
fn check(
    set: &PublishedSet,
    published: &PublishedFile,
    file: &IdxFile,
    idx: &IdxArray,
) -> Result<(), DataError> {
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
    let mismatch = Mismatch::new(&file.path, format!("SHA-256 {expected}"), found);
    Err(DataError::unfit("wrong checksum", mismatch.remedy(format!(
        "these are not the bytes of {}: delete the file to download it again, or put a data set of your own \
         in another folder and read it with data.source=idx",
        set.name
    ))))
}

/// The file in which a download keeps the hash of `path`.
pub(crate) fn note_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sha256");
    name.into()
}

fn noted_hash(path: &Path) -> Option<String> {
    Some(std::fs::read_to_string(note_path(path)).ok()?.trim().to_owned())
}

const TRAIN_IMAGE_BYTES: u64 = 16 + 60_000 * 28 * 28;
const TRAIN_LABEL_BYTES: u64 = 8 + 60_000;
const TEST_IMAGE_BYTES: u64 = 16 + 10_000 * 28 * 28;
const TEST_LABEL_BYTES: u64 = 8 + 10_000;

/// Handwritten digits. Hashes of the compressed files: TensorFlow Datasets' `url_checksums/mnist.txt`.
pub(crate) const MNIST: PublishedSet = PublishedSet {
    name: "mnist",
    torchvision_name: "MNIST",
    origin: "Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits (1998), CC BY-SA 3.0",
    classes: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    framing: Framing::Handwriting,
    mirrors: &[
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ],
    files: [
        PublishedFile {
            name: FILE_NAMES[0],
            gzip_bytes: 9_912_422,
            gzip_sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            bytes: TRAIN_IMAGE_BYTES,
            sha256: Some("ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
        },
        PublishedFile {
            name: FILE_NAMES[1],
            gzip_bytes: 28_881,
            gzip_sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            bytes: TRAIN_LABEL_BYTES,
            sha256: Some("65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
        },
        PublishedFile {
            name: FILE_NAMES[2],
            gzip_bytes: 1_648_877,
            gzip_sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            bytes: TEST_IMAGE_BYTES,
            sha256: Some("0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
        },
        PublishedFile {
            name: FILE_NAMES[3],
            gzip_bytes: 4_542,
            gzip_sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            bytes: TEST_LABEL_BYTES,
            sha256: Some("ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
        },
    ],
};

/// Articles of clothing. Hashes of the compressed files: TensorFlow Datasets'
/// `url_checksums/fashion_mnist.txt`; of the uncompressed ones: several independent readers of the data set.
pub(crate) const FASHION_MNIST: PublishedSet = PublishedSet {
    name: "fashion-mnist",
    torchvision_name: "FashionMNIST",
    origin: "H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST (Zalando Research, 2017), MIT licence",
    classes: [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
    framing: Framing::Resize,
    mirrors: &[
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ],
    files: [
        PublishedFile {
            name: FILE_NAMES[0],
            gzip_bytes: 26_421_880,
            gzip_sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            bytes: TRAIN_IMAGE_BYTES,
            sha256: Some("c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
        },
        PublishedFile {
            name: FILE_NAMES[1],
            gzip_bytes: 29_515,
            gzip_sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            bytes: TRAIN_LABEL_BYTES,
            sha256: Some("bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
        },
        PublishedFile {
            name: FILE_NAMES[2],
            gzip_bytes: 4_422_102,
            gzip_sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            bytes: TEST_IMAGE_BYTES,
            sha256: Some("5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
        },
        PublishedFile {
            name: FILE_NAMES[3],
            gzip_bytes: 5_148,
            gzip_sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            bytes: TEST_LABEL_BYTES,
            sha256: Some("0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
        },
    ],
};

/// Handwritten Japanese characters. Hashes of the compressed files: TensorFlow Datasets' `url_checksums/kmnist.txt`;
/// those of the uncompressed files are not published.
pub(crate) const KMNIST: PublishedSet = PublishedSet {
    name: "kmnist",
    torchvision_name: "KMNIST",
    origin: "ROIS-DS Center for Open Data in the Humanities: KMNIST dataset (T. Clanuwat et al. 2018), CC BY-SA 4.0",
    classes: ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
    framing: Framing::Handwriting,
    mirrors: &[
        "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    ],
    files: [
        PublishedFile {
            name: FILE_NAMES[0],
            gzip_bytes: 18_165_135,
            gzip_sha256: "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            bytes: TRAIN_IMAGE_BYTES,
            sha256: None,
        },
        PublishedFile {
            name: FILE_NAMES[1],
            gzip_bytes: 29_497,
            gzip_sha256: "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            bytes: TRAIN_LABEL_BYTES,
            sha256: None,
        },
        PublishedFile {
            name: FILE_NAMES[2],
            gzip_bytes: 3_041_136,
            gzip_sha256: "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            bytes: TEST_IMAGE_BYTES,
            sha256: None,
        },
        PublishedFile {
            name: FILE_NAMES[3],
            gzip_bytes: 5_120,
            gzip_sha256: "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
            bytes: TEST_LABEL_BYTES,
            sha256: None,
        },
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::idx;
    use crate::{Downloads, NoProgress};

    fn with(variables: &'static [(&str, &str)]) -> DataFolders {
        DataFolders::from_variables(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
        })
    }

    #[test]
    fn the_cache_follows_the_xdg_folder_and_then_the_home_folder() {
        assert_eq!(with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]).cache, PathBuf::from("/x/kiln"));
        let in_home = PathBuf::from("/h").join(cache_in_home()).join("kiln");
        assert_eq!(with(&[("XDG_CACHE_HOME", "relative"), ("HOME", "/h")]).cache, in_home);
        assert_eq!(with(&[]).cache, env::temp_dir().join("kiln"));
    }

    #[test]
    fn the_data_folder_is_the_one_that_the_environment_names() {
        assert_eq!(with(&[("KILN_DATA_DIR", "/d")]).data_dir, Some(PathBuf::from("/d")));
        assert_eq!(with(&[("HOME", "/h")]).data_dir, None);
    }

    fn folders(root: &Path) -> DataFolders {
        DataFolders { data_dir: Some(root.join("data")), cache: root.join("cache") }
    }

    fn put_files(folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        for name in FILE_NAMES {
            std::fs::write(folder.join(name), b"x").unwrap();
        }
    }

    fn found(set: &PublishedSet, path: Option<&Path>, folders: &DataFolders) -> (bool, PathBuf) {
        let (folder, is_complete) = locate(set, path, folders);
        (is_complete, folder)
    }

    #[test]
    fn the_path_is_preferred_to_the_data_folder_and_the_data_folder_to_the_cache() {
        let root = tempfile::tempdir().unwrap();
        let folders = folders(root.path());
        let cache_only = DataFolders { data_dir: None, ..folders.clone() };
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
        let context = SourceContext {
            folders: &folders(root.path()),
            downloads: &Downloads::default(),
            progress: &NoProgress,
        };
        let error = MNIST.read(&data, &context).unwrap_err();
        assert!(
            error.to_string().contains("no train-images-idx3-ubyte, no train-labels-idx1-ubyte"),
            "{error}"
        );
    }

    /// An uncompressed label file whose hash was kept when it was downloaded.
    #[test]
    fn a_file_that_has_changed_since_it_was_downloaded_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(FILE_NAMES[1]);
        let bytes = [0, 0, 8, 1, 0, 0, 0, 2, 0, 1];
        std::fs::write(&path, bytes).unwrap();
        std::fs::write(note_path(&path), sha256_hex(&bytes)).unwrap();
        let checked = || {
            let file = IdxFile::find(root.path(), FILE_NAMES[1]).unwrap();
            check(&KMNIST, &KMNIST.files[1], &file, &idx::read(&file, idx::IdxContent::Labels).unwrap())
        };
        checked().unwrap();
        std::fs::write(&path, [0, 0, 8, 1, 0, 0, 0, 2, 1, 1]).unwrap();
        let error = checked().unwrap_err();
        assert!(error.to_string().starts_with("wrong checksum"), "{error}");
        std::fs::remove_file(note_path(&path)).unwrap();
        checked().unwrap();
    }
}

//! The data sets that can be downloaded: MNIST and two that took over its format.

use super::idx_folder::FILE_NAMES;
use crate::Framing;

/// A data set that its authors have published as four IDX files.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Name of the source in the experiment file, and of its folder.
    pub name: &'static str,
    /// Name of the folder in which torchvision keeps it.
    pub torchvision_name: &'static str,
    /// Who made it, where it is described, and its licence.
    pub origin: &'static str,
    /// Names of the ten classes.
    pub classes: [&'static str; 10],
    /// How a user's picture is fitted to the size of its images.
    pub framing: Framing,
    /// Addresses that the file names are appended to, in the order in which they are tried.
    pub mirrors: &'static [&'static str],
    /// Training images, training labels, test images, test labels.
    pub files: [PublishedFile; 4],
}

/// One file as it was published, compressed with gzip.
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
    /// SHA-256 of the uncompressed file, where someone has published it; else that of the file which was
    /// downloaded with the right `gzip_sha256` is noted in a file `<name>.sha256` beside it.
    pub sha256: Option<&'static str>,
}

const TRAIN_IMAGE_BYTES: u64 = 16 + 60_000 * 28 * 28;
const TRAIN_LABEL_BYTES: u64 = 8 + 60_000;
const TEST_IMAGE_BYTES: u64 = 16 + 10_000 * 28 * 28;
const TEST_LABEL_BYTES: u64 = 8 + 10_000;

/// Handwritten digits. Hashes of the compressed files: TensorFlow Datasets' `url_checksums/mnist.txt`.
pub(crate) const MNIST: Published = Published {
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
pub(crate) const FASHION_MNIST: Published = Published {
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

/// Handwritten Japanese characters. Hashes: TensorFlow Datasets' `url_checksums/kmnist.txt`, of the
/// compressed files alone; nobody seems to have published those of the uncompressed ones.
pub(crate) const KMNIST: Published = Published {
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

//! Tests of the crate from outside, and the files that they use.

#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod broken;
mod downloads;
mod images;
mod sources;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use kiln_config::{Data, DataSource, Holdout};
use kiln_data::{DataError, DataFolders, DataSet, Downloads, NoProgress};

/// The names of MNIST's files.
const FILE_NAMES: [&str; 4] = [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS];
const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// Loads without a network, on a machine without data sets.
fn load(data: &Data) -> Result<DataSet, DataError> {
    let nowhere = PathBuf::from("no-such-folder");
    let folders = DataFolders { data_dir: None, cache: nowhere };
    let offline = Downloads { mirrors: Some(Vec::new()), ..Downloads::default() };
    kiln_data::load_with(data, 42, &folders, &offline, &NoProgress)
}

/// The `[data]` section for a source at `path`, without validation data.
fn data(source: DataSource, path: impl Into<PathBuf>) -> Data {
    Data { source, path: Some(path.into()), validation: Holdout::Count(0), ..Data::default() }
}

/// An IDX file with the element type `kind`.
fn idx(kind: u8, dimensions: &[u32], values: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, dimensions.len() as u8];
    bytes.extend(dimensions.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

/// Four good IDX files: 6 training and 4 test images of 2x3 pixels, of two classes.
fn write_idx(folder: &Path) {
    fs::write(folder.join(TRAIN_IMAGES), idx(8, &[6, 2, 3], 0..36)).unwrap();
    fs::write(folder.join(TRAIN_LABELS), idx(8, &[6], [0, 1, 0, 1, 0, 1])).unwrap();
    fs::write(folder.join(TEST_IMAGES), idx(8, &[4, 2, 3], 100..124)).unwrap();
    fs::write(folder.join(TEST_LABELS), idx(8, &[4], [1, 0, 1, 0])).unwrap();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Writes a picture with a single grey level; the extension decides the format.
fn write_picture(path: &Path, side: u32, level: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image::GrayImage::from_pixel(side, side, image::Luma([level])).save(path).unwrap();
}

/// Two classes of five pictures each.
fn good_pictures(folder: &Path) {
    for class in ["cat", "dog"] {
        for number in 0..5 {
            write_picture(&folder.join(class).join(format!("{number}.png")), 4, 10 * number);
        }
    }
}

fn put(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    fs::write(folder.join(name), bytes).unwrap();
}

/// The names of the files in `folder`, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

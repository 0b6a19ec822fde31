//! The UCI optical digits, embedded: an experiment that needs no network and no files.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use kiln_config::Data;
use kiln_files::sha256_hex;

use super::{Means, Place, Reader, Source, labelled_pictures};
use crate::{
    DataError, FileRecord, Folders, Framing, Profile, Reading, Shape, Split, Ties, holdout, storage::Storage,
};

/// 1,797 lines of 64 pixels and a label; see `assets/README.md` for where it is from.
const COMPRESSED: &[u8] = include_bytes!("../../assets/digits.csv.gz");
/// Who made the images, and their licence.
const ORIGIN: &str = "E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits (UCI Machine \
    Learning Repository, 1998), CC BY 4.0, as distributed by scikit-learn";
const FILE_NAME: &str = "digits.csv";
const SIDE: usize = 8;
const PIXELS: usize = SIDE * SIDE;
/// Every pixel counts the ink in a block of 4 by 4.
const GREATEST_PIXEL: u8 = 16;
const TEST_EXAMPLES: usize = 360;

pub(super) struct Digits;

impl Reader for Digits {
    fn origin(&self) -> Option<&'static str> {
        Some(ORIGIN)
    }

    fn place(&self, _: &Data, _: &Folders) -> Place {
        Place { path: None, missing_bytes: 0 }
    }

    fn read(&self, data: &Data, _: &Means<'_>) -> Result<Source, DataError> {
        Ok(read(data.test_folds == 0))
    }

    fn labelled(&self, path: &Path, data: &Data, profile: &Profile) -> Result<Split, DataError> {
        labelled_pictures(path, None, data, profile)
    }

    fn framing(&self) -> Framing {
        Framing::Handwriting
    }
}

/// The digits, with `has_test` cut into 1,437 training and 360 test examples that are the same for every seed.
fn read(has_test: bool) -> Source {
    let text = decompress();
    let (pixels, labels) = parse(&text);
    let all = Split::new(Storage::bytes(PIXELS, pixels, GREATEST_PIXEL), labels);
    let chosen = holdout::choose(&all, TEST_EXAMPLES, 0, holdout::Choice::Test, Ties::LowestClass);
    Source {
        name: "digits".to_owned(),
        shape: Shape::Image { height: SIDE, width: SIDE, channels: 1 },
        classes: (0..10).map(|digit| digit.to_string()).collect(),
        train: if has_test { all.select(&chosen.others) } else { all.clone() },
        validation: None,
        test: has_test.then(|| all.select(&chosen.chosen)),
        files: vec![FileRecord {
            name: FILE_NAME.to_owned(),
            path: PathBuf::from(FILE_NAME),
            bytes: COMPRESSED.len() as u64,
            sha256: sha256_hex(text.as_bytes()),
        }],
        reading: Reading::default(),
        notices: Vec::new(),
        tables: None,
    }
}

fn decompress() -> String {
    let mut text = String::new();
    GzDecoder::new(COMPRESSED).read_to_string(&mut text).expect("the embedded file is whole");
    text
}

fn parse(text: &str) -> (Vec<u8>, Vec<u32>) {
    let mut pixels = Vec::new();
    let mut labels = Vec::new();
    for line in text.lines() {
        pixels.extend(
            line.split(',').map(|cell| cell.parse::<u8>().expect("the embedded file has small numbers")),
        );
        labels.push(pixels.pop().expect("the embedded file has no empty line").into());
    }
    (pixels, labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Raw;

    #[test]
    fn the_embedded_file_is_that_of_scikit_learn() {
        let source = read(true);
        let test = source.test.unwrap();
        assert_eq!((source.train.len(), test.len()), (1437, 360));
        assert_eq!(
            source.files[0].sha256,
            "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"
        );
    }

    #[test]
    fn every_class_has_its_share_of_the_test_split() {
        let source = read(true);
        let (train, test) = (source.train.counts(10), source.test.unwrap().counts(10));
        for (train, test) in train.into_iter().zip(test) {
            let exact = (train + test) as f64 * 360.0 / 1797.0;
            assert!((test as f64 - exact).abs() < 1.0, "{test} of {exact}");
        }
    }

    #[test]
    fn the_first_image_is_the_zero_that_scikit_learn_shows() {
        let text = decompress();
        let (pixels, labels) = parse(&text);
        assert_eq!(labels[..4], [0, 1, 2, 3]);
        assert_eq!(pixels[..16], [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0]);
        assert!(pixels.iter().all(|&pixel| pixel <= GREATEST_PIXEL));
        let split = Split::new(Storage::bytes(PIXELS, pixels, GREATEST_PIXEL), labels);
        assert!(matches!(split.raw(1796), Raw::Bytes(pixels) if pixels.len() == 64));
    }
}

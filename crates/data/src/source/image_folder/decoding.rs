//! The pictures of a split, decoded.

use std::path::Path;

use kiln_config::Channels;
use kiln_files::Hasher;
use kiln_table::listed;
use rayon::prelude::*;

use super::super::picture::{self, Decoded, Form, with_channels};
use super::classed::Class;
use super::entries::Entry;
use super::observed::Observed;
use super::unreadable::Unreadable;
use crate::{DataError, Fault, FileRecord, Split, storage::Storage};

/// Pictures that are decoded before any of them is put where all lie: few enough to take little memory besides.
const BLOCK: usize = 2048;

/// How pictures are decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// Height and width.
    pub(super) size: [usize; 2],
    pub(super) channels: Channels,
    /// The level of a picture of 16 bits that is white.
    pub(super) white: u16,
}

/// A split that was decoded.
#[derive(Debug)]
pub(super) struct DecodedSplit {
    /// Planes of each picture: 1 or 3.
    pub(super) channels: usize,
    pub(super) files: Vec<FileRecord>,
    pub(super) unreadable: Unreadable,
    pub(super) observed: Observed,
    /// Pictures with colour.
    pub(super) coloured: usize,
    /// The greatest level among pictures of 16 bits.
    pub(super) greatest: Option<u16>,
    pixels: Vec<u8>,
    labels: Vec<u32>,
    size: [usize; 2],
}

impl DecodedSplit {
    /// Decodes the pictures of `found` on all processor cores, in their order. Every class must be among `classes`.
    /// `role` is what the split is called.
    pub(super) fn new(
        found: &[Class],
        classes: &[String],
        wish: Wish,
        role: &str,
    ) -> Result<Self, DataError> {
        let numbers = numbers(found, classes)?;
        let form = Form { size: wish.size, with_colour: wish.channels != Channels::Grey, white: wish.white };
        let mut split = Self {
            channels: if wish.channels == Channels::Rgb { 3 } else { 1 },
            files: Vec::new(),
            unreadable: Unreadable::default(),
            observed: Observed::default(),
            coloured: 0,
            greatest: None,
            pixels: Vec::new(),
            labels: Vec::new(),
            size: wish.size,
        };
        let mut records: Vec<(u64, Hasher)> = found.iter().map(|_| (0, Hasher::default())).collect();
        let all: Vec<(usize, &Entry)> = (0..)
            .zip(found)
            .flat_map(|(at, class)| class.pictures.iter().map(move |picture| (at, picture)))
            .collect();
        for block in all.chunks(BLOCK) {
            let decoded: Vec<_> =
                block.par_iter().map(|(_, picture)| picture::decode(&picture.path, form)).collect();
            for (&(at, picture), decoded) in block.iter().zip(decoded) {
                match decoded {
                    Ok(decoded) => {
                        records[at].0 += decoded.bytes;
                        let line = format!("{} {}\n", decoded.sha256, picture.name);
                        records[at].1.update(line.as_bytes());
                        split.push(decoded, numbers[at], &picture.path);
                    }
                    Err(error) => split.unreadable.push(&picture.path, error),
                }
            }
        }
        let record = |(class, (bytes, hasher)): (&Class, (u64, Hasher))| FileRecord {
            name: format!("{role}/{}", class.name),
            path: class.path.clone(),
            bytes,
            sha256: hasher.finish(),
        };
        split.files = found.iter().zip(records).map(record).collect();
        Ok(split)
    }

    fn push(&mut self, decoded: Decoded, class: u32, path: &Path) {
        let plane = self.plane();
        let has_colour = decoded.planes.len() > plane;
        if has_colour && self.channels == 1 {
            // The first picture with colour: those before it get as many planes.
            self.pixels = self.pixels.chunks(plane).flat_map(|grey| grey.repeat(3)).collect();
            self.channels = 3;
        }
        self.coloured += usize::from(has_colour);
        self.greatest = self.greatest.max(decoded.greatest);
        self.observed.note(path, class, &decoded, plane);
        self.labels.push(class);
        if has_colour || self.channels == 1 {
            self.pixels.extend_from_slice(&decoded.planes);
        } else {
            self.pixels.extend(with_channels(decoded.planes, plane, self.channels));
        }
    }

    fn plane(&self) -> usize {
        self.size[0] * self.size[1]
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// True where a class of training pictures has none that can be read.
    pub(super) fn lacks(&self, class: usize) -> bool {
        !self.labels.contains(&(class as u32))
    }

    pub(super) fn into_split(self) -> Split {
        let features = self.channels * self.plane();
        Split::new(Storage::bytes(features, self.pixels, u8::MAX), self.labels)
    }
}

/// The number of each class of `found` among `classes`.
fn numbers(found: &[Class], classes: &[String]) -> Result<Vec<u32>, DataError> {
    let number = |class: &Class| {
        let number = classes.iter().position(|name| *name == class.name).map(|number| number as u32);
        number.ok_or_else(|| {
            let all = listed(classes.iter().map(String::as_str), 20);
            let fault = Fault::new(
                &class.path,
                format!("a class of the training data: {all}"),
                format!("{:?}", class.name),
            );
            DataError::unfit("class without training data", fault)
        })
    };
    found.iter().map(number).collect()
}

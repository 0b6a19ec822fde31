//! The pictures of a split, decoded in parallel: pixels and labels, pictures that cannot be read, and remarks about those
//! that can.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use kiln_config::{Channels, Unreadable as Policy};
use kiln_files::Hasher;
use kiln_table::{counted, escaped, listed, quoted};
use rayon::prelude::*;

use super::classes::PictureClass;
use super::entries::Entry;
use crate::source::picture::{self, DecodeOptions, DecodedPicture, with_channels};
use crate::values::Storage;
use crate::{DataError, FileRecord, Mismatch, Split};

/// Pictures per block: a whole block is decoded before it is appended, which takes additional memory.
const BLOCK: usize = 2048;
/// The most pictures that an error names.
const MOST_NAMED: usize = 20;
/// The most pictures that a notice names.
const MOST_LEFT_OUT: usize = 5;

/// How pictures are decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct PictureOptions {
    /// Height and width.
    pub(super) size: [usize; 2],
    pub(super) channels: Channels,
    /// The white level of 16-bit pictures.
    pub(super) white: u16,
}

/// The decoded pictures of a split.
#[derive(Debug)]
pub(super) struct DecodedSplit {
    /// Planes per picture: 1 or 3.
    pub(super) channels: usize,
    pub(super) files: Vec<FileRecord>,
    pub(super) unreadable: UnreadablePictures,
    pub(super) remarks: PictureRemarks,
    /// The number of pictures with colour.
    pub(super) coloured: usize,
    /// The greatest level of all 16-bit pictures.
    pub(super) greatest: Option<u16>,
    pixels: Vec<u8>,
    labels: Vec<u32>,
    size: [usize; 2],
}

impl DecodedSplit {
    /// Decodes the pictures of `found` on all processor cores; their order stays. Every class must be among `classes`.
    /// `role` is the name of the split in file records.
    pub(super) fn new(
        found: &[PictureClass],
        classes: &[String],
        options: PictureOptions,
        role: &str,
    ) -> Result<Self, DataError> {
        let numbers = numbers(found, classes)?;
        let decode_options = DecodeOptions {
            size: options.size,
            with_colour: options.channels != Channels::Grey,
            white: options.white,
        };
        let mut split = Self {
            channels: if options.channels == Channels::Rgb { 3 } else { 1 },
            files: Vec::new(),
            unreadable: UnreadablePictures::default(),
            remarks: PictureRemarks::default(),
            coloured: 0,
            greatest: None,
            pixels: Vec::new(),
            labels: Vec::new(),
            size: options.size,
        };
        let mut records: Vec<(u64, Hasher)> = found.iter().map(|_| (0, Hasher::default())).collect();
        let all: Vec<(usize, &Entry)> = (0..)
            .zip(found)
            .flat_map(|(at, class)| class.pictures.iter().map(move |picture| (at, picture)))
            .collect();
        for block in all.chunks(BLOCK) {
            let decoded: Vec<_> =
                block.par_iter().map(|(_, picture)| picture::decode(&picture.path, decode_options)).collect();
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
        let record = |(class, (bytes, hasher)): (&PictureClass, (u64, Hasher))| FileRecord {
            name: format!("{role}/{}", class.name),
            path: class.path.clone(),
            bytes,
            sha256: hasher.finish(),
        };
        split.files = found.iter().zip(records).map(record).collect();
        Ok(split)
    }

    fn push(&mut self, decoded: DecodedPicture, class: u32, path: &Path) {
        let plane = self.plane();
        let has_colour = decoded.planes.len() > plane;
        if has_colour && self.channels == 1 {
            // The first picture with colour: the pictures before it get three planes, too.
            self.pixels = self.pixels.chunks(plane).flat_map(|grey| grey.repeat(3)).collect();
            self.channels = 3;
        }
        self.coloured += usize::from(has_colour);
        self.greatest = self.greatest.max(decoded.greatest);
        self.remarks.note(path, class, &decoded, plane);
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

    /// Whether `class` has no picture.
    pub(super) fn lacks(&self, class: usize) -> bool {
        !self.labels.contains(&(class as u32))
    }

    pub(super) fn into_split(self) -> Split {
        let features = self.channels * self.plane();
        Split::new(Storage::bytes(features, self.pixels, u8::MAX), self.labels)
    }
}

/// The index in `classes` of each class of `found`.
fn numbers(found: &[PictureClass], classes: &[String]) -> Result<Vec<u32>, DataError> {
    let number = |class: &PictureClass| {
        let number = classes.iter().position(|name| *name == class.name).map(|number| number as u32);
        number.ok_or_else(|| {
            let all = listed(classes.iter().map(String::as_str), 20);
            let mismatch = Mismatch::new(
                &class.path,
                format!("a class of the training data: {all}"),
                format!("{:?}", class.name),
            );
            DataError::unfit("class without training data", mismatch)
        })
    };
    found.iter().map(number).collect()
}

/// Blank pictures and copies, for notices.
#[derive(Debug, Default)]
pub(super) struct PictureRemarks {
    blank: Vec<PathBuf>,
    /// Class and path of each picture.
    pictures: Vec<(u32, PathBuf)>,
    /// The first picture with each content, by SHA-256.
    first: HashMap<String, usize>,
    /// Pairs of a copy and the first picture with the same content.
    copies: Vec<(usize, usize)>,
}

impl PictureRemarks {
    /// Notes a picture of `class` with `plane` pixels per plane.
    pub(super) fn note(&mut self, path: &Path, class: u32, decoded: &DecodedPicture, plane: usize) {
        let is_even = |levels: &[u8]| levels.iter().all(|level| *level == levels[0]);
        if decoded.planes.chunks(plane).all(is_even) {
            self.blank.push(path.to_owned());
        }
        let at = self.pictures.len();
        self.pictures.push((class, path.to_owned()));
        let first = *self.first.entry(decoded.sha256.clone()).or_insert(at);
        if first != at {
            self.copies.push((at, first));
        }
    }

    /// Notices about the split called `role`; names are relative to `root`.
    pub(super) fn notices(&self, role: &str, root: &Path) -> Vec<String> {
        let name = |path: &PathBuf| path.strip_prefix(root).unwrap_or(path).display().to_string();
        let mut notices = Vec::new();
        if !self.blank.is_empty() {
            let blank: Vec<String> = self.blank.iter().map(name).collect();
            notices.push(format!(
                "{role} pictures with a single colour: {} of {} ({})",
                blank.len(),
                self.pictures.len(),
                listed(blank.iter().map(String::as_str), 5)
            ));
        }
        let (same, other): (Vec<_>, Vec<_>) =
            self.copies.iter().partition(|(copy, first)| self.pictures[*copy].0 == self.pictures[*first].0);
        for (copies, kind) in [(same, "in the same class"), (other, "in another class")] {
            if !copies.is_empty() {
                let pair = |&(copy, first): &(usize, usize)| {
                    format!("{} = {}", name(&self.pictures[copy].1), name(&self.pictures[first].1))
                };
                let pairs: Vec<String> = copies.iter().map(pair).collect();
                let named = listed(pairs.iter().map(String::as_str), 3);
                notices.push(format!("copies among the {role} pictures, {kind}: {} ({named})", copies.len()));
            }
        }
        notices
    }

    /// A notice about pictures that are also among the training pictures.
    pub(super) fn shared(&self, training: &Self, role: &str) -> Option<String> {
        let is_shared = |content: &&String| training.first.contains_key(*content);
        let count = self.first.keys().filter(is_shared).count();
        (count > 0)
            .then(|| format!("different {role} pictures that are also among the training pictures: {count}"))
    }
}

/// Pictures that cannot be read, each with its error.
#[derive(Debug, Default)]
pub(super) struct UnreadablePictures {
    pictures: Vec<(PathBuf, DataError)>,
}

impl UnreadablePictures {
    pub(super) fn push(&mut self, path: &Path, error: DataError) {
        self.pictures.push((path.to_owned(), error));
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.pictures.extend(other.pictures);
    }

    /// By `policy`, an error that names the pictures or a notice that they are left out. Names are relative to `root`.
    pub(super) fn into_notice_or_error(
        mut self,
        root: &Path,
        policy: Policy,
    ) -> Result<Option<String>, DataError> {
        let count = self.pictures.len();
        let name =
            |(path, _): &(PathBuf, DataError)| path.strip_prefix(root).unwrap_or(path).display().to_string();
        match policy {
            _ if count == 0 => Ok(None),
            Policy::Skip => {
                let all: Vec<String> = self.pictures.iter().map(name).collect();
                let named = listed(all.iter().map(String::as_str), MOST_LEFT_OUT);
                Ok(Some(format!("left out {} that cannot be read: {named}", counted(count, "picture"))))
            }
            Policy::Error if count == 1 => Err(or_left_out(self.pictures.remove(0).1)),
            Policy::Error => {
                let told = |picture| format!("{} ({})", quoted(&name(picture)), reason(&picture.1));
                let mut found: Vec<String> = self.pictures.iter().take(MOST_NAMED).map(told).collect();
                if count > MOST_NAMED {
                    found.push(format!("and {} more", count - MOST_NAMED));
                }
                let found = found.join(", ");
                let mismatch =
                    Mismatch::new(root, "pictures that can be read", format!("{count} that cannot: {found}"));
                let remedy = "save them again as PNG, remove them, or set data.unreadable to \"skip\" to leave them out";
                Err(DataError::unfit("unreadable pictures", mismatch.remedy(remedy)))
            }
        }
    }
}

/// The error of a single picture, with the remedy to leave it out.
fn or_left_out(mut error: DataError) -> DataError {
    if let DataError::Unfit { mismatch, .. } = &mut error {
        mismatch.remedy += ", or set data.unreadable to \"skip\" to leave it out";
    }
    error
}

fn reason(error: &DataError) -> String {
    match error {
        DataError::Unfit { mismatch, .. } => escaped(&mismatch.found),
        DataError::Read { source, .. } => source.to_string(),
        other => escaped(&other.to_string()),
    }
}

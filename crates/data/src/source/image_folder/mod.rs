//! The source `image-folder`: pictures in a folder per class, or in one folder with a table of their classes.
//!
//! This file finds the folders of the splits and puts the source together. `entries` lists a folder, `classes` finds the
//! class of every picture, and `decoding` turns pictures into pixels and remarks on them.

mod classes;
mod decoding;
mod entries;

use std::mem::take;
use std::path::{Path, PathBuf};

use kiln_config::{Channels, Data};
use kiln_table::{counted, quoted};

use self::classes::{PictureClass, SplitPictures};
use self::decoding::{DecodedSplit, PictureOptions};
use self::entries::{Entry, FolderEntries, SkippedFiles};
pub use self::entries::{PictureFiles, pictures_below};
use super::{SourceContext, SourceData, SourceReader, check_folder, labelled_pictures, path_of};
use crate::{DataError, ImageEncoding, Mismatch, Profile, Shape, Split};

const FOLDER: &str = "a folder with a folder of pictures per class";
/// The most levels of folders that contain only the data set's folder.
const MOST_WRAPPERS: usize = 4;

pub(super) struct ImageFolder;

impl SourceReader for ImageFolder {
    fn read(&self, data: &Data, _: &SourceContext<'_>) -> Result<SourceData, DataError> {
        read(data, path_of(data)?)
    }

    fn labelled(&self, path: &Path, data: &Data, profile: &Profile) -> Result<Split, DataError> {
        labelled_pictures(path, None, data, profile)
    }
}

/// Reads the pictures below `path`, see [`SplitFolders::find`] and [`SplitPictures::find`]. `data.test_path` replaces the
/// test folder.
fn read(data: &Data, path: &Path) -> Result<SourceData, DataError> {
    check_folder(path, FOLDER)?;
    let mut skipped = SkippedFiles::below(path);
    let folders = SplitFolders::find(path, &mut skipped)?;
    let mut notices = Vec::new();
    let label_column = data.label_column.to_string();
    let mut found = |folder: &Path| SplitPictures::find(folder, &label_column, &mut skipped);
    let train = found(&folders.train)?.classes(&folders.train)?;
    let classes: Vec<String> = train.iter().map(|class| class.name.clone()).collect();
    if let [class] = &classes[..] {
        let found = format!("{} alone", quoted(class));
        let mismatch = Mismatch::new(&folders.train, "at least two class folders", found);
        return Err(DataError::unfit("only one class", mismatch));
    }
    let validation = match &folders.validation {
        Some(folder) => Some(found(folder)?.classes(folder)?),
        None => None,
    };
    let test = match (&data.test_path, &folders.test) {
        (Some(folder), _) => {
            check_folder(folder, FOLDER)?;
            Some(found(folder)?.classes(folder)?)
        }
        (None, Some(folder)) => of_test_folder(found(folder)?, folder, path, &mut notices),
        (None, None) => None,
    };
    notices.extend(skipped.notices());
    decoded(data, path, &classes, [Some(train), validation, test], notices)
}

/// The classes of a test folder beside the training folder. Competitions publish test pictures without classes: these are
/// not a test split.
fn of_test_folder(
    found: SplitPictures,
    folder: &Path,
    root: &Path,
    notices: &mut Vec<String>,
) -> Option<Vec<PictureClass>> {
    match found {
        SplitPictures::Classed(classes) => Some(classes),
        SplitPictures::Unlabelled(pictures) => {
            notices.push(format!(
                "not used: {} in {} without classes, which are for `kiln predict`; test data is held out of the training \
                 pictures (data.test)",
                counted(pictures.len(), "picture"),
                quoted(&folder.strip_prefix(root).unwrap_or(folder).display().to_string())
            ));
            None
        }
    }
}

/// Decodes training, validation and test pictures.
fn decoded(
    data: &Data,
    root: &Path,
    classes: &[String],
    [train, validation, test]: [Option<Vec<PictureClass>>; 3],
    mut notices: Vec<String>,
) -> Result<SourceData, DataError> {
    let mut reading = ImageEncoding::default();
    let options =
        PictureOptions { size: data.image_size, channels: data.channels, white: reading.picture_white };
    let found = train.unwrap_or_default();
    let mut train = DecodedSplit::new(&found, classes, options, "train")?;
    if let Some(bits @ (8 | 12)) = train.greatest.map(bits) {
        reading.picture_white = (1 << bits) - 1;
        let options = PictureOptions { white: reading.picture_white, ..options };
        train = DecodedSplit::new(&found, classes, options, "train")?;
        notices.push(format!(
            "the 16-bit pictures use only {bits} bits: level {} is white",
            reading.picture_white
        ));
    }
    let channels = if train.channels == 1 { Channels::Grey } else { Channels::Rgb };
    let options = PictureOptions { channels, white: reading.picture_white, ..options };
    let of = |found: Option<Vec<PictureClass>>, role| {
        found.map(|found| DecodedSplit::new(&found, classes, options, role)).transpose()
    };
    let (mut validation, mut test) = (of(validation, "val")?, of(test, "test")?);

    let mut unreadable = take(&mut train.unreadable);
    for split in [&mut validation, &mut test].into_iter().flatten() {
        unreadable.extend(take(&mut split.unreadable));
    }
    notices.extend(unreadable.into_notice_or_error(root, data.unreadable)?);
    if let Some(class) = (0..found.len()).find(|&class| train.lacks(class)) {
        let mismatch = Mismatch::new(&found[class].path, "at least one picture that can be read", "none");
        return Err(DataError::unfit("class without pictures", mismatch));
    }
    notices.extend(observations(data, root, &train, validation.as_ref(), test.as_ref()));
    let mut files = take(&mut train.files);
    for split in [&mut test, &mut validation].into_iter().flatten() {
        files.append(&mut split.files);
    }
    let [height, width] = data.image_size;
    Ok(SourceData {
        name: "image-folder".to_owned(),
        shape: Shape::Image { height, width, channels: train.channels },
        classes: classes.to_vec(),
        train: train.into_split(),
        validation: validation.map(DecodedSplit::into_split),
        test: test.map(DecodedSplit::into_split),
        files,
        reading,
        notices,
        tables: None,
    })
}

/// The bits that levels up to `greatest` need: cameras and scanners use 8, 12 or 16.
fn bits(greatest: u16) -> u32 {
    match greatest {
        0..=255 => 8,
        256..=4095 => 12,
        _ => 16,
    }
}

fn observations(
    data: &Data,
    root: &Path,
    train: &DecodedSplit,
    validation: Option<&DecodedSplit>,
    test: Option<&DecodedSplit>,
) -> Vec<String> {
    let mut notices = Vec::new();
    if data.channels == Channels::Auto && train.coloured > 0 {
        notices.push(format!(
            "training pictures with colour: {} of {}; all pictures are read as red, green and blue \
             (data.channels = \"grey\" reads all as grey)",
            train.coloured,
            train.len()
        ));
    }
    if let Some(validation) = validation {
        notices.push(format!(
            "the validation split has its own folder, with {}: data.validation is ignored",
            counted(validation.len(), "picture")
        ));
    }
    notices.extend(train.remarks.notices("training", root));
    for (split, role) in [(validation, "validation"), (test, "test")] {
        if let Some(split) = split {
            notices.extend(split.remarks.notices(role, root));
            notices.extend(split.remarks.shared(&train.remarks, role));
        }
    }
    notices
}

/// The pictures below `path` as a split of the classes of `profile`.
pub(super) fn labelled(path: &Path, data: &Data, profile: &Profile) -> Result<Split, DataError> {
    let (Some(size), Some(channels)) = (profile.image_size(), profile.channels()) else {
        return Err(super::not_pictures(path));
    };
    check_folder(path, "a folder with IDX test files or with a folder of pictures per class")?;
    let mut skipped = SkippedFiles::below(path);
    let folder = SplitFolders::find(path, &mut skipped)?;
    let folder = folder.test.unwrap_or(folder.train);
    let found =
        SplitPictures::find(&folder, &data.label_column.to_string(), &mut skipped)?.classes(&folder)?;
    let channels = if channels == 1 { Channels::Grey } else { Channels::Rgb };
    let options = PictureOptions { size, channels, white: profile.reading.picture_white };
    let mut split = DecodedSplit::new(&found, &profile.classes, options, "test")?;
    let left_out = take(&mut split.unreadable).into_notice_or_error(path, data.unreadable)?;
    for notice in skipped.notices().into_iter().chain(left_out) {
        tracing::warn!(notice, "other pictures");
    }
    Ok(split.into_split().at_levels_of(profile))
}

/// The folders of the splits.
#[derive(Debug, PartialEq, Eq)]
struct SplitFolders {
    train: PathBuf,
    validation: Option<PathBuf>,
    test: Option<PathBuf>,
}

impl SplitFolders {
    /// Finds the splits below `path`: folders `train`, `val` and `test` or other usual names; otherwise everything is for
    /// training. A single folder that contains everything is opened first.
    fn find(path: &Path, skipped: &mut SkippedFiles) -> Result<Self, DataError> {
        let mut path = path.to_owned();
        for _ in 0..MOST_WRAPPERS {
            let entries = FolderEntries::read(&path, skipped)?;
            if let Some(folders) = Self::of_names(&path, &entries, skipped)? {
                return Ok(folders);
            }
            match wrapped(&entries, skipped)? {
                Some(inner) => path = inner,
                None => break,
            }
        }
        Ok(Self { train: path, validation: None, test: None })
    }

    /// The splits among the `entries` of `path`; `None` unless there is a `train` and at least one other split.
    fn of_names(
        path: &Path,
        entries: &FolderEntries,
        skipped: &mut SkippedFiles,
    ) -> Result<Option<Self>, DataError> {
        let mut found: [Option<&Entry>; 3] = [None; 3];
        let mut others = Vec::new();
        for folder in &entries.folders {
            let Some(role) = role(&folder.name) else {
                others.push(folder);
                continue;
            };
            if let Some(before) = found[role].replace(folder) {
                let both = format!("both \"{}\" and \"{}\"", before.name, folder.name);
                let mismatch = Mismatch::new(path, "one folder for each of train, val and test", both)
                    .remedy("remove one of them, or merge them");
                return Err(DataError::unfit("two folders of one split", mismatch));
            }
        }
        let [Some(train), validation, test] = found else { return Ok(None) };
        if validation.is_none() && test.is_none() {
            return Ok(None);
        }
        for folder in others {
            skipped.note(&folder.path);
        }
        skipped.note_all(&entries.pictures);
        let path_of = |entry: Option<&Entry>| entry.map(|entry| entry.path.clone());
        Ok(Some(Self { train: train.path.clone(), validation: path_of(validation), test: path_of(test) }))
    }
}

/// 0 for training, 1 for validation, 2 for test.
fn role(name: &str) -> Option<usize> {
    match &*name.to_lowercase() {
        "train" | "training" => Some(0),
        "val" | "valid" | "validation" => Some(1),
        "test" | "testing" => Some(2),
        _ => None,
    }
}

/// The only folder among `entries`, if it contains the whole data set: it has subfolders, or pictures and a table of
/// their classes in or beside it.
fn wrapped(entries: &FolderEntries, skipped: &mut SkippedFiles) -> Result<Option<PathBuf>, DataError> {
    let [folder] = &entries.folders[..] else { return Ok(None) };
    if !entries.pictures.is_empty() {
        return Ok(None);
    }
    let inner = FolderEntries::read(&folder.path, skipped)?;
    let is_flat = inner.folders.is_empty() && !inner.pictures.is_empty();
    let is_wrapped = if is_flat {
        !entries.tables.is_empty() || !inner.tables.is_empty()
    } else {
        !inner.folders.is_empty() && inner.pictures.is_empty()
    };
    Ok(is_wrapped.then(|| folder.path.clone()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The split folders found in a folder with these subfolders.
    fn found(folders: &[&str]) -> Result<[Option<String>; 3], String> {
        let root = tempfile::tempdir().unwrap();
        for folder in folders {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let folders = SplitFolders::find(root.path(), &mut SkippedFiles::below(root.path()));
        let SplitFolders { train, validation, test } = folders.map_err(|error| error.to_string())?;
        Ok([Some(train), validation, test]
            .map(|path| path.map(|path| path.strip_prefix(root.path()).unwrap().display().to_string())))
    }

    #[test]
    fn splits_are_found_under_their_usual_names() {
        let some = |name: &str| Some(name.to_owned());
        for (folders, expected) in [
            (&["train", "test"][..], [some("train"), None, some("test")]),
            (&["Train", "VAL"], [some("Train"), some("VAL"), None]),
            (&["training", "valid", "testing"], [some("training"), some("valid"), some("testing")]),
            (&["cat", "dog"], [some(""), None, None]),
            // Here `train` is a class: the vehicle.
            (&["bus", "train"], [some(""), None, None]),
            (&["data/mine/cat", "data/mine/dog", "__MACOSX/data"], [some("data/mine"), None, None]),
            (&["data/train/cat", "data/test/cat"], [some("data/train"), None, some("data/test")]),
            (&["train/cat", "train/dog"], [some("train"), None, None]),
            (&["cat"], [some(""), None, None]),
        ] {
            assert_eq!(found(folders), Ok(expected), "{folders:?}");
        }
    }

    #[test]
    fn two_folders_of_one_split_are_refused() {
        let error = found(&["train", "val", "validation"]).unwrap_err();
        assert!(error.contains("both \"val\" and \"validation\""), "{error}");
    }
}

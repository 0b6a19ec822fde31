//! Pictures in folders: one for each class, or one with a table of their classes.

mod classed;
mod decoding;
mod entries;
mod labels_file;
mod layout;
mod observed;
mod picture_table;
mod unreadable;
mod walk;

use std::mem::take;
use std::path::Path;

use kiln_config::{Channels, Data};
use kiln_table::{counted, quoted};

use self::classed::{Class, Found};
use self::decoding::{DecodedSplit, Wish};
use self::entries::PassedOver;
use self::layout::Layout;
pub use self::walk::{Pictures, pictures_below};
use super::{Means, Reader, Source, check_folder, labelled_pictures, path_of};
use crate::{DataError, Fault, Profile, Reading, Shape, Split};

pub(super) struct ImageFolder;

impl Reader for ImageFolder {
    fn read(&self, data: &Data, _: &Means<'_>) -> Result<Source, DataError> {
        read(data, path_of(data)?)
    }

    fn labelled(&self, path: &Path, data: &Data, profile: &Profile) -> Result<Split, DataError> {
        labelled_pictures(path, None, data, profile)
    }
}

const FOLDER: &str = "a folder with a folder of pictures per class";

/// Reads the pictures below `path`, as [`Layout::find`] and [`Found::find`] say; test pictures also from
/// `data.test_path`.
fn read(data: &Data, path: &Path) -> Result<Source, DataError> {
    check_folder(path, FOLDER)?;
    let mut passed_over = PassedOver::below(path);
    let layout = Layout::find(path, &mut passed_over)?;
    let mut notices = Vec::new();
    let label_column = data.label_column.to_string();
    let mut found = |folder: &Path| Found::find(folder, &label_column, &mut passed_over);
    let train = found(&layout.train)?.classes(&layout.train)?;
    let classes: Vec<String> = train.iter().map(|class| class.name.clone()).collect();
    if let [class] = &classes[..] {
        let found = format!("{} alone", quoted(class));
        let fault = Fault::new(&layout.train, "at least two class folders", found);
        return Err(DataError::unfit("only one class", fault));
    }
    let validation = match &layout.validation {
        Some(folder) => Some(found(folder)?.classes(folder)?),
        None => None,
    };
    let test = match (&data.test_path, &layout.test) {
        (Some(folder), _) => {
            check_folder(folder, FOLDER)?;
            Some(found(folder)?.classes(folder)?)
        }
        (None, Some(folder)) => of_test_folder(found(folder)?, folder, path, &mut notices),
        (None, None) => None,
    };
    notices.extend(passed_over.notices());
    decoded(data, path, &classes, [Some(train), validation, test], notices)
}

/// The classes of a test folder that was found beside the training pictures. One without classes is what someone else
/// keeps the answers of: nothing can be tested on it.
fn of_test_folder(found: Found, folder: &Path, root: &Path, notices: &mut Vec<String>) -> Option<Vec<Class>> {
    match found {
        Found::Classed(classes) => Some(classes),
        Found::Unlabelled(pictures) => {
            notices.push(format!(
                "nothing says what the {} in {} may show, so nothing is tested there: it is for `predict`; test data \
                 is held out of the training pictures (data.test)",
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
    [train, validation, test]: [Option<Vec<Class>>; 3],
    mut notices: Vec<String>,
) -> Result<Source, DataError> {
    let mut reading = Reading::default();
    let wish = Wish { size: data.image_size, channels: data.channels, white: reading.picture_white };
    let found = train.unwrap_or_default();
    let mut train = DecodedSplit::new(&found, classes, wish, "train")?;
    if let Some(bits @ (8 | 12)) = train.greatest.map(bits) {
        reading.picture_white = (1 << bits) - 1;
        let wish = Wish { white: reading.picture_white, ..wish };
        train = DecodedSplit::new(&found, classes, wish, "train")?;
        notices.push(format!(
            "the pictures of 16 bits use {bits} of them: {} counts as white",
            reading.picture_white
        ));
    }
    let channels = if train.channels == 1 { Channels::Grey } else { Channels::Rgb };
    let wish = Wish { channels, white: reading.picture_white, ..wish };
    let of = |found: Option<Vec<Class>>, role| {
        found.map(|found| DecodedSplit::new(&found, classes, wish, role)).transpose()
    };
    let (mut validation, mut test) = (of(validation, "val")?, of(test, "test")?);

    let mut unreadable = take(&mut train.unreadable);
    for split in [&mut validation, &mut test].into_iter().flatten() {
        unreadable.extend(take(&mut split.unreadable));
    }
    notices.extend(unreadable.settle(root, data.unreadable)?);
    if let Some(class) = (0..found.len()).find(|&class| train.lacks(class)) {
        let fault = Fault::new(&found[class].path, "at least one picture that can be read", "none");
        return Err(DataError::unfit("class without pictures", fault));
    }
    notices.extend(observations(data, root, &train, validation.as_ref(), test.as_ref()));
    let mut files = take(&mut train.files);
    for split in [&mut test, &mut validation].into_iter().flatten() {
        files.append(&mut split.files);
    }
    let [height, width] = data.image_size;
    Ok(Source {
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

/// The bits that levels up to `greatest` take, of which cameras and scanners use 8, 12 or all 16.
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
            "training pictures with colour: {} of {}; all are read as red, green and blue (data.channels = \"grey\" \
             leaves colour out)",
            train.coloured,
            train.len()
        ));
    }
    if let Some(validation) = validation {
        notices.push(format!(
            "the validation split has a folder of its own, with {}: data.validation holds out nothing",
            counted(validation.len(), "picture")
        ));
    }
    notices.extend(train.observed.notices("training", root));
    for (split, role) in [(validation, "validation"), (test, "test")] {
        if let Some(split) = split {
            notices.extend(split.observed.notices(role, root));
            notices.extend(split.observed.shared(&train.observed, role));
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
    let mut passed_over = PassedOver::below(path);
    let folder = Layout::find(path, &mut passed_over)?;
    let folder = folder.test.unwrap_or(folder.train);
    let found = Found::find(&folder, &data.label_column.to_string(), &mut passed_over)?.classes(&folder)?;
    let channels = if channels == 1 { Channels::Grey } else { Channels::Rgb };
    let wish = Wish { size, channels, white: profile.reading.picture_white };
    let mut split = DecodedSplit::new(&found, &profile.classes, wish, "test")?;
    let left_out = take(&mut split.unreadable).settle(path, data.unreadable)?;
    for notice in passed_over.notices().into_iter().chain(left_out) {
        tracing::warn!(notice, "other pictures");
    }
    Ok(split.into_split().at_levels_of(profile))
}

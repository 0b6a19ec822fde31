//! A user's own examples, without labels, brought into the form that a trained network takes.

mod handwriting;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use kiln_table::{Blocks, GZIP, Preparation, Treatment, quoted};

use crate::data_file::DataFile;
use crate::source::picture::{self, Opened, planes, with_channels};
use crate::source::{idx, idx_images::Images, reader, unlabelled_rows};
use crate::storage::Storage;
use crate::{DataError, Fault, Profile, Shape, Split};

use self::handwriting::framed;

pub use self::handwriting::Frame;

/// Examples from one file.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The examples. Their labels are all 0 and mean nothing.
    pub examples: Split,
    /// Whether a picture was changed on its way: turned to light on dark, cut out, resized, centred.
    pub is_prepared: bool,
    /// What whoever asks about them should know, a sentence each.
    pub notices: Vec<String>,
}

/// How a picture file is fitted to the size that the network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// As MNIST's digits were made: light on dark, cut out, brought to 20 of 28 pixels with their shape kept, and
    /// set with the centre of mass in the middle (the MNIST page of Y. `LeCun` and others).
    Handwriting,
    /// Resized without regard to its shape, as `image-folder` does.
    Resize,
}

impl Framing {
    /// The framing that the training pictures of `profile` had.
    #[must_use]
    pub fn of(profile: &Profile) -> Self {
        profile.source.parse().map_or(Self::Resize, |source| reader(source).framing())
    }

    /// The frame that drawings are fitted into for a network of `profile`; none where pictures are only resized, or examples
    /// are not pictures.
    #[must_use]
    pub fn frame(self, profile: &Profile) -> Option<Frame> {
        profile.image_size().filter(|_| self == Self::Handwriting).map(|size| Frame::of(profile, size))
    }
}

/// Reads the examples in the file at `path`: a picture or an IDX file of images (plain or compressed) for a network
/// on images, the rows of a csv file for one on tables. What kind of file it is, its first bytes tell.
///
/// A picture that already has the network's size and is light on dark is taken as it is.
///
/// # Errors
/// Where the file cannot be read or decoded, shows nothing, or does not fit `profile`.
pub fn inputs(path: &Path, profile: &Profile, framing: Framing) -> Result<Inputs, DataError> {
    if !path.is_file() {
        let found = match path {
            _ if path.is_dir() => "a folder",
            _ if path.exists() => "something else",
            _ => "nothing",
        };
        return Err(DataError::unfit("missing data", Fault::new(path, "a file", found)));
    }
    match profile.shape {
        Shape::Columns(_) => {
            let (examples, notices) = unlabelled_rows(path, profile)?;
            Ok(Inputs { examples, is_prepared: false, notices })
        }
        Shape::Image { height, width, channels } if is_idx(path)? => {
            images_of_idx(path, [height, width, channels], profile)
        }
        Shape::Image { .. } => picture_of(&picture::content(path)?, path, profile, framing),
    }
}

/// Whether the file at `path` is an IDX file, plain or compressed: no picture begins as these do.
fn is_idx(path: &Path) -> Result<bool, DataError> {
    let mut start = Vec::with_capacity(4);
    let file = File::open(path).map_err(DataError::read(path))?;
    file.take(4).read_to_end(&mut start).map_err(DataError::read(path))?;
    Ok(idx::begins_as_idx(&start) || start.starts_with(&GZIP))
}

/// The example in the bytes of a picture; see [`inputs`].
///
/// # Errors
/// Where they cannot be decoded, show nothing, or the network takes no pictures.
pub fn inputs_of_picture(bytes: &[u8], profile: &Profile, framing: Framing) -> Result<Inputs, DataError> {
    let place = Path::new("the picture");
    if profile.image_size().is_some() {
        return picture_of(bytes, place, profile, framing);
    }
    let fault = Fault::new(place, "the columns of a table, on which the network was trained", "a picture");
    Err(DataError::unfit("unreadable picture", fault))
}

/// The examples whose features follow each other in `values`: raw, as the source has them, pixels from 0 to 255 plane by
/// plane and row by row or the columns of a table in their order.
///
/// # Errors
/// Where they are not whole examples, or one is not finite.
pub fn inputs_of_values(values: &[f32], profile: &Profile) -> Result<Inputs, DataError> {
    let place = Path::new("the values");
    let rows = profile.row_preparation();
    let features = match &rows {
        Some(preparation) => number_columns(preparation)?,
        None => profile.shape.features(),
    };
    if values.is_empty() || !values.len().is_multiple_of(features) {
        let expected = format!("{features} values for each example");
        return Err(DataError::unfit(
            "ragged csv row",
            Fault::new(place, expected, format!("{} in all", values.len())),
        ));
    }
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        let fault = Fault::new(place, "finite numbers", values[index].to_string());
        return Err(DataError::unfit("not a number", fault.place(format!("value {index}"))));
    }
    // Of the digits' pixels the greatest is 16.
    let scale = profile.greatest_pixel.map_or(1.0, |greatest| f32::from(greatest) / f32::from(u8::MAX));
    let count = values.len() / features;
    if let Some(preparation) = rows {
        let mut cells = Blocks::new(features);
        values.chunks_exact(features).for_each(|row| cells.push(row.iter().copied().map(f64::from)));
        let lines = (1..=count as u32).collect();
        return Ok(unlabelled(Storage::cells(cells, preparation, lines), count, false));
    }
    let values = values.iter().map(|value| value * scale).collect();
    Ok(unlabelled(Storage::floats(features, values), count, false))
}

/// How many columns of a table a network takes: all of them must be numbers.
fn number_columns(preparation: &Preparation) -> Result<usize, DataError> {
    for (column, treatment) in preparation.used() {
        if !matches!(treatment, Treatment::Number { .. }) {
            let found = format!("column {}, which is a {}", quoted(&column.name), column.kind.name());
            let fault = Fault::new("the values", "a network that takes numbers alone", found);
            let remedy = "give the rows as a table, in a file";
            return Err(DataError::unfit("not a number", fault.remedy(remedy)));
        }
    }
    Ok(preparation.raw_width())
}

fn unlabelled(storage: Storage, count: usize, is_prepared: bool) -> Inputs {
    Inputs { examples: Split::new(storage, vec![0; count]), is_prepared, notices: Vec::new() }
}

fn images_of_idx(path: &Path, size: [usize; 3], profile: &Profile) -> Result<Inputs, DataError> {
    let file = DataFile::of(path).ok_or_else(|| DataError::read(path)(ErrorKind::NotFound.into()))?;
    let images = Images::new(&file, idx::read(&file, idx::Content::Images)?, profile.reading)?;
    images.check_size(&file, size)?;
    let Images { count, mut pixels, .. } = images;
    profile.to_own_levels(&mut pixels);
    let greatest = profile.greatest_pixel.unwrap_or(u8::MAX);
    Ok(unlabelled(Storage::bytes(size.iter().product(), pixels, greatest), count, false))
}

fn picture_of(content: &[u8], path: &Path, profile: &Profile, framing: Framing) -> Result<Inputs, DataError> {
    let Shape::Image { height, width, channels } = profile.shape else {
        unreachable!("the network takes pictures")
    };
    let Opened { picture, .. } = picture::opened(content, path, profile.reading.picture_white)?;
    let has_size = (picture.width(), picture.height()) == (width as u32, height as u32);
    let (levels, is_prepared) = match framing {
        Framing::Resize => (planes(picture, [height, width], channels > 1), !has_size),
        Framing::Handwriting => {
            let grey = picture.into_luma8();
            if has_size && !handwriting::is_dark_on_light(&grey) {
                (grey.into_raw(), false)
            } else {
                let frame = Frame::of(profile, [height, width]);
                let framed = framed(&grey, frame).ok_or_else(|| nothing_to_see(path))?;
                (framed.into_raw(), true)
            }
        }
    };
    let mut pixels = with_channels(levels, height * width, channels);
    profile.to_own_levels(&mut pixels);
    let greatest = profile.greatest_pixel.unwrap_or(u8::MAX);
    Ok(unlabelled(Storage::bytes(profile.shape.features(), pixels, greatest), 1, is_prepared))
}

fn nothing_to_see(path: &Path) -> DataError {
    let fault = Fault::new(path, "something drawn on a plain background", "one grey level all over");
    DataError::unfit("unreadable picture", fault.remedy("give a picture with more contrast"))
}

//! A user's own examples, without labels, brought into the form that a trained network takes.

mod handwriting;

use std::path::Path;

use image::GrayImage;

use crate::data_file::DataFile;
use crate::source::{idx, idx_folder, picture, reader, unlabelled_rows};
use crate::storage::Storage;
use crate::{DataError, Fault, Profile, Shape, Split};

use self::handwriting::{Frame, framed};

/// Examples from one file.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The examples. Their labels are all 0 and mean nothing.
    pub examples: Split,
    /// Whether a picture was changed on its way: turned to light on dark, cut out, resized, centred.
    pub is_prepared: bool,
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
}

/// Reads the examples in the file at `path`: a PNG or JPEG picture or an IDX file of images for a network on
/// images, the rows of a csv file for one on tables.
///
/// A picture that already has the network's size and is light on dark is taken as it is.
///
/// # Errors
/// Where the file cannot be read or decoded, shows nothing, or does not fit `profile`.
pub fn inputs(path: &Path, profile: &Profile, framing: Framing) -> Result<Inputs, DataError> {
    if !path.is_file() {
        let found = if path.exists() { "a folder" } else { "nothing" };
        return Err(DataError::unfit("missing data", Fault::new(path, "a file", found)));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    match &profile.shape {
        Shape::Columns(_) => {
            let examples = unlabelled_rows(path, profile)?;
            Ok(Inputs { examples, is_prepared: false })
        }
        Shape::Image { height, width } if name.contains("-idx") || name.contains(".idx") => {
            images_of_idx(path, &name, [*height, *width], profile)
        }
        Shape::Image { height, width } => {
            picture_of(picture::read(path)?, path, [*height, *width], profile, framing)
        }
    }
}

/// The example in the bytes of a PNG or JPEG picture; see [`inputs`].
///
/// # Errors
/// Where they cannot be decoded, show nothing, or the network takes no pictures.
pub fn inputs_of_picture(bytes: &[u8], profile: &Profile, framing: Framing) -> Result<Inputs, DataError> {
    let place = Path::new("the picture");
    if let Some(size) = profile.image_size() {
        return picture_of(picture::grey(bytes, place)?, place, size, profile, framing);
    }
    let fault = Fault::new(place, "the columns of a table, on which the network was trained", "a picture");
    Err(DataError::unfit("unreadable picture", fault))
}

/// The examples whose features follow each other in `values`: raw, as the source has them, pixels from 0 to 255 row by
/// row or the columns of a table in their order.
///
/// # Errors
/// Where they are not whole examples, or one is not finite.
pub fn inputs_of_values(values: &[f32], profile: &Profile) -> Result<Inputs, DataError> {
    let place = Path::new("the values");
    let features = profile.shape.features();
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
    let values = values.iter().map(|value| value * scale).collect();
    Ok(unlabelled(Storage::floats(features, values), count, false))
}

fn unlabelled(storage: Storage, count: usize, is_prepared: bool) -> Inputs {
    Inputs { examples: Split::new(storage, vec![0; count]), is_prepared }
}

fn images_of_idx(
    path: &Path,
    name: &str,
    [height, width]: [usize; 2],
    profile: &Profile,
) -> Result<Inputs, DataError> {
    let bytes = path.metadata().map_err(DataError::read(path))?.len();
    let is_gzip = Path::new(name).extension().is_some_and(|extension| extension == "gz");
    let file = DataFile { name: name.to_owned(), path: path.to_owned(), is_gzip, bytes };
    let mut images = idx::read(&file, 3)?;
    idx_folder::check_size(&file, &images, (height, width))?;
    profile.to_own_levels(&mut images.values);
    let greatest = profile.greatest_pixel.unwrap_or(u8::MAX);
    Ok(unlabelled(Storage::bytes(height * width, images.values, greatest), images.dimensions[0], false))
}

fn picture_of(
    grey: GrayImage,
    path: &Path,
    [height, width]: [usize; 2],
    profile: &Profile,
    framing: Framing,
) -> Result<Inputs, DataError> {
    let has_size = grey.dimensions() == (width as u32, height as u32);
    let (mut pixels, is_prepared) = match framing {
        Framing::Resize => (picture::resized(grey, [height, width]).into_raw(), !has_size),
        Framing::Handwriting if has_size && !handwriting::is_dark_on_light(&grey) => (grey.into_raw(), false),
        Framing::Handwriting => {
            let frame = Frame::of(profile, [height, width]);
            let framed = framed(&grey, frame).ok_or_else(|| nothing_to_see(path))?;
            (framed.into_raw(), true)
        }
    };
    profile.to_own_levels(&mut pixels);
    let greatest = profile.greatest_pixel.unwrap_or(u8::MAX);
    Ok(unlabelled(Storage::bytes(height * width, pixels, greatest), 1, is_prepared))
}

fn nothing_to_see(path: &Path) -> DataError {
    let fault = Fault::new(path, "something drawn on a plain background", "one grey level all over");
    DataError::unfit("unreadable picture", fault.remedy("give a picture with more contrast"))
}

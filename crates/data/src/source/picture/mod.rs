//! One picture file, decoded to pixels of a given size.

mod format;
mod levels;
mod paper;

use std::io::Cursor;
use std::panic::catch_unwind;
use std::path::Path;

use image::error::{ImageFormatHint, LimitError, LimitErrorKind};
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};

use kiln_files::sha256_hex;

use crate::{DataError, Fault};

pub(super) use self::format::{begins_as_picture, has_picture_name};
pub(crate) use self::levels::{planes, with_channels};

/// Larger files and pictures are refused: a few kilobytes of PNG can ask for gigabytes of pixels.
const MOST_FILE_BYTES: u64 = 256 << 20;
const MOST_SIDE: u32 = 16_384;
const MOST_DECODED_BYTES: u64 = 512 << 20;

/// What is made of a picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    /// Height and width.
    pub(crate) size: [usize; 2],
    /// Whether colour is kept.
    pub(crate) with_colour: bool,
    /// The level of a picture of 16 bits that is white.
    pub(crate) white: u16,
}

/// A picture in the size that the network takes.
#[derive(Debug)]
pub(super) struct Decoded {
    /// One plane of grey levels, row by row; of a picture with colour, where colour is kept, one each of red, green and
    /// blue.
    pub(super) planes: Vec<u8>,
    /// The greatest level of a picture of 16 bits, as the file has it.
    pub(super) greatest: Option<u16>,
    /// Size of the file.
    pub(super) bytes: u64,
    /// SHA-256 of the file.
    pub(super) sha256: String,
}

/// A picture as it is meant to be looked at: upright, on paper where it is transparent, with white at its place.
pub(crate) struct Opened {
    pub(crate) picture: DynamicImage,
    /// The greatest level of a picture of 16 bits, as the file has it.
    pub(super) greatest: Option<u16>,
}

/// Reads the picture at `path` and brings it into `form`.
pub(super) fn decode(path: &Path, form: Form) -> Result<Decoded, DataError> {
    let content = content(path)?;
    let Opened { picture, greatest } = opened(&content, path, form.white)?;
    let planes = planes(picture, form.size, form.with_colour);
    Ok(Decoded { planes, greatest, bytes: content.len() as u64, sha256: sha256_hex(&content) })
}

/// The bytes of the file at `path`.
pub(crate) fn content(path: &Path) -> Result<Vec<u8>, DataError> {
    let bytes = path.metadata().map_err(DataError::read(path))?.len();
    if bytes > MOST_FILE_BYTES {
        let fault = Fault::new(path, format!("at most {MOST_FILE_BYTES} bytes"), bytes.to_string());
        return Err(DataError::unfit("too much data", fault.remedy("make the picture smaller")));
    }
    std::fs::read(path).map_err(DataError::read(path))
}

/// The picture in `content`, whose 16-bit levels are white at `white`; `path` is what messages call it.
pub(crate) fn opened(content: &[u8], path: &Path, white: u16) -> Result<Opened, DataError> {
    let unreadable = |found: String| {
        let expected = format!(
            "a whole PNG, JPEG, WebP, BMP, GIF, TIFF, PNM or QOI picture of at most {MOST_SIDE} pixels a side"
        );
        let remedy = "open it in an image program and save it again as PNG, or take it away";
        DataError::unfit("unreadable picture", Fault::new(path, expected, found).remedy(remedy))
    };
    if format::is_cut_jpeg(content) {
        return Err(unreadable("a JPEG picture that breaks off before its end".to_owned()));
    }
    // Decoders of eight formats meet files from anywhere: one that trips over a file must not end the program.
    let mut picture = match catch_unwind(|| decoded(content)) {
        Ok(Ok(picture)) => picture,
        Ok(Err(_)) if content.is_empty() => return Err(unreadable("no byte".to_owned())),
        Ok(Err(ImageError::Unsupported(error))) if error.format_hint() == ImageFormatHint::Unknown => {
            return Err(unreadable("another kind of file".to_owned()));
        }
        Ok(Err(error)) => return Err(unreadable(error.to_string())),
        Err(_) => return Err(unreadable("bytes that its decoder cannot make sense of".to_owned())),
    };
    let greatest = levels::greatest(&picture);
    levels::stretch(&mut picture, white);
    Ok(Opened { picture: paper::on_paper(picture), greatest })
}

/// The picture as a camera meant it to be looked at: many store it turned, with a note of how (Exif).
fn decoded(content: &[u8]) -> Result<DynamicImage, ImageError> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MOST_SIDE);
    limits.max_image_height = Some(MOST_SIDE);
    limits.max_alloc = Some(MOST_DECODED_BYTES);
    let mut reader = ImageReader::new(Cursor::new(content)).with_guessed_format()?;
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    if decoder.total_bytes() > MOST_DECODED_BYTES {
        return Err(ImageError::Limits(LimitError::from_kind(LimitErrorKind::InsufficientMemory)));
    }
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

//! One picture file, decoded to grey pixels of a given size.

use std::{
    io::Cursor,
    path::{Path, PathBuf},
    thread,
};

use image::error::{LimitError, LimitErrorKind};
use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageError, ImageReader, Limits, Rgba, RgbaImage};

use kiln_files::sha256_hex;

use crate::{DataError, Fault};

/// Larger files and pictures are refused: a few kilobytes of PNG can ask for gigabytes of pixels.
const MOST_FILE_BYTES: u64 = 256 << 20;
const MOST_SIDE: u32 = 16_384;
const MOST_DECODED_BYTES: u64 = 512 << 20;

/// A picture file of a class folder.
pub(super) struct Picture {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// A picture in the size that the network takes.
#[derive(Debug)]
pub(super) struct Decoded {
    /// Grey levels, row by row.
    pub(super) pixels: Vec<u8>,
    /// Size of the file.
    pub(super) bytes: u64,
    /// SHA-256 of the file.
    pub(super) sha256: String,
}

/// True if the name ends as those of PNG and JPEG files do.
pub(super) fn has_picture_name(name: &str) -> bool {
    let extension = Path::new(name).extension().map(|extension| extension.to_string_lossy().to_lowercase());
    matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg"))
}

/// Decodes `pictures` on all processor cores; the result has their order, and so has the first error.
pub(super) fn decode_all(
    pictures: &[Picture],
    height: usize,
    width: usize,
) -> Result<Vec<Decoded>, DataError> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = pictures.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let threads: Vec<_> = pictures
            .chunks(share)
            .map(|chunk| {
                scope
                    .spawn(move || chunk.iter().map(|picture| decode(&picture.path, height, width)).collect())
            })
            .collect();
        let mut decoded = Vec::with_capacity(pictures.len());
        for thread in threads {
            let chunk: Result<Vec<Decoded>, DataError> =
                thread.join().expect("decoding a picture does not panic");
            decoded.extend(chunk?);
        }
        Ok(decoded)
    })
}

/// Reads the picture at `path` as grey (ITU-R BT.709 luma), upright, on white paper where it is transparent.
pub(crate) fn read(path: &Path) -> Result<GrayImage, DataError> {
    grey(&content(path)?, path)
}

/// `grey` in another size, by a triangle filter, without regard to its aspect ratio.
pub(crate) fn resized(grey: GrayImage, [height, width]: [usize; 2]) -> GrayImage {
    let (width, height) = (width as u32, height as u32);
    if grey.dimensions() == (width, height) {
        return grey;
    }
    image::imageops::resize(&grey, width, height, FilterType::Triangle)
}

/// Reads the picture at `path` and resizes it.
fn decode(path: &Path, height: usize, width: usize) -> Result<Decoded, DataError> {
    let content = content(path)?;
    let grey = resized(grey(&content, path)?, [height, width]);
    Ok(Decoded { pixels: grey.into_raw(), bytes: content.len() as u64, sha256: sha256_hex(&content) })
}

fn content(path: &Path) -> Result<Vec<u8>, DataError> {
    let bytes = path.metadata().map_err(DataError::read(path))?.len();
    if bytes > MOST_FILE_BYTES {
        let fault = Fault::new(path, format!("at most {MOST_FILE_BYTES} bytes"), bytes.to_string());
        return Err(DataError::unfit("too much data", fault.remedy("make the picture smaller")));
    }
    std::fs::read(path).map_err(DataError::read(path))
}

/// The same from the bytes of a picture; `path` is what messages call it.
pub(crate) fn grey(content: &[u8], path: &Path) -> Result<GrayImage, DataError> {
    let picture = decoded(content).map_err(|error| {
        let expected = format!("a PNG or JPEG picture of at most {MOST_SIDE} pixels a side");
        let fault = Fault::new(path, expected, error.to_string());
        DataError::unfit(
            "unreadable picture",
            fault.remedy("open it in an image program and save it again, or take it away"),
        )
    })?;
    if !picture.color().has_alpha() {
        return Ok(picture.into_luma8());
    }
    let mut paper = RgbaImage::from_pixel(picture.width(), picture.height(), Rgba([u8::MAX; 4]));
    image::imageops::overlay(&mut paper, &picture.into_rgba8(), 0, 0);
    Ok(DynamicImage::ImageRgba8(paper).into_luma8())
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

//! One picture file: recognized by its first bytes, decoded within limits, laid on paper where it is transparent, and
//! resized to planes of pixels. Training and prediction use the same code.

use std::io::Cursor;
use std::panic::catch_unwind;
use std::path::Path;

use image::error::{ImageFormatHint, LimitError, LimitErrorKind};
use image::imageops::{self, FilterType};
use image::{
    DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage, Rgba, RgbaImage,
};
use kiln_files::sha256_hex;

use crate::{DataError, Mismatch};

/// Larger files and pictures are refused: a few kilobytes of PNG can decode to gigabytes of pixels.
const MOST_FILE_BYTES: u64 = 256 << 20;
const MOST_SIDE: u32 = 16_384;
const MOST_DECODED_BYTES: u64 = 512 << 20;
/// File name extensions of pictures. Kiln cannot read all of these formats, but such files are reported as
/// unreadable, not skipped.
const EXTENSIONS: [&str; 25] = [
    "png", "apng", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "dib", "gif", "tif", "tiff", "pbm", "pgm",
    "ppm", "pnm", "pam", "qoi", "heic", "heif", "avif", "jxl", "jp2", "psd", "tga",
];
/// A pixel is grey if its red, green and blue differ at most this much: some formats do not store grey exactly.
const GREYISH: u8 = 8;
/// Ink lighter than this is invisible on white paper.
const LIGHT: u64 = 191;

/// How a picture is decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecodeOptions {
    /// Height and width.
    pub(crate) size: [usize; 2],
    /// Whether colour is kept.
    pub(crate) with_colour: bool,
    /// The white level of 16-bit pictures.
    pub(crate) white: u16,
}

/// A picture in the size that the network takes.
#[derive(Debug)]
pub(super) struct DecodedPicture {
    /// One plane of grey levels, row by row; or three planes, red, green and blue, if the picture has colour and
    /// colour is kept.
    pub(super) planes: Vec<u8>,
    /// The greatest level in the file of a 16-bit picture.
    pub(super) greatest: Option<u16>,
    /// Size of the file.
    pub(super) bytes: u64,
    /// SHA-256 of the file.
    pub(super) sha256: String,
}

/// A picture as people see it: upright, opaque, and with its white level stretched to the full range.
pub(crate) struct OpenedPicture {
    pub(crate) picture: DynamicImage,
    /// The greatest level in the file of a 16-bit picture.
    pub(super) greatest: Option<u16>,
}

/// Reads and decodes the picture at `path`.
pub(super) fn decode(path: &Path, options: DecodeOptions) -> Result<DecodedPicture, DataError> {
    let content = content(path)?;
    let OpenedPicture { picture, greatest } = opened(&content, path, options.white)?;
    let planes = planes(picture, options.size, options.with_colour);
    Ok(DecodedPicture { planes, greatest, bytes: content.len() as u64, sha256: sha256_hex(&content) })
}

pub(crate) fn content(path: &Path) -> Result<Vec<u8>, DataError> {
    let bytes = path.metadata().map_err(DataError::read(path))?.len();
    if bytes > MOST_FILE_BYTES {
        let mismatch = Mismatch::new(path, format!("at most {MOST_FILE_BYTES} bytes"), bytes.to_string());
        return Err(DataError::unfit("too much data", mismatch.remedy("make the picture smaller")));
    }
    std::fs::read(path).map_err(DataError::read(path))
}

/// The picture in `content`; `white` is the white level of 16-bit pictures, and `path` is its name in messages.
pub(crate) fn opened(content: &[u8], path: &Path, white: u16) -> Result<OpenedPicture, DataError> {
    let unreadable = |found: String| {
        let expected = format!(
            "a whole PNG, JPEG, WebP, BMP, GIF, TIFF, PNM or QOI picture of at most {MOST_SIDE} pixels a side"
        );
        let remedy = "open it in an image program and save it again as PNG, or remove it";
        DataError::unfit("unreadable picture", Mismatch::new(path, expected, found).remedy(remedy))
    };
    if is_cut_jpeg(content) {
        return Err(unreadable("a JPEG picture that breaks off before its end".to_owned()));
    }
    // Decoders of eight formats read untrusted files: a panic in one of them must not end the program.
    let mut picture = match catch_unwind(|| decoded(content)) {
        Ok(Ok(picture)) => picture,
        Ok(Err(_)) if content.is_empty() => return Err(unreadable("an empty file".to_owned())),
        Ok(Err(ImageError::Unsupported(error))) if error.format_hint() == ImageFormatHint::Unknown => {
            return Err(unreadable("another kind of file".to_owned()));
        }
        Ok(Err(error)) => return Err(unreadable(error.to_string())),
        Err(_) => return Err(unreadable("bytes on which its decoder fails".to_owned())),
    };
    let greatest = greatest_level(&picture);
    stretch(&mut picture, white);
    Ok(OpenedPicture { picture: on_paper(picture), greatest })
}

/// Decodes a picture and turns it upright: many cameras store it rotated, with the orientation in Exif.
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

/// Whether the name has the extension of a picture.
pub(crate) fn has_picture_name(name: &str) -> bool {
    let extension = Path::new(name).extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&&*extension))
}

/// Whether `start`, the first bytes of a file, are those of a picture that Kiln can read.
pub(crate) fn begins_as_picture(start: &[u8]) -> bool {
    match image::guess_format(start) {
        // Two letters prove little. After them, PNM has a blank, and BMP four zero bytes at offset 6.
        Ok(ImageFormat::Pnm) => start.get(2).is_some_and(u8::is_ascii_whitespace),
        Ok(ImageFormat::Bmp) => start.get(6..10) == Some(&[0; 4]),
        Ok(format) => format.reading_enabled(),
        Err(_) => false,
    }
}

/// Whether this is a JPEG file without its end marker. Decoders silently fill the missing part with grey.
///
/// Markers: ITU-T T.81, table B.1. Segments are skipped by their length, because a camera's preview inside a segment has
/// its own end marker.
fn is_cut_jpeg(content: &[u8]) -> bool {
    if !content.starts_with(&[0xFF, 0xD8, 0xFF]) {
        return false;
    }
    let mut rest = &content[2..];
    loop {
        let Some(at) = rest.iter().position(|&byte| byte == 0xFF) else { return true };
        rest = &rest[at + 1..];
        let Some(&marker) = rest.first() else { return true };
        match marker {
            0xD9 => return false,
            // Stuffing, restarts and markers without a length. 0xFF is padding: the next byte may be a marker.
            0x00 | 0x01 | 0xD0..=0xD8 => rest = &rest[1..],
            0xFF => {}
            _ => {
                let Some(&[high, low]) = rest.get(1..3) else { return true };
                let length = usize::from(u16::from_be_bytes([high, low]));
                match rest.get(1 + length..) {
                    Some(after) => rest = after,
                    None => return true,
                }
            }
        }
    }
}

/// The greatest level of a 16-bit picture, without opacity; `None` for 8 bits.
fn greatest_level(picture: &DynamicImage) -> Option<u16> {
    match picture {
        DynamicImage::ImageLuma16(pixels) => pixels.iter().max().copied(),
        DynamicImage::ImageRgb16(pixels) => pixels.iter().max().copied(),
        DynamicImage::ImageLumaA16(pixels) => pixels.pixels().map(|pixel| pixel[0]).max(),
        DynamicImage::ImageRgba16(pixels) => pixels.pixels().flat_map(|pixel| pixel.0[..3].to_vec()).max(),
        _ => None,
    }
}

/// Stretches the levels of a 16-bit picture so that `white` becomes the greatest; opacity and 8-bit pictures do not
/// change.
fn stretch(picture: &mut DynamicImage, white: u16) {
    if white == u16::MAX {
        return;
    }
    let bright = |level: &mut u16| {
        let stretched = u32::from(*level) * u32::from(u16::MAX) / u32::from(white.max(1));
        *level = stretched.min(u32::from(u16::MAX)) as u16;
    };
    match picture {
        DynamicImage::ImageLuma16(pixels) => pixels.iter_mut().for_each(bright),
        DynamicImage::ImageRgb16(pixels) => pixels.iter_mut().for_each(bright),
        DynamicImage::ImageLumaA16(pixels) => pixels.pixels_mut().for_each(|pixel| bright(&mut pixel[0])),
        DynamicImage::ImageRgba16(pixels) => {
            pixels.pixels_mut().for_each(|pixel| pixel.0[..3].iter_mut().for_each(bright));
        }
        _ => {}
    }
}

/// The levels of `picture`, resized with a triangle filter without keeping the aspect ratio: three planes, red, green and
/// blue, if the picture has colour and `with_colour` is set; otherwise one plane of grey (ITU-R BT.709 luma).
pub(crate) fn planes(picture: DynamicImage, [height, width]: [usize; 2], with_colour: bool) -> Vec<u8> {
    let (width, height) = (width as u32, height as u32);
    let is_size = (picture.width(), picture.height()) == (width, height);
    if with_colour && picture.color().has_color() {
        let pixels = picture.into_rgb8();
        if has_colour(&pixels) {
            let pixels =
                if is_size { pixels } else { imageops::resize(&pixels, width, height, FilterType::Triangle) };
            return by_plane(&pixels);
        }
        return planes(DynamicImage::ImageRgb8(pixels), [height as usize, width as usize], false);
    }
    let grey = picture.into_luma8();
    let grey = if is_size { grey } else { imageops::resize(&grey, width, height, FilterType::Triangle) };
    grey.into_raw()
}

/// Repeats a single plane of `size` levels `channels` times; several planes do not change.
pub(crate) fn with_channels(planes: Vec<u8>, size: usize, channels: usize) -> Vec<u8> {
    if planes.len() == size { planes.repeat(channels) } else { planes }
}

fn has_colour(pixels: &RgbImage) -> bool {
    let is_coloured =
        |&[red, green, blue]: &[u8; 3]| red.max(green).max(blue) - red.min(green).min(blue) > GREYISH;
    pixels.as_chunks().0.iter().any(is_coloured)
}

fn by_plane(pixels: &RgbImage) -> Vec<u8> {
    let pixels = pixels.as_chunks::<3>().0;
    (0..3).flat_map(|channel| pixels.iter().map(move |pixel| pixel[channel])).collect()
}

/// `picture` without transparency: on white paper, or on black if the drawing is so light that it would disappear on
/// white. The choice depends on this picture only, so that it is the same in training and in a single prediction.
fn on_paper(picture: DynamicImage) -> DynamicImage {
    if !picture.color().has_alpha() {
        return picture;
    }
    let drawn = picture.into_rgba8();
    let paper = if is_light(&drawn) { 0 } else { u8::MAX };
    let mut paper =
        RgbaImage::from_pixel(drawn.width(), drawn.height(), Rgba([paper, paper, paper, u8::MAX]));
    imageops::overlay(&mut paper, &drawn, 0, 0);
    DynamicImage::ImageRgba8(paper)
}

/// Whether the drawing is light: its mean luma (ITU-R BT.709), weighted by opacity. False for an opaque picture,
/// which hides the paper.
fn is_light(drawn: &RgbaImage) -> bool {
    let (mut luma, mut opacity, mut is_opaque) = (0, 0, true);
    for &Rgba([red, green, blue, alpha]) in drawn.pixels() {
        let [red, green, blue, alpha] = [red, green, blue, alpha].map(u64::from);
        luma += alpha * (2126 * red + 7152 * green + 722 * blue) / 10_000;
        opacity += alpha;
        is_opaque &= alpha == 255;
    }
    !is_opaque && luma > LIGHT * opacity
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, ImageBuffer, Luma, LumaA, Rgb};

    use super::*;

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let picture = GrayImage::from_fn(16, 16, |x, y| Luma([(x * 16 + y) as u8]));
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageLuma8(picture).to_rgb8().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_format_is_recognized_by_its_first_bytes() {
        for format in [
            ImageFormat::Png,
            ImageFormat::Jpeg,
            ImageFormat::WebP,
            ImageFormat::Bmp,
            ImageFormat::Gif,
            ImageFormat::Tiff,
            ImageFormat::Pnm,
            ImageFormat::Qoi,
        ] {
            assert!(begins_as_picture(&encoded(format)[..16]), "{format:?}");
        }
        for text in ["P5 is a note", "BMW and others", "Filename;Width", "<svg", "", "%PDF-1.7"] {
            assert_eq!(begins_as_picture(text.as_bytes()), text.starts_with("P5 "), "{text:?}");
        }
    }

    #[test]
    fn a_jpeg_without_its_last_bytes_is_cut() {
        let whole = encoded(ImageFormat::Jpeg);
        assert!(!is_cut_jpeg(&whole));
        for length in 3..whole.len() - 1 {
            assert!(is_cut_jpeg(&whole[..length]), "{length} of {} bytes", whole.len());
        }
        assert!(!is_cut_jpeg(b"\x89PNG"));
        // The end marker of a preview inside a segment is not the end.
        let mut with_preview = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 6, 0xFF, 0xD9, 0, 0];
        assert!(is_cut_jpeg(&with_preview));
        with_preview.extend([0xFF, 0xD9]);
        assert!(!is_cut_jpeg(&with_preview));
    }

    fn picture(pixels: &[[u8; 3]]) -> DynamicImage {
        RgbImage::from_raw(pixels.len() as u32, 1, pixels.concat()).unwrap().into()
    }

    #[test]
    fn a_colour_picture_has_three_planes_and_a_grey_one_has_one() {
        let coloured = picture(&[[200, 10, 20], [1, 2, 3]]);
        assert_eq!(planes(coloured.clone(), [1, 2], true), [200, 1, 10, 2, 20, 3]);
        assert_eq!(planes(coloured.clone(), [1, 2], false), coloured.into_luma8().into_raw());
        // Nearly grey is grey, whether colour is kept or not.
        let greyish = picture(&[[100, 104, 108], [7, 7, 7]]);
        assert_eq!(planes(greyish.clone(), [1, 2], true), planes(greyish, [1, 2], false));
        assert_eq!(with_channels(vec![1, 2], 2, 3), [1, 2, 1, 2, 1, 2]);
        assert_eq!(with_channels(vec![1, 2, 3], 1, 3), [1, 2, 3]);
    }

    #[test]
    fn each_colour_is_resized_separately() {
        let pixels = RgbImage::from_fn(8, 8, |x, y| Rgb([(x * 30) as u8, (y * 30) as u8, 200]));
        let all = planes(pixels.clone().into(), [3, 2], true);
        for (channel, plane) in all.chunks(6).enumerate() {
            let one = GrayImage::from_fn(8, 8, |x, y| Luma([pixels.get_pixel(x, y)[channel]]));
            assert_eq!(plane, planes(one.into(), [3, 2], false));
        }
    }

    #[test]
    fn levels_of_12_bits_are_stretched_to_white_and_opacity_is_not() {
        let grey = ImageBuffer::<Luma<u16>, _>::from_raw(3, 1, vec![0_u16, 2047, 4095]);
        let mut grey = DynamicImage::from(grey.unwrap());
        assert_eq!(greatest_level(&grey), Some(4095));
        stretch(&mut grey, 4095);
        assert_eq!(grey.into_luma8().into_raw(), [0, 127, 255]);
        let mut clear: DynamicImage = ImageBuffer::from_pixel(1, 1, LumaA([255_u16, 1000])).into();
        stretch(&mut clear, 255);
        assert_eq!(clear.as_luma_alpha16().unwrap().get_pixel(0, 0), &LumaA([65_535, 1000]));
        let colour: DynamicImage = ImageBuffer::from_pixel(1, 1, Rgba([1_u16, 2, 3, 65_535])).into();
        assert_eq!(greatest_level(&colour), Some(3));
        assert_eq!(greatest_level(&picture(&[[1, 2, 3]])), None);
    }

    fn grey_on_paper(ink: [u8; 3]) -> Vec<u8> {
        let [red, green, blue] = ink;
        let drawn = RgbaImage::from_fn(4, 1, |x, _| Rgba([red, green, blue, if x < 2 { 255 } else { 0 }]));
        on_paper(DynamicImage::ImageRgba8(drawn)).into_luma8().into_raw()
    }

    #[test]
    fn light_ink_is_laid_on_black_and_any_other_on_white() {
        assert_eq!(grey_on_paper([255; 3]), [255, 255, 0, 0]);
        assert_eq!(grey_on_paper([0; 3]), [0, 0, 255, 255]);
        assert_eq!(grey_on_paper([128; 3]), [128, 128, 255, 255]);
        // Yellow is light.
        assert_eq!(grey_on_paper([255, 255, 0])[2..], [0, 0]);
    }

    #[test]
    fn without_a_drawing_the_paper_is_white() {
        let nothing = RgbaImage::from_pixel(2, 1, Rgba([255, 255, 255, 0]));
        assert_eq!(on_paper(DynamicImage::ImageRgba8(nothing)).into_luma8().into_raw(), [255, 255]);
    }
}

//! What tells a picture from another file, and a whole one from one that was cut short.

use std::path::Path;

use image::ImageFormat;

/// The ends of names that promise a picture. Not every kind of them can be read: what cannot is named as unreadable
/// and not passed over.
const EXTENSIONS: [&str; 25] = [
    "png", "apng", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "dib", "gif", "tif", "tiff", "pbm", "pgm",
    "ppm", "pnm", "pam", "qoi", "heic", "heif", "avif", "jxl", "jp2", "psd", "tga",
];

/// True if the name ends as those of pictures do.
pub(crate) fn has_picture_name(name: &str) -> bool {
    let extension = Path::new(name).extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&&*extension))
}

/// True if `start`, the first bytes of a file, are those of a picture that can be read, whatever its name is.
pub(crate) fn begins_as_picture(start: &[u8]) -> bool {
    match image::guess_format(start) {
        // Two letters are no proof: these headers go on with a blank, and with a number below 2^16 in bytes 6 to 9.
        Ok(ImageFormat::Pnm) => start.get(2).is_some_and(u8::is_ascii_whitespace),
        Ok(ImageFormat::Bmp) => start.get(6..10) == Some(&[0; 4]),
        Ok(format) => format.reading_enabled(),
        Err(_) => false,
    }
}

/// True for a JPEG file without its end mark. Decoders fill up what is missing with grey, and say nothing.
///
/// Markers: ITU-T T.81, table B.1. Segments are passed over by their length: the preview that cameras put into one
/// has an end mark of its own.
pub(super) fn is_cut_jpeg(content: &[u8]) -> bool {
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
            // Stuffing, restarts and marks without a length; 0xFF fills up and is looked at again.
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

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, GrayImage};

    use super::*;

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let picture = GrayImage::from_fn(16, 16, |x, y| image::Luma([(x * 16 + y) as u8]));
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageLuma8(picture).to_rgb8().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_format_is_told_by_its_first_bytes() {
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
    fn a_jpeg_is_cut_wherever_it_ends_early() {
        let whole = encoded(ImageFormat::Jpeg);
        assert!(!is_cut_jpeg(&whole));
        for length in 3..whole.len() - 1 {
            assert!(is_cut_jpeg(&whole[..length]), "{length} of {} bytes", whole.len());
        }
        assert!(!is_cut_jpeg(b"\x89PNG"));
        // A preview within a segment is not the end.
        let mut with_preview = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 6, 0xFF, 0xD9, 0, 0];
        assert!(is_cut_jpeg(&with_preview));
        with_preview.extend([0xFF, 0xD9]);
        assert!(!is_cut_jpeg(&with_preview));
    }
}

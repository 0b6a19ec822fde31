//! The levels of a picture: which is white, with or without colour, and in which size.

use image::imageops::{self, FilterType};
use image::{DynamicImage, RgbImage};

/// Red, green and blue that lie nearer to each other than this are grey: some formats store colour in a way that grey
/// does not come out of exactly.
const GREYISH: u8 = 8;

/// The greatest level of a picture of 16 bits; none of one of 8.
pub(super) fn greatest(picture: &DynamicImage) -> Option<u16> {
    match picture {
        DynamicImage::ImageLuma16(pixels) => pixels.iter().max().copied(),
        DynamicImage::ImageRgb16(pixels) => pixels.iter().max().copied(),
        DynamicImage::ImageLumaA16(pixels) => pixels.pixels().map(|pixel| pixel[0]).max(),
        DynamicImage::ImageRgba16(pixels) => pixels.pixels().flat_map(|pixel| pixel.0[..3].to_vec()).max(),
        _ => None,
    }
}

/// Makes `white` the greatest level of a picture of 16 bits, and changes none of 8. Opacity has its own scale.
pub(super) fn stretch(picture: &mut DynamicImage, white: u16) {
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

/// The levels of `picture`, without regard to its aspect ratio resized by a triangle filter: one plane of grey (ITU-R
/// BT.709 luma), or planes of red, green and blue where the picture has colour and `with_colour` keeps it.
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

/// One plane of `size` levels as `channels` of them; more than one plane as it is.
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

#[cfg(test)]
mod tests {
    use image::{ImageBuffer, Luma, LumaA, Rgb, Rgba};

    use super::*;

    fn picture(pixels: &[[u8; 3]]) -> DynamicImage {
        RgbImage::from_raw(pixels.len() as u32, 1, pixels.concat()).unwrap().into()
    }

    #[test]
    fn colour_is_three_planes_and_grey_is_one() {
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
    fn a_colour_is_resized_by_itself() {
        let pixels = RgbImage::from_fn(8, 8, |x, y| Rgb([(x * 30) as u8, (y * 30) as u8, 200]));
        let all = planes(pixels.clone().into(), [3, 2], true);
        for (channel, plane) in all.chunks(6).enumerate() {
            let one = image::GrayImage::from_fn(8, 8, |x, y| Luma([pixels.get_pixel(x, y)[channel]]));
            assert_eq!(plane, planes(one.into(), [3, 2], false));
        }
    }

    #[test]
    fn few_of_16_bits_are_stretched_to_white_and_opacity_is_not() {
        let grey = ImageBuffer::<Luma<u16>, _>::from_raw(3, 1, vec![0_u16, 2047, 4095]);
        let mut grey = DynamicImage::from(grey.unwrap());
        assert_eq!(greatest(&grey), Some(4095));
        stretch(&mut grey, 4095);
        assert_eq!(grey.into_luma8().into_raw(), [0, 127, 255]);
        let mut clear: DynamicImage = ImageBuffer::from_pixel(1, 1, LumaA([255_u16, 1000])).into();
        stretch(&mut clear, 255);
        assert_eq!(clear.as_luma_alpha16().unwrap().get_pixel(0, 0), &LumaA([65_535, 1000]));
        let colour: DynamicImage = ImageBuffer::from_pixel(1, 1, Rgba([1_u16, 2, 3, 65_535])).into();
        assert_eq!(greatest(&colour), Some(3));
        assert_eq!(greatest(&picture(&[[1, 2, 3]])), None);
    }
}

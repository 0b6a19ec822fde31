//! The images of an IDX file, plane by plane and row by row.

use super::idx::Idx;
use crate::data_file::DataFile;
use crate::{DataError, Fault, Reading};

/// Images of one size.
#[derive(Debug)]
pub(crate) struct Images {
    pub(crate) count: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// 1 for grey, 3 for red, green and blue.
    pub(crate) channels: usize,
    pub(crate) pixels: Vec<u8>,
}

/// How the numbers of an image lie in a file.
#[derive(Clone, Copy, Debug)]
struct Layout {
    height: usize,
    width: usize,
    channels: usize,
    /// Whether the colours of a pixel follow each other.
    is_by_pixel: bool,
}

impl Images {
    /// The images in `idx`, which was read from `file`: (count, height, width); (count, pixels of a square); (count,
    /// height, width, colours) or (count, colours, height, width), with 1 or 3 colours.
    ///
    /// # Errors
    /// Where the dimensions are none of these, or a number is no pixel.
    pub(crate) fn new(file: &DataFile, idx: Idx, reading: Reading) -> Result<Self, DataError> {
        let layout = Layout::of(file, &idx.dimensions)?;
        let count = idx.dimensions[0];
        let mut pixels = idx.into_pixels(reading.idx_white, &file.path)?;
        let Layout { mut height, mut width, channels, is_by_pixel } = layout;
        if is_by_pixel && channels > 1 {
            let plane = height * width;
            pixels = reordered(&pixels, plane * channels, |at| (at % plane) * channels + at / plane);
        }
        if reading.is_transposed {
            pixels = reordered(&pixels, height * width, |at| (at % height) * width + at / height);
            (height, width) = (width, height);
        }
        Ok(Self { count, height, width, channels, pixels })
    }

    /// Height, width and channels.
    pub(crate) fn size(&self) -> [usize; 3] {
        [self.height, self.width, self.channels]
    }

    /// An error where the images, read from `file`, have another size than those that the network learns from.
    pub(crate) fn check_size(&self, file: &DataFile, size: [usize; 3]) -> Result<(), DataError> {
        if self.size() == size {
            return Ok(());
        }
        let text = |[height, width, channels]: [usize; 3]| match channels {
            1 => format!("{height}x{width} pixels"),
            _ => format!("{height}x{width} pixels in {channels} colours"),
        };
        let expected = format!("{}, as in the training images", text(size));
        let fault = Fault::new(&file.path, expected, text(self.size()));
        Err(DataError::unfit("image sizes differ", fault.remedy("take both from the same data set")))
    }
}

impl Layout {
    fn of(file: &DataFile, dimensions: &[usize]) -> Result<Self, DataError> {
        let grey = Self { height: 1, width: 1, channels: 1, is_by_pixel: false };
        match *dimensions {
            [_, height, width] => return Ok(Self { height, width, ..grey }),
            [_, pixels] if pixels.isqrt().pow(2) == pixels => {
                return Ok(Self { height: pixels.isqrt(), width: pixels.isqrt(), ..grey });
            }
            [_, height, width, channels @ (1 | 3)] => {
                return Ok(Self { height, width, channels, is_by_pixel: true });
            }
            [_, channels @ (1 | 3), height, width] => return Ok(Self { height, width, channels, ..grey }),
            _ => {}
        }
        let expected = "(images, height, width), (images, pixels of a square), or these with 1 or 3 colours";
        let fault = Fault::new(&file.path, expected, format!("dimensions {dimensions:?}")).place("header");
        Err(DataError::unfit("impossible images", fault.remedy("write them as (images, height, width)")))
    }
}

/// In each group of `size` pixels, those that `from` says, in the order of their new places.
fn reordered(pixels: &[u8], size: usize, from: impl Fn(usize) -> usize) -> Vec<u8> {
    let mut reordered = Vec::with_capacity(pixels.len());
    for group in pixels.chunks(size) {
        reordered.extend((0..size).map(|at| group[from(at)]));
    }
    reordered
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::source::idx_element::Element;

    fn images(dimensions: &[usize], reading: Reading) -> Result<Images, DataError> {
        let count = dimensions.iter().product();
        let bytes = (0..count).map(|value| value as u8).collect();
        let idx = Idx { dimensions: dimensions.to_vec(), element: Element::U8, bytes, sha256: String::new() };
        let file =
            DataFile { name: "images".to_owned(), path: PathBuf::from("images"), is_gzip: false, bytes: 0 };
        Images::new(&file, idx, reading)
    }

    #[test]
    fn colours_come_apart_into_planes() {
        let by_pixel = images(&[2, 1, 2, 3], Reading::default()).unwrap();
        assert_eq!((by_pixel.count, by_pixel.size()), (2, [1, 2, 3]));
        assert_eq!(by_pixel.pixels, [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
        let by_plane = images(&[1, 3, 1, 2], Reading::default()).unwrap();
        assert_eq!((by_plane.size(), by_plane.pixels), ([1, 2, 3], vec![0, 1, 2, 3, 4, 5]));
    }

    #[test]
    fn flat_images_are_squares() {
        assert_eq!(images(&[2, 9], Reading::default()).unwrap().size(), [3, 3, 1]);
        let error = images(&[2, 8], Reading::default()).unwrap_err().to_string();
        assert!(error.contains("[2, 8]") && error.contains("square"), "{error}");
        images(&[2, 4, 4, 2], Reading::default()).unwrap_err();
    }

    #[test]
    fn what_lies_on_its_side_is_set_upright() {
        let turned = images(&[1, 2, 3], Reading { is_transposed: true, ..Reading::default() }).unwrap();
        assert_eq!((turned.size(), turned.pixels), ([3, 2, 1], vec![0, 3, 1, 4, 2, 5]));
    }
}

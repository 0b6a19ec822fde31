//! The numbers of an IDX file, as pixels and as labels.

use std::path::Path;

use super::idx::Idx;
use super::idx_element::Element;
use crate::{DataError, Fault};

impl Idx {
    /// The number at `index`, in double precision, which holds every number of every type.
    fn number(&self, index: usize) -> f64 {
        let bytes = &self.bytes[index * self.element.size()..];
        match self.element {
            Element::U8 => f64::from(bytes[0]),
            Element::I8 => f64::from(bytes[0].cast_signed()),
            Element::I16 => f64::from(i16::from_be_bytes([bytes[0], bytes[1]])),
            Element::I32 => f64::from(i32::from_be_bytes(first(bytes))),
            Element::F32 => f64::from(f32::from_be_bytes(first(bytes))),
            Element::F64 => f64::from_be_bytes(first(bytes)),
        }
    }

    fn count(&self) -> usize {
        self.bytes.len() / self.element.size()
    }

    /// The number that is a full pixel among the numbers of training images: 1 where all lie from 0 to 1, else 255.
    ///
    /// # Errors
    /// Where a number lies outside 0 to 255, or is none.
    pub(super) fn white(&self, path: &Path) -> Result<u8, DataError> {
        if self.element == Element::U8 {
            return Ok(if self.bytes.iter().max() == Some(&1) { 1 } else { u8::MAX });
        }
        let (mut least, mut greatest) = (f64::INFINITY, f64::NEG_INFINITY);
        for index in 0..self.count() {
            let number = self.number(index);
            if !(0.0..=255.0).contains(&number) {
                return Err(self.no_pixel(path, index, "0 to 255, or 0 to 1"));
            }
            (least, greatest) = (least.min(number), greatest.max(number));
        }
        Ok(if greatest <= 1.0 && greatest > least { 1 } else { u8::MAX })
    }

    /// What to tell of pixels that are no plain bytes from 0 to 255.
    pub(super) fn pixel_notice(&self, white: u8) -> Option<String> {
        let name = self.element.name();
        let is_float = matches!(self.element, Element::F32 | Element::F64);
        match white {
            1 if is_float => Some(format!("pixels are {name} from 0 to 1: taken times 255, in whole steps")),
            1 => Some("pixels are 0 and 1: taken as 0 and 255".to_owned()),
            _ if is_float => Some(format!("pixels are {name} from 0 to 255: taken in whole steps")),
            _ if self.element == Element::U8 => None,
            _ => Some(format!("pixels are {name} from 0 to 255: taken as they are")),
        }
    }

    /// The numbers as pixels from 0 to 255, where `white` is a full one.
    ///
    /// # Errors
    /// Where one lies outside 0 to `white`, or is none.
    pub(crate) fn into_pixels(self, white: u8, path: &Path) -> Result<Vec<u8>, DataError> {
        if self.element == Element::U8 && white == u8::MAX {
            return Ok(self.bytes);
        }
        let (white, factor) = (f64::from(white), 255.0 / f64::from(white));
        let pixel = |index| {
            let number = self.number(index);
            if (0.0..=white).contains(&number) {
                Ok((number * factor).round() as u8)
            } else {
                Err(self.no_pixel(path, index, &format!("0 to {white}, as in the training images")))
            }
        };
        (0..self.count()).map(pixel).collect()
    }

    fn no_pixel(&self, path: &Path, index: usize, expected: &str) -> DataError {
        let found = format!("{} among {}", self.number(index), self.element.name());
        let fault = Fault::new(path, format!("pixels from {expected}"), found)
            .place(format!("value {index}"))
            .remedy("convert the pixels to unsigned bytes from 0 to 255");
        DataError::unfit("not a pixel", fault)
    }

    /// One label for each row: of several columns the first, which is the class in QMNIST.
    ///
    /// # Errors
    /// Where one is no whole number.
    pub(super) fn labels(&self, path: &Path) -> Result<Vec<i64>, DataError> {
        let columns = self.dimensions.get(1).copied().unwrap_or(1);
        let label = |row: usize| {
            let number = self.number(row * columns);
            if number.fract() == 0.0 && number.abs() <= f64::from(u32::MAX) {
                return Ok(number as i64);
            }
            let fault = Fault::new(path, "a whole number", number.to_string()).place(format!("label {row}"));
            Err(DataError::unfit("not a label", fault.remedy("give each class a number")))
        };
        (0..self.dimensions[0]).map(label).collect()
    }
}

/// The first bytes, of which the file has been seen to have enough.
fn first<const COUNT: usize>(bytes: &[u8]) -> [u8; COUNT] {
    *bytes.first_chunk().expect("numbers are whole")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idx(element: Element, dimensions: &[usize], bytes: impl IntoIterator<Item = Vec<u8>>) -> Idx {
        let bytes = bytes.into_iter().flatten().collect();
        Idx { dimensions: dimensions.to_vec(), element, bytes, sha256: String::new() }
    }

    fn floats(values: &[f32]) -> Idx {
        idx(Element::F32, &[values.len(), 1], values.iter().map(|value| value.to_be_bytes().to_vec()))
    }

    fn path() -> &'static Path {
        Path::new("images")
    }

    #[test]
    fn every_type_gives_pixels_from_0_to_255() {
        let same = [
            idx(Element::U8, &[3, 1], [vec![0, 7, 255]]),
            idx(Element::I16, &[3, 1], [0_i16, 7, 255].map(|value| value.to_be_bytes().to_vec())),
            idx(Element::I32, &[3, 1], [0_i32, 7, 255].map(|value| value.to_be_bytes().to_vec())),
            floats(&[0.0, 7.2, 254.9]),
            idx(Element::F64, &[3, 1], [0_f64, 7.0, 255.0].map(|value| value.to_be_bytes().to_vec())),
        ];
        for idx in same {
            let (element, white) = (idx.element, idx.white(path()).unwrap());
            assert_eq!(idx.pixel_notice(white).is_none(), element == Element::U8);
            assert_eq!(idx.into_pixels(white, path()).unwrap(), [0, 7, 255], "{element:?}");
        }
        let signed = idx(Element::I8, &[2, 1], [vec![0, 127]]);
        assert_eq!(signed.into_pixels(255, path()).unwrap(), [0, 127]);
    }

    #[test]
    fn pixels_from_0_to_1_are_stretched() {
        let shares = floats(&[0.0, 0.5, 1.0]);
        assert_eq!(shares.white(path()).unwrap(), 1);
        assert_eq!(shares.into_pixels(1, path()).unwrap(), [0, 128, 255]);
        let bits = idx(Element::U8, &[2, 1], [vec![0, 1]]);
        assert_eq!(bits.white(path()).unwrap(), 1);
        assert_eq!(bits.into_pixels(1, path()).unwrap(), [0, 255]);
        // Black alone says nothing of white.
        assert_eq!(idx(Element::U8, &[2, 1], [vec![0, 0]]).white(path()).unwrap(), 255);
        assert_eq!(floats(&[0.0]).white(path()).unwrap(), 255);
    }

    #[test]
    fn what_is_no_pixel_is_refused_by_its_place() {
        for (idx, place) in [
            (floats(&[0.0, -0.5]), "value 1"),
            (floats(&[f32::NAN]), "value 0"),
            (idx(Element::I8, &[2, 1], [vec![1, 200]]), "found -56 among signed bytes"),
            (idx(Element::I16, &[1, 1], [vec![1, 0]]), "found 256 among 16-bit integers"),
        ] {
            let error = idx.white(path()).unwrap_err().to_string();
            assert!(error.contains(place) && error.contains("0 to 255"), "{error}");
        }
        let error = floats(&[0.5, 2.0]).into_pixels(1, path()).unwrap_err().to_string();
        assert!(error.contains("0 to 1, as in the training images"), "{error}");
    }

    #[test]
    fn of_several_columns_the_first_is_the_label() {
        let qmnist = idx(Element::I32, &[2, 2], [5_i32, 9, -1, 8].map(|value| value.to_be_bytes().to_vec()));
        assert_eq!(qmnist.labels(path()).unwrap(), [5, -1]);
        let error = floats(&[1.5]).labels(path()).unwrap_err().to_string();
        assert!(error.contains("label 0") && error.contains("1.5"), "{error}");
    }
}

//! The IDX format of the MNIST files: a header with element type and dimensions, then the elements; and its numbers as
//! pixels or labels.
//!
//! Files are untrusted: memory grows with the bytes that arrive, never with the sizes in the header. Format: "The IDX
//! file format" on the MNIST page (Y. `LeCun` and others), big-endian throughout.

use std::io::{self, Read};
use std::path::Path;

use kiln_files::Hasher;

use super::IdxFile;
use crate::{DataError, Mismatch};

/// Examples are numbered with 32 bits, and real IDX files stay far below 4 GiB.
const GREATEST_SIZE: u64 = 1 << 32;
const COPY_AGAIN: &str = "download or copy it again";

/// The content of one IDX file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IdxArray {
    /// Sizes, outermost first.
    pub(crate) dimensions: Vec<usize>,
    pub(crate) element: ElementType,
    /// The numbers, as bytes of the file.
    pub(crate) bytes: Vec<u8>,
    /// SHA-256 of header and numbers.
    pub(crate) sha256: String,
}

/// The meaning of a file's numbers, which limits the number of dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum IdxContent {
    /// (count, pixels), (count, height, width), or with colours: (count, height, width, colours) or (count, colours,
    /// height, width).
    Images,
    /// (count) or (count, columns), with the class in the first column.
    Labels,
}

impl IdxContent {
    fn allows(self, rank: usize) -> bool {
        match self {
            Self::Images => (2..=4).contains(&rank),
            Self::Labels => (1..=2).contains(&rank),
        }
    }
}

/// Whether `start` is the beginning of an IDX file.
pub(crate) fn begins_as_idx(start: &[u8]) -> bool {
    matches!(start, [0, 0, code, 1..=4, ..] if ElementType::of_code(*code).is_some())
}

/// Reads `file`, whose dimensions must fit `content`.
pub(crate) fn read(file: &IdxFile, content: IdxContent) -> Result<IdxArray, DataError> {
    parse(file.open()?, file.most_bytes(), content, &file.path)
}

/// Reads IDX from `reader`, which has at most `most_bytes`. A header that promises more is refused.
pub(crate) fn parse(
    mut reader: impl Read,
    most_bytes: u64,
    content: IdxContent,
    path: &Path,
) -> Result<IdxArray, DataError> {
    let mut hasher = Hasher::default();
    let magic = read_header(&mut reader, 4, path)?;
    let (element, rank) = check_magic(&magic, content, path)?;
    let sizes = read_header(&mut reader, 4 * rank, path)?;
    hasher.update(&magic);
    hasher.update(&sizes);
    let dimensions: Vec<usize> =
        sizes.as_chunks().0.iter().map(|&size| u32::from_be_bytes(size) as usize).collect();
    let expected = count_bytes(&dimensions, element, path)?;
    let most_values = most_bytes.saturating_sub((magic.len() + sizes.len()) as u64);
    if expected > most_values {
        return Err(truncated(path, expected, format!("at most {most_values}")));
    }
    let bytes = read_values(reader, expected, path)?;
    hasher.update(&bytes);
    Ok(IdxArray { dimensions, element, bytes, sha256: hasher.finish() })
}

fn read_header(reader: &mut impl Read, length: usize, path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::with_capacity(length);
    reader.take(length as u64).read_to_end(&mut bytes).map_err(DataError::unreadable(path))?;
    if bytes.len() < length {
        let mismatch = Mismatch::new(path, format!("{length} bytes"), bytes.len().to_string());
        return Err(DataError::unfit("truncated IDX header", mismatch.place("header").remedy(COPY_AGAIN)));
    }
    Ok(bytes)
}

/// The type of the numbers and how many dimensions they have.
fn check_magic(magic: &[u8], content: IdxContent, path: &Path) -> Result<(ElementType, usize), DataError> {
    let mismatch = |expected: &str, found: String| Mismatch::new(path, expected, found).place("header");
    if magic[0] != 0 || magic[1] != 0 || !matches!(magic[2], 0x08..=0x0E) {
        let remedy = "is this the right file?";
        let mismatch = mismatch("the bytes 00 00 08 at the start", format!("{magic:02x?}"));
        return Err(DataError::unfit("not an IDX file", mismatch.remedy(remedy)));
    }
    let element = ElementType::of_code(magic[2]).ok_or_else(|| {
        let found = "0a, which IDX does not define".to_owned();
        let mismatch = mismatch("unsigned bytes (08)", found).remedy("convert the values to 0..255");
        DataError::unfit("unsupported IDX element type", mismatch)
    })?;
    let rank = usize::from(magic[3]);
    if !content.allows(rank) {
        let expected = match content {
            IdxContent::Images => "3 (images, height, width)",
            IdxContent::Labels => "1 (labels)",
        };
        let mismatch = mismatch(expected, rank.to_string()).remedy("are the images and the labels swapped?");
        return Err(DataError::unfit("wrong number of IDX dimensions", mismatch));
    }
    Ok((element, rank))
}

fn count_bytes(dimensions: &[usize], element: ElementType, path: &Path) -> Result<u64, DataError> {
    let shape = format!("{dimensions:?}");
    if dimensions.contains(&0) {
        let mismatch =
            Mismatch::new(path, "at least one value", format!("dimensions {shape}")).place("header");
        return Err(DataError::unfit("empty IDX file", mismatch.remedy(COPY_AGAIN)));
    }
    let bytes = element.size() as u64;
    let product = dimensions.iter().try_fold(bytes, |product, &size| product.checked_mul(size as u64));
    product.filter(|&count| count <= GREATEST_SIZE).ok_or_else(|| {
        let expected = format!("at most {GREATEST_SIZE} bytes");
        let mismatch = Mismatch::new(path, expected, format!("dimensions {shape}")).place("header");
        DataError::unfit("impossible IDX size", mismatch.remedy(COPY_AGAIN))
    })
}

/// Reads exactly `expected` bytes, and checks that no more follow. Reading to the end also makes gzip compare its
/// checksum.
fn read_values(reader: impl Read, expected: u64, path: &Path) -> Result<Vec<u8>, DataError> {
    // A plain file is known to be this long. A compressed file with a wrong header costs at most 64 MiB.
    let mut values = Vec::with_capacity(expected.min(64 << 20) as usize);
    let mut reader = reader.take(expected + 1);
    reader.read_to_end(&mut values).map_err(DataError::unreadable(path))?;
    let found = values.len() as u64;
    if found < expected {
        return Err(truncated(path, expected, found.to_string()));
    }
    if found > expected {
        let more = io::copy(&mut reader.into_inner().take(GREATEST_SIZE), &mut io::sink()).unwrap_or(0);
        let mismatch = Mismatch::new(path, format!("{expected} bytes"), (found + more).to_string());
        return Err(DataError::unfit(
            "over-long IDX file",
            mismatch.place("after the header").remedy(COPY_AGAIN),
        ));
    }
    Ok(values)
}

fn truncated(path: &Path, expected: u64, found: String) -> DataError {
    let mismatch = Mismatch::new(path, format!("{expected} bytes"), found);
    DataError::unfit("truncated IDX file", mismatch.place("after the header").remedy(COPY_AGAIN))
}

/// The type of a file's numbers ("The IDX file format" on the MNIST page).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ElementType {
    U8,
    I8,
    I16,
    I32,
    F32,
    F64,
}

impl ElementType {
    /// The type with this code in the header.
    pub(super) fn of_code(code: u8) -> Option<Self> {
        Some(match code {
            0x08 => Self::U8,
            0x09 => Self::I8,
            0x0B => Self::I16,
            0x0C => Self::I32,
            0x0D => Self::F32,
            0x0E => Self::F64,
            _ => return None,
        })
    }

    /// Bytes per number.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::U8 => "unsigned bytes",
            Self::I8 => "signed bytes",
            Self::I16 => "16-bit integers",
            Self::I32 => "32-bit integers",
            Self::F32 => "32-bit floats",
            Self::F64 => "64-bit floats",
        }
    }
}

impl IdxArray {
    /// The number at `index`. Double precision represents the numbers of all types exactly.
    fn number(&self, index: usize) -> f64 {
        let bytes = &self.bytes[index * self.element.size()..];
        match self.element {
            ElementType::U8 => f64::from(bytes[0]),
            ElementType::I8 => f64::from(bytes[0].cast_signed()),
            ElementType::I16 => f64::from(i16::from_be_bytes([bytes[0], bytes[1]])),
            ElementType::I32 => f64::from(i32::from_be_bytes(first(bytes))),
            ElementType::F32 => f64::from(f32::from_be_bytes(first(bytes))),
            ElementType::F64 => f64::from_be_bytes(first(bytes)),
        }
    }

    fn count(&self) -> usize {
        self.bytes.len() / self.element.size()
    }

    /// The white level of training images: 1 if all numbers are from 0 to 1, otherwise 255. A number outside 0 to 255
    /// is an error.
    pub(super) fn white(&self, path: &Path) -> Result<u8, DataError> {
        if self.element == ElementType::U8 {
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

    /// A notice about pixels that are converted.
    pub(super) fn pixel_notice(&self, white: u8) -> Option<String> {
        let name = self.element.name();
        let is_float = matches!(self.element, ElementType::F32 | ElementType::F64);
        match white {
            1 if is_float => Some(format!("pixels are {name} from 0 to 1: multiplied by 255 and rounded")),
            1 => Some("pixels are 0 and 1: read as 0 and 255".to_owned()),
            _ if is_float => Some(format!("pixels are {name} from 0 to 255: rounded to whole numbers")),
            _ if self.element == ElementType::U8 => None,
            _ => Some(format!("pixels are {name} from 0 to 255: used without change")),
        }
    }

    /// The numbers, from 0 to `white`, as pixels from 0 to 255. A number outside is an error.
    pub(crate) fn into_pixels(self, white: u8, path: &Path) -> Result<Vec<u8>, DataError> {
        if self.element == ElementType::U8 && white == u8::MAX {
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
        let mismatch = Mismatch::new(path, format!("pixels from {expected}"), found)
            .place(format!("value {index}"))
            .remedy("convert the pixels to unsigned bytes from 0 to 255");
        DataError::unfit("not a pixel", mismatch)
    }

    /// One label per row, from the first column: in QMNIST's labels this is the class. A number that is not whole is
    /// an error.
    pub(super) fn labels(&self, path: &Path) -> Result<Vec<i64>, DataError> {
        let columns = self.dimensions.get(1).copied().unwrap_or(1);
        let label = |row: usize| {
            let number = self.number(row * columns);
            if number.fract() == 0.0 && number.abs() <= f64::from(u32::MAX) {
                return Ok(number as i64);
            }
            let mismatch =
                Mismatch::new(path, "a whole number", number.to_string()).place(format!("label {row}"));
            Err(DataError::unfit("not a label", mismatch.remedy("give each class a number")))
        };
        (0..self.dimensions[0]).map(label).collect()
    }
}

fn first<const COUNT: usize>(bytes: &[u8]) -> [u8; COUNT] {
    *bytes.first_chunk().expect("`parse` read whole numbers")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;

    fn header(kind: u8, dimensions: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0, 0, kind, dimensions.len() as u8];
        bytes.extend(dimensions.iter().flat_map(|size| size.to_be_bytes()));
        bytes
    }

    fn file(kind: u8, dimensions: &[u32], values: usize) -> Vec<u8> {
        let mut bytes = header(kind, dimensions);
        bytes.extend((0..values).map(|value| value as u8));
        bytes
    }

    fn parse_plain(bytes: &[u8], content: IdxContent) -> Result<IdxArray, DataError> {
        parse(bytes, bytes.len() as u64, content, Path::new("file"))
    }

    #[test]
    fn a_whole_file_is_read_and_hashed() {
        let bytes = file(8, &[2, 2, 3], 12);
        let idx = parse_plain(&bytes, IdxContent::Images).unwrap();
        assert_eq!(idx.dimensions, [2, 2, 3]);
        assert_eq!(idx.sha256, kiln_files::sha256_hex(&bytes));
        assert_eq!((idx.element, idx.bytes), (ElementType::U8, (0..12).collect::<Vec<u8>>()));
    }

    #[test]
    fn a_header_that_promises_more_than_there_is_costs_no_memory() {
        // 16 bytes promise 4 GiB: refused before memory is allocated.
        let error = parse_plain(&header(8, &[65_536, 256, 256]), IdxContent::Images).unwrap_err();
        assert!(error.to_string().starts_with("truncated IDX file"), "{error}");
    }

    #[test]
    fn a_gzip_bomb_is_read_only_as_far_as_its_header_says() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&header(8, &[1, 2, 2])).unwrap();
        encoder.write_all(&vec![0; 50_000_000]).unwrap();
        let bomb = encoder.finish().unwrap();
        let reader = flate2::read::MultiGzDecoder::new(&bomb[..]);
        let error =
            parse(reader, bomb.len() as u64 * 1032, IdxContent::Images, Path::new("bomb.gz")).unwrap_err();
        assert!(error.to_string().starts_with("over-long IDX file"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            is_labels: bool,
        ) {
            let _ = parse_plain(&bytes, if is_labels { IdxContent::Labels } else { IdxContent::Images });
        }

        #[test]
        fn a_file_with_changed_bytes_is_refused_or_read_as_its_header_says(
            position in 0_usize..28,
            value: u8,
            cut in 0_usize..29,
        ) {
            let mut bytes = file(8, &[2, 2, 3], 12);
            bytes[position] = value;
            bytes.truncate(cut);
            if let Ok(idx) = parse_plain(&bytes, IdxContent::Images) {
                let count = idx.dimensions.iter().product::<usize>();
                prop_assert_eq!(idx.bytes.len(), count * idx.element.size());
                prop_assert_eq!(idx.bytes.len() + 4 + 4 * idx.dimensions.len(), bytes.len());
            }
        }
    }

    fn idx(element: ElementType, dimensions: &[usize], bytes: impl IntoIterator<Item = Vec<u8>>) -> IdxArray {
        let bytes = bytes.into_iter().flatten().collect();
        IdxArray { dimensions: dimensions.to_vec(), element, bytes, sha256: String::new() }
    }

    fn floats(values: &[f32]) -> IdxArray {
        idx(ElementType::F32, &[values.len(), 1], values.iter().map(|value| value.to_be_bytes().to_vec()))
    }

    fn path() -> &'static Path {
        Path::new("images")
    }

    #[test]
    fn every_type_gives_pixels_from_0_to_255() {
        let same = [
            idx(ElementType::U8, &[3, 1], [vec![0, 7, 255]]),
            idx(ElementType::I16, &[3, 1], [0_i16, 7, 255].map(|value| value.to_be_bytes().to_vec())),
            idx(ElementType::I32, &[3, 1], [0_i32, 7, 255].map(|value| value.to_be_bytes().to_vec())),
            floats(&[0.0, 7.2, 254.9]),
            idx(ElementType::F64, &[3, 1], [0_f64, 7.0, 255.0].map(|value| value.to_be_bytes().to_vec())),
        ];
        for idx in same {
            let (element, white) = (idx.element, idx.white(path()).unwrap());
            assert_eq!(idx.pixel_notice(white).is_none(), element == ElementType::U8);
            assert_eq!(idx.into_pixels(white, path()).unwrap(), [0, 7, 255], "{element:?}");
        }
        let signed = idx(ElementType::I8, &[2, 1], [vec![0, 127]]);
        assert_eq!(signed.into_pixels(255, path()).unwrap(), [0, 127]);
    }

    #[test]
    fn pixels_from_0_to_1_are_stretched() {
        let shares = floats(&[0.0, 0.5, 1.0]);
        assert_eq!(shares.white(path()).unwrap(), 1);
        assert_eq!(shares.into_pixels(1, path()).unwrap(), [0, 128, 255]);
        let bits = idx(ElementType::U8, &[2, 1], [vec![0, 1]]);
        assert_eq!(bits.white(path()).unwrap(), 1);
        assert_eq!(bits.into_pixels(1, path()).unwrap(), [0, 255]);
        // Black pixels alone do not determine the white level.
        assert_eq!(idx(ElementType::U8, &[2, 1], [vec![0, 0]]).white(path()).unwrap(), 255);
        assert_eq!(floats(&[0.0]).white(path()).unwrap(), 255);
    }

    #[test]
    fn numbers_that_are_not_pixels_are_refused_by_position() {
        for (idx, place) in [
            (floats(&[0.0, -0.5]), "value 1"),
            (floats(&[f32::NAN]), "value 0"),
            (idx(ElementType::I8, &[2, 1], [vec![1, 200]]), "found -56 among signed bytes"),
            (idx(ElementType::I16, &[1, 1], [vec![1, 0]]), "found 256 among 16-bit integers"),
        ] {
            let error = idx.white(path()).unwrap_err().to_string();
            assert!(error.contains(place) && error.contains("0 to 255"), "{error}");
        }
        let error = floats(&[0.5, 2.0]).into_pixels(1, path()).unwrap_err().to_string();
        assert!(error.contains("0 to 1, as in the training images"), "{error}");
    }

    #[test]
    fn the_first_of_several_columns_is_the_label() {
        let qmnist =
            idx(ElementType::I32, &[2, 2], [5_i32, 9, -1, 8].map(|value| value.to_be_bytes().to_vec()));
        assert_eq!(qmnist.labels(path()).unwrap(), [5, -1]);
        let error = floats(&[1.5]).labels(path()).unwrap_err().to_string();
        assert!(error.contains("label 0") && error.contains("1.5"), "{error}");
    }
}

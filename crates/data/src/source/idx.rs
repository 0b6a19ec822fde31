//! The IDX format of the MNIST files: a header with element type and dimensions, then the elements.
//!
//! Files come from anywhere, so nothing in the header is believed before the bytes are there.
//! Format: "The IDX file format" on the MNIST page (Y. `LeCun` and others), big-endian throughout.

use std::{
    io::{self, Read},
    path::Path,
};

use kiln_files::Hasher;

use super::idx_element::Element;
use crate::{
    DataError, Fault,
    data_file::{DataFile, read_error},
};

/// Examples are numbered by 32 bits, and 4 GiB of pixels are more than anyone keeps in IDX files.
const GREATEST_SIZE: u64 = 1 << 32;
const COPY_AGAIN: &str = "download or copy it again";

/// The content of one IDX file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Idx {
    /// Sizes, outermost first.
    pub(crate) dimensions: Vec<usize>,
    pub(crate) element: Element,
    /// The numbers, as they lie in the file.
    pub(crate) bytes: Vec<u8>,
    /// SHA-256 of header and numbers.
    pub(crate) sha256: String,
}

/// What the numbers of a file are, which bounds how many dimensions it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Content {
    /// Count and pixels; count, height, width; or these with colours last or before the height.
    Images,
    /// Count; or count and columns, of which the first is the class.
    Labels,
}

impl Content {
    fn allows(self, rank: usize) -> bool {
        match self {
            Self::Images => (2..=4).contains(&rank),
            Self::Labels => (1..=2).contains(&rank),
        }
    }
}

/// True if `start`, the first bytes of a file, are those of an IDX file.
pub(crate) fn begins_as_idx(start: &[u8]) -> bool {
    matches!(start, [0, 0, code, 1..=4, ..] if Element::of_code(*code).is_some())
}

/// Reads `file`, which must have numbers of this content.
pub(crate) fn read(file: &DataFile, content: Content) -> Result<Idx, DataError> {
    parse(file.open()?, file.most_bytes(), content, &file.path)
}

/// Reads IDX from `reader`, which gives at most `most_bytes`. Memory follows the bytes that arrive: a header
/// that promises more than there can be is refused.
pub(crate) fn parse(
    mut reader: impl Read,
    most_bytes: u64,
    content: Content,
    path: &Path,
) -> Result<Idx, DataError> {
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
    Ok(Idx { dimensions, element, bytes, sha256: hasher.finish() })
}

fn read_header(reader: &mut impl Read, length: usize, path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::with_capacity(length);
    reader.take(length as u64).read_to_end(&mut bytes).map_err(read_error(path))?;
    if bytes.len() < length {
        let fault = Fault::new(path, format!("{length} bytes"), bytes.len().to_string());
        return Err(DataError::unfit("truncated IDX header", fault.place("header").remedy(COPY_AGAIN)));
    }
    Ok(bytes)
}

/// The type of the numbers and how many dimensions they have.
fn check_magic(magic: &[u8], content: Content, path: &Path) -> Result<(Element, usize), DataError> {
    let fault = |expected: &str, found: String| Fault::new(path, expected, found).place("header");
    if magic[0] != 0 || magic[1] != 0 || !matches!(magic[2], 0x08..=0x0E) {
        let remedy = "is this the file that its name says?";
        let fault = fault("the bytes 00 00 08 at the start", format!("{magic:02x?}"));
        return Err(DataError::unfit("not an IDX file", fault.remedy(remedy)));
    }
    let element = Element::of_code(magic[2]).ok_or_else(|| {
        let found = "an element type that IDX does not have (0a)".to_owned();
        let fault = fault("unsigned bytes (08)", found).remedy("convert the values to 0..255");
        DataError::unfit("unsupported IDX element type", fault)
    })?;
    let rank = usize::from(magic[3]);
    if !content.allows(rank) {
        let expected = match content {
            Content::Images => "3 (images, height, width)",
            Content::Labels => "1 (labels)",
        };
        let fault = fault(expected, rank.to_string()).remedy("are the images and the labels swapped?");
        return Err(DataError::unfit("wrong number of IDX dimensions", fault));
    }
    Ok((element, rank))
}

fn count_bytes(dimensions: &[usize], element: Element, path: &Path) -> Result<u64, DataError> {
    let shape = format!("{dimensions:?}");
    if dimensions.contains(&0) {
        let fault = Fault::new(path, "at least one value", format!("dimensions {shape}")).place("header");
        return Err(DataError::unfit("empty IDX file", fault.remedy(COPY_AGAIN)));
    }
    let bytes = element.size() as u64;
    let product = dimensions.iter().try_fold(bytes, |product, &size| product.checked_mul(size as u64));
    product.filter(|&count| count <= GREATEST_SIZE).ok_or_else(|| {
        let expected = format!("at most {GREATEST_SIZE} bytes");
        let fault = Fault::new(path, expected, format!("dimensions {shape}")).place("header");
        DataError::unfit("impossible IDX size", fault.remedy(COPY_AGAIN))
    })
}

/// Reads exactly `expected` bytes, and makes sure that no more follow: only at the end of its stream does
/// gzip compare its checksum.
fn read_values(reader: impl Read, expected: u64, path: &Path) -> Result<Vec<u8>, DataError> {
    // A plain file has been seen to be this long; a compressed one that lies costs at most 64 MiB.
    let mut values = Vec::with_capacity(expected.min(64 << 20) as usize);
    let mut reader = reader.take(expected + 1);
    reader.read_to_end(&mut values).map_err(read_error(path))?;
    let found = values.len() as u64;
    if found < expected {
        return Err(truncated(path, expected, found.to_string()));
    }
    if found > expected {
        let more = io::copy(&mut reader.into_inner().take(GREATEST_SIZE), &mut io::sink()).unwrap_or(0);
        let fault = Fault::new(path, format!("{expected} bytes"), (found + more).to_string());
        return Err(DataError::unfit(
            "over-long IDX file",
            fault.place("after the header").remedy(COPY_AGAIN),
        ));
    }
    Ok(values)
}

fn truncated(path: &Path, expected: u64, found: String) -> DataError {
    let fault = Fault::new(path, format!("{expected} bytes"), found);
    DataError::unfit("truncated IDX file", fault.place("after the header").remedy(COPY_AGAIN))
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

    fn parse_plain(bytes: &[u8], content: Content) -> Result<Idx, DataError> {
        parse(bytes, bytes.len() as u64, content, Path::new("file"))
    }

    #[test]
    fn a_whole_file_is_read_and_hashed() {
        let bytes = file(8, &[2, 2, 3], 12);
        let idx = parse_plain(&bytes, Content::Images).unwrap();
        assert_eq!(idx.dimensions, [2, 2, 3]);
        assert_eq!(idx.sha256, kiln_files::sha256_hex(&bytes));
        assert_eq!((idx.element, idx.bytes), (Element::U8, (0..12).collect::<Vec<u8>>()));
    }

    #[test]
    fn a_header_that_promises_more_than_there_is_costs_no_memory() {
        // 4 GiB promised by 16 bytes: refused before anything of that size is asked for.
        let error = parse_plain(&header(8, &[65_536, 256, 256]), Content::Images).unwrap_err();
        assert!(error.to_string().starts_with("truncated IDX file"), "{error}");
    }

    #[test]
    fn a_gzip_bomb_is_read_no_further_than_its_header_says() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&header(8, &[1, 2, 2])).unwrap();
        encoder.write_all(&vec![0; 50_000_000]).unwrap();
        let bomb = encoder.finish().unwrap();
        let reader = flate2::read::MultiGzDecoder::new(&bomb[..]);
        let error =
            parse(reader, bomb.len() as u64 * 1032, Content::Images, Path::new("bomb.gz")).unwrap_err();
        assert!(error.to_string().starts_with("over-long IDX file"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            is_labels: bool,
        ) {
            let _ = parse_plain(&bytes, if is_labels { Content::Labels } else { Content::Images });
        }

        #[test]
        fn a_mutated_file_is_refused_or_read_as_what_it_says(
            position in 0_usize..28,
            value: u8,
            cut in 0_usize..29,
        ) {
            let mut bytes = file(8, &[2, 2, 3], 12);
            bytes[position] = value;
            bytes.truncate(cut);
            if let Ok(idx) = parse_plain(&bytes, Content::Images) {
                let count = idx.dimensions.iter().product::<usize>();
                prop_assert_eq!(idx.bytes.len(), count * idx.element.size());
                prop_assert_eq!(idx.bytes.len() + 4 + 4 * idx.dimensions.len(), bytes.len());
            }
        }
    }
}

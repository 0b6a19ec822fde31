//! The IDX format of the MNIST files: a header with element type and dimensions, then the elements.
//!
//! Files come from anywhere, so nothing in the header is believed before the bytes are there.
//! Format: "The IDX file format" on the MNIST page (Y. `LeCun` and others), big-endian throughout.

use std::{
    io::{self, Read},
    path::Path,
};

use kiln_files::Hasher;

use crate::{
    DataError, Fault,
    data_file::{DataFile, read_error},
};

/// The element type that MNIST-style files have.
const UNSIGNED_BYTE: u8 = 0x08;
/// Examples are numbered by 32 bits, and 4 GiB of pixels are more than anyone keeps in IDX files.
const GREATEST_SIZE: u64 = 1 << 32;
const COPY_AGAIN: &str = "download or copy it again";

/// The content of one IDX file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Idx {
    /// Sizes, outermost first.
    pub(crate) dimensions: Vec<usize>,
    pub(crate) values: Vec<u8>,
    /// SHA-256 of header and values.
    pub(crate) sha256: String,
}

/// Reads `file`, which must have `rank` dimensions of unsigned bytes.
pub(crate) fn read(file: &DataFile, rank: usize) -> Result<Idx, DataError> {
    parse(file.open()?, file.most_bytes(), rank, &file.path)
}

/// Reads IDX from `reader`, which gives at most `most_bytes`. Memory follows the bytes that arrive: a header
/// that promises more than there can be is refused.
pub(crate) fn parse(
    mut reader: impl Read,
    most_bytes: u64,
    rank: usize,
    path: &Path,
) -> Result<Idx, DataError> {
    let mut hasher = Hasher::default();
    let magic = read_header(&mut reader, 4, path)?;
    check_magic(&magic, rank, path)?;
    let sizes = read_header(&mut reader, 4 * rank, path)?;
    hasher.update(&magic);
    hasher.update(&sizes);
    let dimensions: Vec<usize> =
        sizes.as_chunks().0.iter().map(|&size| u32::from_be_bytes(size) as usize).collect();
    let expected = count_values(&dimensions, path)?;
    let most_values = most_bytes.saturating_sub((magic.len() + sizes.len()) as u64);
    if expected > most_values {
        return Err(truncated(path, expected, format!("at most {most_values}")));
    }
    let values = read_values(reader, expected, path)?;
    hasher.update(&values);
    Ok(Idx { dimensions, values, sha256: hasher.finish() })
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

fn check_magic(magic: &[u8], rank: usize, path: &Path) -> Result<(), DataError> {
    let fault = |expected: String, found: String| Fault::new(path, expected, found).place("header");
    if magic[0] != 0 || magic[1] != 0 || !matches!(magic[2], 0x08..=0x0E) {
        let found = format!("{magic:02x?}");
        let remedy = "is this the file that its name says?";
        return Err(DataError::unfit(
            "not an IDX file",
            fault("the bytes 00 00 08 at the start".to_owned(), found).remedy(remedy),
        ));
    }
    if magic[2] != UNSIGNED_BYTE {
        let found = type_name(magic[2]).to_owned();
        return Err(DataError::unfit(
            "unsupported IDX element type",
            fault("unsigned bytes (08)".to_owned(), found).remedy("convert the values to 0..255"),
        ));
    }
    if usize::from(magic[3]) != rank {
        let expected = format!("{rank} ({})", if rank == 3 { "images, height, width" } else { "labels" });
        let remedy = "are the images and the labels swapped?";
        return Err(DataError::unfit(
            "wrong number of IDX dimensions",
            fault(expected, magic[3].to_string()).remedy(remedy),
        ));
    }
    Ok(())
}

fn type_name(code: u8) -> &'static str {
    match code {
        0x09 => "signed bytes (09)",
        0x0B => "16-bit integers (0b)",
        0x0C => "32-bit integers (0c)",
        0x0D => "32-bit floats (0d)",
        0x0E => "64-bit floats (0e)",
        _ => "an element type that IDX does not have (0a)",
    }
}

fn count_values(dimensions: &[usize], path: &Path) -> Result<u64, DataError> {
    let shape = format!("{dimensions:?}");
    if dimensions.contains(&0) {
        let fault = Fault::new(path, "at least one value", format!("dimensions {shape}")).place("header");
        return Err(DataError::unfit("empty IDX file", fault.remedy(COPY_AGAIN)));
    }
    let product = dimensions.iter().try_fold(1_u64, |product, &size| product.checked_mul(size as u64));
    product.filter(|&count| count <= GREATEST_SIZE).ok_or_else(|| {
        let expected = format!("at most {GREATEST_SIZE} values");
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

    fn parse_plain(bytes: &[u8], rank: usize) -> Result<Idx, DataError> {
        parse(bytes, bytes.len() as u64, rank, Path::new("file"))
    }

    #[test]
    fn a_whole_file_is_read_and_hashed() {
        let bytes = file(8, &[2, 2, 3], 12);
        let idx = parse_plain(&bytes, 3).unwrap();
        assert_eq!(idx.dimensions, [2, 2, 3]);
        assert_eq!(idx.values, (0..12).collect::<Vec<u8>>());
        assert_eq!(idx.sha256, kiln_files::sha256_hex(&bytes));
    }

    #[test]
    fn a_header_that_promises_more_than_there_is_costs_no_memory() {
        // 4 GiB promised by 16 bytes: refused before anything of that size is asked for.
        let error = parse_plain(&header(8, &[65_536, 256, 256]), 3).unwrap_err();
        assert!(error.to_string().starts_with("truncated IDX file"), "{error}");
    }

    #[test]
    fn a_gzip_bomb_is_read_no_further_than_its_header_says() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&header(8, &[1, 2, 2])).unwrap();
        encoder.write_all(&vec![0; 50_000_000]).unwrap();
        let bomb = encoder.finish().unwrap();
        let reader = flate2::read::MultiGzDecoder::new(&bomb[..]);
        let error = parse(reader, bomb.len() as u64 * 1032, 3, Path::new("bomb.gz")).unwrap_err();
        assert!(error.to_string().starts_with("over-long IDX file"), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            rank in 1_usize..4,
        ) {
            let _ = parse_plain(&bytes, rank);
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
            if let Ok(idx) = parse_plain(&bytes, 3) {
                prop_assert_eq!(idx.values.len(), idx.dimensions.iter().product::<usize>());
                prop_assert_eq!(idx.values.len() + 16, bytes.len());
            }
        }
    }
}

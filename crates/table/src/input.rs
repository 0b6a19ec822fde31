//! Input: opens a file, a pipe or standard input, decompresses gzip, detects the encoding and decodes to text.
//!
//! A thread reads, decodes and hashes ahead while the caller splits the blocks before.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use flate2::read::MultiGzDecoder;
use kiln_files::Hasher;

use crate::{Mismatch, TableError};

/// The number of bytes per read.
const BLOCK: usize = 1 << 18;
/// The first bytes of a gzip file.
pub const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Size and hash of a file that has been read to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Uncompressed size.
    pub bytes: u64,
    /// SHA-256 of the uncompressed bytes, in hexadecimal.
    pub sha256: String,
}

/// True if `path` stands for standard input.
#[must_use]
pub fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// Opens the file or pipe at `path`, or standard input for `-`, and decompresses it if it is gzip.
pub(crate) fn open(path: &Path) -> Result<Box<dyn Read + Send>, TableError> {
    let refused = |source| TableError::Read { path: path.to_owned(), source };
    let mut reader: Box<dyn Read + Send> = if is_standard_input(path) {
        Box::new(io::stdin())
    } else {
        if path.is_dir() || !path.exists() {
            let found = if path.exists() { "a folder" } else { "nothing" };
            let mismatch = Mismatch::new(path, "a file with a table", found);
            return Err(TableError::unfit(
                "missing data",
                mismatch.remedy("check data.path, data.test_path or the given path"),
            ));
        }
        Box::new(File::open(path).map_err(refused)?)
    };
    let mut start = vec![0; 2];
    let length = read_fully(&mut reader, &mut start).map_err(refused)?;
    start.truncate(length);
    let is_gzip = start == GZIP;
    let whole = io::Cursor::new(start).chain(reader);
    Ok(if is_gzip {
        Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(1 << 16, whole)))
    } else {
        Box::new(whole)
    })
}

/// Reads until `buffer` is full or the file ends.
pub(crate) fn read_fully(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// The text of a table, block by block. A separate thread reads and hashes ahead.
pub(crate) struct TextStream {
    chunks: Receiver<Result<Chunk, TableError>>,
    path: PathBuf,
    /// The encoding, if it is a guess.
    pub(crate) guessed_encoding: Option<&'static str>,
}

/// The next part of a [`TextStream`].
pub(crate) enum Chunk {
    Text(String),
    /// The end of the file.
    End(Content),
}

impl TextStream {
    /// Decodes `reader` from `encoding`, or from a detected encoding. `path` is for messages.
    pub(crate) fn new(
        mut reader: Box<dyn Read + Send>,
        path: &Path,
        encoding: Option<&'static Encoding>,
    ) -> Result<Self, TableError> {
        let mut first = vec![0; BLOCK];
        let length = read_fully(&mut *reader, &mut first).map_err(|error| read_error(path, error))?;
        first.truncate(length);
        let (found, is_guess) = detect_encoding(&first, length < BLOCK);
        let guessed_encoding = (encoding.is_none() && is_guess).then(|| found.name());
        let (sender, chunks) = sync_channel(4);
        let block_reader = BlockReader { reader, path: path.to_owned(), encoding: encoding.unwrap_or(found) };
        thread::spawn(move || {
            if let Err(error) = block_reader.run(first, &sender) {
                // The receiver is gone only if the caller gave up reading.
                let _ = sender.send(Err(error));
            }
        });
        Ok(Self { chunks, path: path.to_owned(), guessed_encoding })
    }

    pub(crate) fn next(&mut self) -> Result<Chunk, TableError> {
        self.chunks.recv().unwrap_or_else(|_| {
            let source = io::Error::other("reading stopped before the end");
            Err(TableError::Read { path: self.path.clone(), source })
        })
    }
}

/// Reads, decodes and hashes the blocks of a file in a thread, and sends their text.
struct BlockReader {
    reader: Box<dyn Read + Send>,
    path: PathBuf,
    encoding: &'static Encoding,
}

impl BlockReader {
    fn run(
        mut self,
        first: Vec<u8>,
        sender: &SyncSender<Result<Chunk, TableError>>,
    ) -> Result<(), TableError> {
        let mut decoder = TextDecoder::new(self.encoding);
        let (mut hasher, mut bytes, mut lines) = (Hasher::default(), 0, 1);
        let mut block = first;
        let mut is_first = true;
        loop {
            hasher.update(&block);
            bytes += block.len() as u64;
            let is_last = block.len() < BLOCK;
            let mut text = String::new();
            let is_good = decoder.decode(block, is_last, &mut text);
            if std::mem::take(&mut is_first) && text.starts_with('\u{feff}') {
                text.remove(0);
            }
            if !is_good {
                lines += text.matches('\n').count();
                return Err(self.not_text(lines));
            }
            lines += memchr::memchr_iter(b'\n', text.as_bytes()).count();
            if sender.send(Ok(Chunk::Text(text))).is_err() {
                return Ok(());
            }
            if is_last {
                let _ = sender.send(Ok(Chunk::End(Content { bytes, sha256: hasher.finish() })));
                return Ok(());
            }
            block = vec![0; BLOCK];
            let length =
                read_fully(&mut *self.reader, &mut block).map_err(|error| read_error(&self.path, error))?;
            block.truncate(length);
        }
    }

    fn not_text(&self, line: usize) -> TableError {
        let mismatch = Mismatch::new(&self.path, format!("{} text", self.encoding.name()), "other bytes");
        let remedy = "save the file as UTF-8, or set data.encoding, for example to \"windows-1252\"";
        TableError::unfit("not a text file", mismatch.place(format!("line {line}")).remedy(remedy))
    }
}

/// Turns an error from reading `path` into one of this crate: either the gzip data is damaged or the disk failed.
#[must_use]
pub fn read_error(path: &Path, error: io::Error) -> TableError {
    match error.kind() {
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            let mismatch = Mismatch::new(path, "a complete gzip file", error.to_string());
            TableError::unfit("damaged gzip file", mismatch.remedy("delete it and download or copy it again"))
        }
        _ => TableError::Read { path: path.to_owned(), source: error },
    }
}

/// The encoding of a file that begins with `sample`, and whether it is a guess. Without a byte-order mark, bytes that are not
/// UTF-8 count as Windows-1252, a superset of printable Latin-1.
fn detect_encoding(sample: &[u8], is_whole: bool) -> (&'static Encoding, bool) {
    if let Some((encoding, _)) = Encoding::for_bom(sample) {
        return (encoding, false);
    }
    if let Some(encoding) = utf_16_without_mark(sample) {
        return (encoding, true);
    }
    match std::str::from_utf8(sample) {
        Ok(_) => (UTF_8, false),
        // The end of the sample splits a character.
        Err(error) if error.error_len().is_none() && !is_whole => (UTF_8, false),
        Err(_) => (WINDOWS_1252, true),
    }
}

/// Detects UTF-16 by its zeros: every second byte of ASCII letters, digits and separators is zero.
fn utf_16_without_mark(sample: &[u8]) -> Option<&'static Encoding> {
    let pairs = sample.len() / 2;
    if pairs < 8 {
        return None;
    }
    let zeros = |offset: usize| sample.iter().skip(offset).step_by(2).filter(|&&byte| byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    if odd * 10 > pairs * 6 && even * 10 < pairs {
        Some(UTF_16LE)
    } else if even * 10 > pairs * 6 && odd * 10 < pairs {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// Decodes bytes block by block.
enum TextDecoder {
    /// Only validates. Holds the first bytes of a character that a block boundary splits.
    Utf8(Vec<u8>),
    Other(Decoder),
}

impl TextDecoder {
    fn new(encoding: &'static Encoding) -> Self {
        if encoding == UTF_8 {
            Self::Utf8(Vec::new())
        } else {
            Self::Other(encoding.new_decoder_with_bom_removal())
        }
    }

    /// Appends the text of `bytes` to `text`; false if they are invalid in this encoding.
    fn decode(&mut self, bytes: Vec<u8>, is_last: bool, text: &mut String) -> bool {
        match self {
            Self::Utf8(carry) => {
                let mut bytes = bytes;
                if !carry.is_empty() {
                    carry.extend_from_slice(&bytes);
                    bytes = std::mem::take(carry);
                }
                match String::from_utf8(bytes) {
                    Ok(whole) if text.is_empty() => *text = whole,
                    Ok(whole) => text.push_str(&whole),
                    Err(error) => {
                        let (valid, mismatch) =
                            (error.utf8_error().valid_up_to(), error.utf8_error().error_len());
                        let bytes = error.into_bytes();
                        text.push_str(&String::from_utf8_lossy(&bytes[..valid]));
                        if mismatch.is_some() || is_last {
                            return false;
                        }
                        carry.extend_from_slice(&bytes[valid..]);
                    }
                }
                true
            }
            Self::Other(decoder) => {
                let room = decoder.max_utf8_buffer_length(bytes.len()).unwrap_or(bytes.len() * 3 + 16);
                text.reserve(room);
                let (_, _, had_errors) = decoder.decode_to_string(&bytes, text, is_last);
                !had_errors
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of `bytes` in blocks of `size`; `None` if they are invalid in the detected encoding.
    fn text(bytes: &[u8], size: usize) -> Option<String> {
        let mut decoder = TextDecoder::new(detect_encoding(bytes, true).0);
        let mut text = String::new();
        let blocks: Vec<&[u8]> = bytes.chunks(size).collect();
        for (at, block) in blocks.iter().enumerate() {
            let mut more = String::new();
            if !decoder.decode(block.to_vec(), at + 1 == blocks.len(), &mut more) {
                return None;
            }
            text.push_str(&more);
        }
        Some(text)
    }

    #[test]
    fn encodings_are_found_with_a_mark_and_without() {
        let wanted = "größe;naïve;k\r\n1,5;x;€\r\n";
        let wide = |order: fn(u16) -> [u8; 2]| wanted.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        let (little, big) = (wide(u16::to_le_bytes), wide(u16::to_be_bytes));
        let marked = |mark: &[u8], bytes: &[u8]| [mark, bytes].concat();
        let windows = WINDOWS_1252.encode(wanted).0.into_owned();
        for (bytes, encoding, is_guess) in [
            (wanted.as_bytes().to_vec(), UTF_8, false),
            (marked(b"\xef\xbb\xbf", wanted.as_bytes()), UTF_8, false),
            (marked(b"\xff\xfe", &little), UTF_16LE, false),
            (marked(b"\xfe\xff", &big), UTF_16BE, false),
            (little, UTF_16LE, true),
            (big, UTF_16BE, true),
            (windows, WINDOWS_1252, true),
        ] {
            assert_eq!(detect_encoding(&bytes, true), (encoding, is_guess));
            for size in [1, 2, 3, 1000] {
                let found = text(&bytes, size).unwrap();
                assert_eq!(found.trim_start_matches('\u{feff}'), wanted, "{}, {size}", encoding.name());
            }
        }
    }

    #[test]
    fn the_end_of_the_sample_may_split_a_character_but_the_end_of_the_file_may_not() {
        let cut = &"1,ö".as_bytes()[..3];
        assert_eq!(detect_encoding(cut, false), (UTF_8, false));
        assert_eq!(detect_encoding(cut, true), (WINDOWS_1252, true));
        assert!(!TextDecoder::new(UTF_8).decode(cut.to_vec(), true, &mut String::new()));
        assert_eq!(text(&[], 1).as_deref(), Some(""));
    }
}

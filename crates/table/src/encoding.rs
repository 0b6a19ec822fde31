//! Bytes to text.

use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Which encoding `sample`, the beginning of a file, is in, and whether that is a guess: without a byte-order mark, what is
/// no UTF-8 is taken for Windows-1252, which Latin-1 is a part of.
pub(crate) fn detect(sample: &[u8], is_whole: bool) -> (&'static Encoding, bool) {
    if let Some((encoding, _)) = Encoding::for_bom(sample) {
        return (encoding, false);
    }
    if let Some(encoding) = utf_16_without_mark(sample) {
        return (encoding, true);
    }
    match std::str::from_utf8(sample) {
        Ok(_) => (UTF_8, false),
        // A character that the end of the sample cuts in two.
        Err(error) if error.error_len().is_none() && !is_whole => (UTF_8, false),
        Err(_) => (WINDOWS_1252, true),
    }
}

/// In UTF-16, every second byte of plain letters, digits and separators is zero.
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

/// Text from bytes, block by block.
pub(crate) enum Decoding {
    /// Checked, not changed: the bytes of a character that a block cut in two are kept for the next.
    Utf8(Vec<u8>),
    Other(Decoder),
}

impl Decoding {
    pub(crate) fn new(encoding: &'static Encoding) -> Self {
        if encoding == UTF_8 {
            Self::Utf8(Vec::new())
        } else {
            Self::Other(encoding.new_decoder_with_bom_removal())
        }
    }

    /// Adds the text of `bytes` to `text`; false where they are not in the encoding.
    pub(crate) fn decode(&mut self, bytes: Vec<u8>, is_last: bool, text: &mut String) -> bool {
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
                        let (valid, fault) =
                            (error.utf8_error().valid_up_to(), error.utf8_error().error_len());
                        let bytes = error.into_bytes();
                        text.push_str(&String::from_utf8_lossy(&bytes[..valid]));
                        if fault.is_some() || is_last {
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

    /// The text of `bytes` in blocks of `size`; none where they are not in the encoding that they seem to be in.
    fn text(bytes: &[u8], size: usize) -> Option<String> {
        let mut decoding = Decoding::new(detect(bytes, true).0);
        let mut text = String::new();
        let blocks: Vec<&[u8]> = bytes.chunks(size).collect();
        for (at, block) in blocks.iter().enumerate() {
            let mut more = String::new();
            if !decoding.decode(block.to_vec(), at + 1 == blocks.len(), &mut more) {
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
            assert_eq!(detect(&bytes, true), (encoding, is_guess));
            for size in [1, 2, 3, 1000] {
                let found = text(&bytes, size).unwrap();
                assert_eq!(found.trim_start_matches('\u{feff}'), wanted, "{}, {size}", encoding.name());
            }
        }
    }

    #[test]
    fn a_character_may_be_cut_by_the_end_of_the_sample_and_of_no_file() {
        let cut = &"1,ö".as_bytes()[..3];
        assert_eq!(detect(cut, false), (UTF_8, false));
        assert_eq!(detect(cut, true), (WINDOWS_1252, true));
        assert!(!Decoding::new(UTF_8).decode(cut.to_vec(), true, &mut String::new()));
        assert_eq!(text(&[], 1).as_deref(), Some(""));
    }
}

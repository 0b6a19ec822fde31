//! Formats that are no text, made text.

use std::io::Read;
use std::path::Path;

use crate::TableError;

/// What archives, and Excel's workbooks, begin with.
pub(crate) const ZIP: &[u8] = b"PK\x03\x04";
/// What Excel's older workbooks begin with.
pub(crate) const OLD_OFFICE: &[u8] = &[0xd0, 0xcf, 0x11, 0xe0];
/// What Parquet files begin with.
pub(crate) const PARQUET: &[u8] = b"PAR1";

/// The bytes of a table as text: those of a workbook or a Parquet file are made text first, where the program can. `start`
/// is what has been read of `rest`; it becomes the beginning of the text.
#[cfg_attr(
    not(any(feature = "excel", feature = "parquet")),
    expect(
        unused_variables,
        clippy::unnecessary_wraps,
        clippy::ptr_arg,
        reason = "nothing is made text in this build"
    )
)]
pub(crate) fn packed(
    start: &mut Vec<u8>,
    rest: Box<dyn Read + Send>,
    path: &Path,
) -> Result<Box<dyn Read + Send>, TableError> {
    let whole = std::io::Cursor::new(start.clone()).chain(rest);
    #[cfg(feature = "excel")]
    if start.starts_with(ZIP) || start.starts_with(OLD_OFFICE) {
        let (mut whole, mut bytes) = (whole, Vec::new());
        whole.read_to_end(&mut bytes).map_err(|error| crate::input::read_error(path, error))?;
        start.clear();
        return Ok(Box::new(std::io::Cursor::new(crate::excel::as_csv(bytes, path)?)));
    }
    #[cfg(feature = "parquet")]
    if start.starts_with(PARQUET) && path.is_file() {
        start.clear();
        return crate::parquet_file::as_csv(path);
    }
    Ok(Box::new(whole))
}

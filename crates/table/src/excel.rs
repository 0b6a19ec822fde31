//! Excel's workbooks: the first sheet that has rows, as text.

use std::io::Cursor;
use std::path::Path;

use calamine::{Data, Reader, open_workbook_auto_from_rs};

use crate::{Fault, TableError, foreign};

/// The first sheet with rows in the workbook `bytes`, as CSV: line by line what the sheet has row by row.
pub(crate) fn as_csv(bytes: Vec<u8>, path: &Path) -> Result<Vec<u8>, TableError> {
    let broken = |found: String| {
        let fault = Fault::new(path, "an Excel workbook", found);
        TableError::unfit("broken Excel file", fault.remedy("save the sheet as CSV"))
    };
    let mut workbook = open_workbook_auto_from_rs(Cursor::new(bytes)).map_err(|_| {
        foreign::refused(path, "a ZIP archive or a damaged Excel file; unpack it, or save its sheet as CSV")
    })?;
    for name in workbook.sheet_names() {
        let range = workbook.worksheet_range(&name).map_err(|error| broken(error.to_string()))?;
        if range.is_empty() {
            continue;
        }
        // Rows above the first that is used count, so that a line is a row of the sheet.
        let above = range.start().map_or(0, |(row, _)| row as usize);
        let rows = range.rows().map(|row| row.iter().map(text).collect::<Vec<String>>());
        let mut csv = vec![b'\n'; above];
        csv.extend(kiln_files::csv_text(rows));
        return Ok(csv);
    }
    Err(broken("no sheet with rows".to_owned()))
}

fn text(cell: &Data) -> String {
    let text = match cell {
        Data::DateTime(moment) => moment
            .as_datetime()
            .map_or_else(|| moment.to_string(), |moment| moment.format("%Y-%m-%d %H:%M:%S").to_string()),
        Data::Error(_) | Data::Empty => String::new(),
        cell => cell.to_string(),
    };
    text.replace(['\n', '\r'], " ")
}

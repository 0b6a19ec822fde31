//! The rows of a csv file without a label.

use std::fs::File;
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder, Trim};

use crate::source::table::{column_names, number, read_record};
use crate::{DataError, Fault};

/// The values of `columns` in each row of the csv file at `path`. The file may have them in any order, and other
/// columns besides, which are left out.
pub(super) fn read(path: &Path, columns: &[String]) -> Result<Vec<Vec<f32>>, DataError> {
    let file = File::open(path).map_err(DataError::read(path))?;
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(file);
    let mut record = ByteRecord::new();
    if !read_record(&mut reader, &mut record, path)? {
        return Err(DataError::unfit("empty csv file", Fault::new(path, "a header and rows", "no line")));
    }
    let names = column_names(&record, path)?;
    let places = places(columns, &names, path)?;
    let mut rows = Vec::new();
    while read_record(&mut reader, &mut record, path)? {
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != names.len() {
            let expected = format!("{} cells, as in the header", names.len());
            let fault = Fault::new(path, expected, record.len().to_string());
            return Err(DataError::unfit("ragged csv row", fault.place(format!("line {line}"))));
        }
        let value = |&place: &usize| {
            number(&record[place], path, || format!("line {line}, column \"{}\"", names[place]))
        };
        rows.push(places.iter().map(value).collect::<Result<_, _>>()?);
    }
    if rows.is_empty() {
        return Err(DataError::unfit(
            "csv file without rows",
            Fault::new(path, "at least one row below the header", "none"),
        ));
    }
    Ok(rows)
}

/// Where each of `columns` stands among `names`.
fn places(columns: &[String], names: &[String], path: &Path) -> Result<Vec<usize>, DataError> {
    let place = |column: &String| names.iter().position(|name| name == column);
    let missing: Vec<&str> =
        columns.iter().filter(|column| place(column).is_none()).map(String::as_str).collect();
    if !missing.is_empty() {
        let expected = format!("the columns of the training data: {}", columns.join(", "));
        let fault = Fault::new(path, expected, format!("no {}", missing.join(", no "))).place("line 1");
        return Err(DataError::unfit("csv columns differ", fault));
    }
    Ok(columns.iter().filter_map(place).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Vec<f32>>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        std::fs::write(&path, text).unwrap();
        read(&path, &["x".to_owned(), "y".to_owned()]).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_are_found_by_name() {
        assert_eq!(read_text("label,y,x\na,2,1\nb,4,3\n").unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (text, message) in [
            ("", "found no line"),
            ("x,z\n1,2\n", "found no y"),
            ("x,y\n", "found none"),
            ("x,y\n1\n", "line 2: expected 2 cells"),
            ("x,y\n1,nan\n", "line 2, column \"y\": expected a finite number"),
        ] {
            let error = read_text(text).unwrap_err();
            assert!(error.contains(message), "{message:?} in {error}");
        }
    }
}

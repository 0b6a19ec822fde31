//! Parquet files, as text.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::thread;

use jiff::Timestamp;
use jiff::civil::Date;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use crate::{Fault, TableError};

/// The rows of the Parquet file at `path` as CSV below a header, written by a thread of its own while they are read.
pub(crate) fn as_csv(path: &Path) -> Result<Box<dyn Read + Send>, TableError> {
    let refused = |source| TableError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(refused)?;
    let broken =
        |found: String| TableError::unfit("broken Parquet file", Fault::new(path, "a Parquet file", found));
    let reader = SerializedFileReader::new(file).map_err(|error| broken(error.to_string()))?;
    let (output, input) = io::pipe().map_err(refused)?;
    thread::spawn(move || {
        // Where nobody reads any more, nobody wants to know; a row that cannot be read ends the text.
        let _ = write_rows(&reader, input);
    });
    Ok(Box::new(output))
}

fn write_rows(reader: &SerializedFileReader<File>, pipe: impl Write) -> io::Result<()> {
    let mut writer = BufWriter::new(pipe);
    let schema = reader.metadata().file_metadata().schema_descr();
    let names: Vec<String> =
        schema.root_schema().get_fields().iter().map(|field| field.name().to_owned()).collect();
    writer.write_all(&kiln_files::csv_text([names]))?;
    for row in reader.get_row_iter(None).map_err(io::Error::other)? {
        let row = row.map_err(io::Error::other)?;
        let cells: Vec<String> = row.get_column_iter().map(|(_, field)| text(field)).collect();
        writer.write_all(&kiln_files::csv_text([cells]))?;
    }
    writer.flush()
}

fn text(field: &Field) -> String {
    let moment = |moment: Result<Timestamp, jiff::Error>| {
        moment.map(|moment| moment.strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
    };
    match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Date(days) => {
            let date = Date::constant(1970, 1, 1).checked_add(jiff::Span::new().days(i64::from(*days)));
            date.map(|date| date.to_string()).unwrap_or_default()
        }
        Field::TimestampMillis(millis) => moment(Timestamp::from_millisecond(*millis)),
        Field::TimestampMicros(micros) => moment(Timestamp::from_microsecond(*micros)),
        Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).into_owned(),
        // Display rounds numbers.
        Field::Double(number) => number.to_string(),
        Field::Float(number) => number.to_string(),
        field => field.to_string(),
    }
}

//! Small tables as CSV, quoted where a class name needs it.

/// The rows as CSV, lines ending in `\n`.
pub(crate) fn csv_text(rows: impl IntoIterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).expect("a vector takes all that is written to it");
    }
    writer.into_inner().expect("a vector takes all that is written to it")
}

/// A cell, in quotes if need be, without the end of the line.
pub(crate) fn csv_cell(text: &str) -> Vec<u8> {
    let mut cell = csv_text([vec![text.to_owned()]]);
    cell.pop();
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let cells = ["plain", "a,b", "say \"hi\"", ""].map(|text| String::from_utf8(csv_cell(text)).unwrap());
        assert_eq!(cells, ["plain", "\"a,b\"", "\"say \"\"hi\"\"\"", "\"\""]);
    }
}

//! Values as the text of files.

use std::error::Error;

use serde::Serialize;

/// `value` as JSON for people, ending in a line break.
///
/// # Panics
/// If it holds what JSON cannot: a map whose keys are no text.
#[must_use]
pub fn json_text(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("plain data is all that JSON needs");
    text.push(b'\n');
    text
}

/// The rows as CSV, quoted where they must be, lines ending in `\n`.
///
/// # Panics
/// Never: a vector takes all that is written to it.
#[must_use]
pub fn csv_text(rows: impl IntoIterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).expect("a vector takes all that is written to it");
    }
    writer.into_inner().expect("a vector takes all that is written to it")
}

/// What `error` says, then what each of its causes says, on one line: `cannot write x: permission denied`.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A cell, in quotes if need be, without the end of the line.
#[must_use]
pub fn csv_cell(text: &str) -> Vec<u8> {
    let mut cell = csv_text([vec![text.to_owned()]]);
    cell.pop();
    cell
}

/// The first `most` characters of `text`, with an ellipsis where there are more.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(["äöü", "äöüß"].map(|text| shortened(text, 3)), ["äöü", "äöü…"]);
    }

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let cells = ["plain", "a,b", "say \"hi\"", ""].map(|text| String::from_utf8(csv_cell(text)).unwrap());
        assert_eq!(cells, ["plain", "\"a,b\"", "\"say \"\"hi\"\"\"", "\"\""]);
    }
}

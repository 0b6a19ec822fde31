//! Weka's ARFF: attributes that are declared one by one, then rows.

use std::path::Path;

use crate::form::Form;
use crate::input::Text;
use crate::layout::Layout;
use crate::records::{Buffer, Records, TextRows};
use crate::splitter::Splitter;
use crate::words::quoted;
use crate::{Fault, TableError};

/// True if `text` begins as an ARFF file does.
pub(crate) fn is_arff(text: &str) -> bool {
    let declaration = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('%'));
    declaration.is_some_and(|line| has_keyword(line, "@relation"))
}

/// Reads the declarations, and gives the rows below them.
pub(crate) fn open(mut text: Text, mut buffer: Buffer, path: &Path) -> Result<Records, TableError> {
    let (mut names, mut listed) = (Vec::new(), Vec::new());
    let mut line = 0;
    loop {
        let Some((declaration, next)) = take_line(&mut text, &mut buffer)? else {
            return Err(fault(path, line, "@data", "the end of the file"));
        };
        line += 1;
        buffer.at = next;
        let declaration = declaration.trim();
        if has_keyword(declaration, "@data") {
            break;
        }
        if has_keyword(declaration, "@attribute") {
            let (name, kind) = attribute(&declaration["@attribute".len()..])
                .ok_or_else(|| fault(path, line, "@attribute NAME TYPE", &quoted(declaration)))?;
            if kind.starts_with('{') {
                listed.push(names.len());
            }
            names.push(name);
        }
    }
    if names.is_empty() {
        return Err(fault(path, line, "an @attribute above @data", "none"));
    }
    buffer.text.drain(..buffer.at);
    buffer.at = 0;
    buffer.fill(&mut text, 1 << 12)?;
    if buffer.text.trim_start().starts_with('{') {
        let found = "rows in braces, which name the few values that are not zero";
        return Err(fault(path, line + 1, "rows with a value for every attribute", found));
    }
    let form = Form { single_quotes: true, comment: Some('%'), header: false, ..Form::plain() };
    let mut splitter = Splitter::new(&form, path).with_escapes();
    splitter.skip_lines(line);
    let width = names.len();
    let layout = Layout::named(form, names, width);
    Ok(Records::new(TextRows { text, buffer, splitter }, layout, path, listed))
}

/// The line at the buffer's place, and where the next one begins.
fn take_line(text: &mut Text, buffer: &mut Buffer) -> Result<Option<(String, usize)>, TableError> {
    loop {
        let rest = &buffer.text[buffer.at..];
        if let Some(length) = rest.find(['\n', '\r']) {
            let ends_in_pair = rest[length..].starts_with("\r\n");
            let next = buffer.at + length + if ends_in_pair { 2 } else { 1 };
            return Ok(Some((rest[..length].to_owned(), next)));
        }
        if buffer.is_all {
            return Ok((!rest.is_empty()).then(|| (rest.to_owned(), buffer.text.len())));
        }
        buffer.advance(text)?;
    }
}

fn has_keyword(line: &str, keyword: &str) -> bool {
    line.get(..keyword.len()).is_some_and(|start| start.eq_ignore_ascii_case(keyword))
}

/// Name and type of an attribute.
fn attribute(text: &str) -> Option<(String, String)> {
    let text = text.trim_start();
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'));
    let (name, kind) = if let Some(quote) = quote {
        quoted_name(&text[1..], quote)?
    } else {
        let (name, kind) = text.split_at(text.find([' ', '\t', '{'])?);
        (name.to_owned(), kind)
    };
    let kind = kind.trim();
    (!name.is_empty() && !kind.is_empty()).then(|| (name, kind.to_owned()))
}

/// The name that `text` begins with, up to `quote`, and what follows it. A quote that is doubled, or stands behind `\`, belongs
/// to the name.
fn quoted_name(text: &str, quote: char) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let next = characters.peek().map(|&(_, next)| next);
        match character {
            '\\' if next == Some(quote) => {
                characters.next();
                name.push(quote);
            }
            _ if character != quote => name.push(character),
            _ if next == Some(quote) => {
                characters.next();
                name.push(quote);
            }
            _ => return Some((name, &text[at + 1..])),
        }
    }
    None
}

fn fault(path: &Path, line: u64, expected: &str, found: &str) -> TableError {
    TableError::unfit("broken ARFF file", Fault::new(path, expected, found).place(format!("line {line}")))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::{ReadOptions, Record, Table, Value};

    fn records(text: &str) -> Result<Records, TableError> {
        let reader = Box::new(Cursor::new(text.to_owned()));
        Records::read(reader, Path::new("t.arff"), &ReadOptions::default())
    }

    #[test]
    fn attributes_of_every_spelling() {
        let text = "% by x\n@RELATION 'a b'\n\n@ATTRIBUTE 'it\\'s' {'x, y','can\\'t'}\n@attribute \"n m\"\treal\n\
                    @attribute n{1,2}\n@attribute n string\r\n@Data\n% rows\n'x, y', 1.5,1,'a b'\n\n'can\\'t',?,2,c\n";
        let mut records = records(text).unwrap();
        assert_eq!(records.layout().names, ["it's", "n m", "n", "n (2)"]);
        assert_eq!(records.listed(), [0, 2]);
        let (mut record, mut rows) = (Record::default(), Vec::new());
        while records.next(&mut record).unwrap() {
            rows.push((record.line(), record.cells().map(str::to_owned).collect::<Vec<_>>()));
        }
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        assert_eq!(rows, [(10, row(["x, y", "1.5", "1", "a b"])), (12, row(["can't", "?", "2", "c"]))]);
    }

    #[test]
    fn listed_values_are_words_even_where_they_are_numbers() {
        let options = ReadOptions::default();
        let text = "@relation r\n@attribute a {1,2}\n@attribute b real\n@data\n1,1\n2,?\n?,3\n";
        let table = Table::take(records(text).unwrap(), &options, &mut |_| {}).unwrap();
        let value = |row, column| table.cell(row, column).value();
        assert_eq!((value(0, 0), value(1, 0), value(2, 0)), (Value::Text(0), Value::Text(1), Value::Missing));
        assert_eq!((value(0, 1), value(1, 1)), (Value::Number(1.0), Value::Missing));
        assert!(table.is_listed(0) && !table.is_listed(1));
    }

    #[test]
    fn broken_files_are_refused_by_line() {
        for (text, wanted) in [
            ("@relation r\n@attribute a real\n", "line 2: expected @data, found the end"),
            ("@relation r\n@attribute a\n@data\n", "line 2: expected @attribute NAME TYPE"),
            ("@relation r\n@attribute 'a real\n@data\n", "line 2: expected @attribute NAME TYPE"),
            ("@relation r\n@data\n1\n", "line 2: expected an @attribute above @data, found none"),
            (
                "@relation r\n@attribute a real\n@data\n{0 1}\n",
                "line 4: expected rows with a value for every",
            ),
        ] {
            let message = records(text).err().unwrap().to_string();
            assert!(message.contains(wanted), "{message}");
        }
    }
}

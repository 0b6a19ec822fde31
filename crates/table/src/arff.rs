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
    let layout = Layout { form: Some(form), ..Layout::named(names, width) };
    Ok(Records::new(Box::new(TextRows { text, buffer, splitter }), layout, path, listed))
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

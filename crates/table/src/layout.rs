//! Finding out how a table is written, from its first rows.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::candidate::Candidate;
use crate::form::{Form, Separator};
use crate::head::{Head, is_of_names};
use crate::number::{Says, is_plain_number, says_of_marks};
use crate::splitter::{Scan, Splitter};
use crate::words::listed;
use crate::{ColumnRef, ReadOptions, Record, TableError};

/// How a table is written, and the names of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How cells and rows are written.
    pub form: Form,
    /// A name for every column, all different.
    pub names: Vec<String>,
    /// Of every column, whether the file names it.
    pub is_named: Vec<bool>,
    /// What whoever reads the table should know, a sentence each.
    pub notices: Vec<String>,
}

impl Layout {
    /// Names for at least `width` columns, all different: those in `found`, and places where there is none.
    pub(crate) fn named(form: Form, mut found: Vec<String>, width: usize) -> Self {
        found.resize(width.max(found.len()), String::new());
        let is_named: Vec<bool> = found.iter().map(|name| !name.is_empty()).collect();
        let mut names: Vec<String> = Vec::with_capacity(found.len());
        let (mut repeated, mut notices) = (Vec::new(), Vec::new());
        let mut taken = HashSet::new();
        // Of each name, how often it has come: thousands may be the same.
        let mut counts: HashMap<String, usize> = HashMap::new();
        for (at, name) in found.into_iter().enumerate() {
            let base = if name.is_empty() { format!("column {}", at + 1) } else { name };
            let mut unique = base.clone();
            while !taken.insert(unique.clone()) {
                let count = counts.entry(base.clone()).or_insert(1);
                *count += 1;
                unique = format!("{base} ({count})");
            }
            if unique != base {
                repeated.push(unique.clone());
            }
            names.push(unique);
        }
        if !repeated.is_empty() {
            let names = listed(repeated.iter().map(String::as_str), 5);
            notices.push(format!("names that the header has twice are told apart: {names}"));
        }
        Self { form, names, is_named, notices }
    }

    /// True where the columns have names, of a header or the user's; else they are known by their places.
    #[must_use]
    pub fn has_names(&self) -> bool {
        self.is_named.contains(&true)
    }

    /// What to say where the columns are matched with those of another table, the training table: by their places, where
    /// they have no names.
    #[must_use]
    pub fn matched_by_place(&self) -> Option<String> {
        (!self.has_names()).then(|| {
            format!(
                "the file has no header: its {} columns are matched with those of the training table by their places",
                self.names.len()
            )
        })
    }
}

/// The layout of the text that begins with `sample`, and the byte at which its rows of data begin.
pub(crate) fn layout(
    sample: &str,
    is_all: bool,
    path: &Path,
    options: &ReadOptions,
) -> Result<(Layout, Splitter, usize), TableError> {
    let (stated, skipped) = stated_separator(sample);
    let separator = options.separator.or(stated);
    let rest = &sample[skipped..];
    let preamble = usize::from(skipped > 0);
    let Some(candidate) = Candidate::best(separator, rest, is_all, path, options) else {
        let form = Form { preamble, ..Form::plain() };
        let splitter = Splitter::new(&form, path);
        return Ok((Layout::named(form, Vec::new(), 0), splitter, sample.len()));
    };
    let (table, width) = (candidate.table(), candidate.width);
    let mut form = candidate.form.clone();
    form.decimal_comma = has_decimal_commas(&form, table);
    let head = Head::of(table, width, form.decimal_comma, options);
    let first_line = table[0].line();
    let commented = if head.names.is_none() && options.header.is_none() {
        names_in_comment(&form, rest, first_line, width, options)
    } else {
        None
    };
    let names = head.names.map(|row| &table[row]).or(commented.as_ref());
    form.header = names.is_some();
    let lines_above = first_line.saturating_sub(1) as usize + usize::from(head.names.is_none()) * head.rows;
    // Comments are passed over by themselves.
    form.preamble = preamble + if form.comment.is_some() { 0 } else { lines_above };
    let mut layout = Layout::named(form, names_of_columns(names, width, options), width);
    if head.rows > 1 {
        let line = table[1 - head.names.unwrap_or(0)].line() + preamble as u64;
        layout
            .notices
            .push(format!("line {line} is passed over: it is neither data nor the names of columns"));
    }
    let (splitter, at) =
        start_of_data(&layout.form, rest, is_all, path, preamble as u64, first_line, head.rows)?;
    Ok((layout, splitter, skipped + at))
}

/// Excel writes `sep=;` above a table.
fn stated_separator(sample: &str) -> (Option<Separator>, usize) {
    let end = sample.find(['\n', '\r']).unwrap_or(sample.len());
    let line = sample[..end].trim_matches('"');
    let Some(separator) = line.strip_prefix("sep=").and_then(Separator::parse) else {
        return (None, 0);
    };
    (Some(separator), after_line(sample, end))
}

/// The byte behind the end of the line that ends at byte `end`.
fn after_line(text: &str, end: usize) -> usize {
    let length = if text[end..].starts_with("\r\n") { 2 } else { 1 };
    (end + length).min(text.len())
}

/// The names of columns in the comment right above a table that has no other, as `numpy.savetxt` writes them.
fn names_in_comment(
    form: &Form,
    text: &str,
    first_line: u64,
    width: usize,
    options: &ReadOptions,
) -> Option<Record> {
    let mark = form.comment?;
    let comment = text.lines().nth(first_line.checked_sub(2)? as usize)?.trim();
    let names = comment.strip_prefix(mark)?.trim_start_matches(mark);
    let mut record = Record::default();
    let plain = Form { comment: None, ..form.clone() };
    let Ok(Scan::Row(_)) = Splitter::new(&plain, "").scan(names, 0, true, &mut record) else { return None };
    let is_wanted = match &options.label {
        _ if !options.known.is_empty() => is_of_names(&record, &options.known),
        Some(label @ ColumnRef::Name(_)) => label.is_named_in(record.cells()),
        _ => record.cells().all(|name| !name.is_empty() && !is_plain_number(name)),
    };
    (record.len() == width && is_wanted).then_some(record)
}

/// True where numbers are written with a comma, and none with a point.
fn has_decimal_commas(form: &Form, rows: &[Record]) -> bool {
    if form.separator == Separator::Comma {
        return false;
    }
    let (mut commas, mut points, mut either) = (0, 0, 0);
    for cell in rows.iter().flat_map(Record::cells) {
        match says_of_marks(cell) {
            Some(Says::DecimalComma) => commas += 1,
            Some(Says::DecimalPoint) => points += 1,
            Some(Says::AnyComma) => either += 1,
            None => {}
        }
    }
    // Semicolons stand between cells because commas stand in numbers.
    points == 0 && (commas > 0 || (either > 0 && form.separator == Separator::Semicolon))
}

/// The names of `width` columns: the user's, else those in `row`.
fn names_of_columns(row: Option<&Record>, width: usize, options: &ReadOptions) -> Vec<String> {
    if !options.names.is_empty() {
        options.names.clone()
    } else if let Some(row) = row {
        let mut names: Vec<String> =
            row.cells().map(|cell| cell.trim().trim_start_matches('#').trim().to_owned()).collect();
        if names.len() > width && names.last().is_some_and(String::is_empty) {
            names.pop();
        } else if names.len() + 1 == width {
            // R's write.table names all columns but that of the rows' own names.
            names.insert(0, String::new());
        }
        names
    } else {
        Vec::new()
    }
}

/// A splitter that stands before the first row of data, and the byte where that is: below line `first_line` of `text`, which
/// has `lines_above` above it, and `rows` further rows.
fn start_of_data(
    form: &Form,
    text: &str,
    is_all: bool,
    path: &Path,
    lines_above: u64,
    first_line: u64,
    rows: usize,
) -> Result<(Splitter, usize), TableError> {
    let (mut at, mut line) = (0, 1);
    while line < first_line
        && let Some(length) = text[at..].find(['\n', '\r'])
    {
        at = after_line(text, at + length);
        line += 1;
    }
    let mut splitter = Splitter::new(form, path);
    splitter.skip_lines(lines_above + line - 1);
    let mut record = Record::default();
    for _ in 0..rows {
        match splitter.scan(text, at, is_all, &mut record)? {
            Scan::Row(next) => at = next,
            Scan::Unfinished | Scan::End => return Ok((splitter, text.len())),
        }
    }
    Ok((splitter, at))
}

#[cfg(test)]
mod tests;

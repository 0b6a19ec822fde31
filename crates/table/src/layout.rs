//! Finding out how a table is written, from its first rows.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use crate::form::{Form, Separator};
use crate::missing::is_missing;
use crate::number::is_plain_number;
use crate::splitter::{Scan, Splitter};
use crate::words::listed;
use crate::{ReadOptions, Record, TableError};

/// Rows that are looked at.
const ROWS: usize = 400;
/// Lines that may stand above a table.
const MOST_PREAMBLE: usize = 30;

/// How a table is written, and the names of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How cells and rows are written; none for formats that are no text.
    pub form: Option<Form>,
    /// A name for every column, all different.
    pub names: Vec<String>,
    /// Of every column, whether the file names it.
    pub is_named: Vec<bool>,
    /// What whoever reads the table should know, a sentence each.
    pub notices: Vec<String>,
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
    let mut best: Option<Candidate> = None;
    for candidate in candidates(separator).filter_map(|form| Candidate::new(form, rest, is_all, path)) {
        if best.as_ref().is_none_or(|best| candidate.is_better_than(best)) {
            best = Some(candidate);
        }
    }
    let preamble = usize::from(skipped > 0);
    let Some(Candidate { mut form, rows, width, first, .. }) = best else {
        let form = Form { preamble, ..Form::plain() };
        let layout =
            Layout { form: Some(form), names: Vec::new(), is_named: Vec::new(), notices: Vec::new() };
        return Ok((layout, Splitter::new(&Form::plain(), path), sample.len()));
    };
    let table = &rows[first..];
    form.preamble = preamble + table[0].line().saturating_sub(1) as usize;
    if form.comment.is_some() {
        // Comments are passed over by themselves.
        form.preamble = preamble;
    }
    form.header = options.header.unwrap_or_else(|| {
        if options.names.is_empty() {
            has_header(table, options)
        } else {
            has_names(&table[0], &options.names)
        }
    });
    form.decimal_comma = has_decimal_commas(&form, table, width);
    let named = name_columns(&table[0], width, form.header, options);
    let (splitter, at) = start_of_data(&form, rest, is_all, path, preamble as u64, table[0].line())?;
    Ok((Layout { form: Some(form), ..named }, splitter, skipped + at))
}

/// Excel writes `sep=;` above a table.
fn stated_separator(sample: &str) -> (Option<Separator>, usize) {
    let line = sample.lines().next().unwrap_or("");
    let Some(separator) = line.trim_matches('"').strip_prefix("sep=").and_then(Separator::parse) else {
        return (None, 0);
    };
    let end = sample[line.len()..].find(|c| c != '\r' && c != '\n').unwrap_or(sample.len() - line.len());
    (Some(separator), line.len() + end)
}

fn candidates(separator: Option<Separator>) -> impl Iterator<Item = Form> {
    let separators = separator.map_or_else(|| Separator::ALL.to_vec(), |separator| vec![separator]);
    separators.into_iter().flat_map(|separator| {
        [false, true].map(|single_quotes| Form { separator, single_quotes, ..Form::plain() })
    })
}

/// A form, and what the sample is in it.
struct Candidate {
    form: Form,
    rows: Vec<Record>,
    /// The number of cells that most rows have.
    width: usize,
    /// The row with which the table begins.
    first: usize,
    /// The share of rows that have that number of cells.
    consistency: f64,
}

impl Candidate {
    fn new(mut form: Form, sample: &str, is_all: bool, path: &Path) -> Option<Self> {
        let mut rows = sample_rows(&form, sample, is_all, path)?;
        let width = modal_width(&rows);
        // A line that begins as comments do is one, unless it is a row like the others.
        let mark = |row: &Record| row.cell(0).chars().next().filter(|c| matches!(c, '#' | '%'));
        if let Some(comment) = rows.first().and_then(mark).filter(|_| rows[0].len() != width) {
            form.comment = Some(comment);
            rows = sample_rows(&form, sample, is_all, path)?;
        }
        let width = modal_width(&rows);
        let is_of_table = |row: &Record| row.len() + 1 >= width && row.len() <= width + 1;
        let first = rows
            .iter()
            .take(MOST_PREAMBLE)
            .position(|row| width < 3 && row.len() == width || width >= 3 && is_of_table(row))?;
        let fitting = rows[first..].iter().filter(|row| row.len() == width).count();
        let consistency = fitting as f64 / (rows.len() - first) as f64;
        if form.single_quotes && !uses_single_quotes(sample, &form) {
            return None;
        }
        Some(Self { form, rows, width, first, consistency })
    }

    /// More than one column beats one; then the more regular one wins; of equals the first.
    fn is_better_than(&self, other: &Self) -> bool {
        let rank = |candidate: &Self| {
            let is_table = candidate.width > 1 && candidate.consistency > 0.5;
            // Words have blanks between them: those are believed last.
            let is_blanks = candidate.form.separator == Separator::Blanks;
            (is_table, !is_blanks || candidate.consistency == 1.0, candidate.consistency)
        };
        let (own, others) = (rank(self), rank(other));
        if own.0 && others.0 && self.form.separator == Separator::Blanks && others.2 > 0.9 {
            return false;
        }
        own > others || (own == others && self.form.single_quotes && !other.form.single_quotes)
    }
}

/// True if cells begin and end with `'`.
fn uses_single_quotes(sample: &str, form: &Form) -> bool {
    let plain = Form { single_quotes: false, ..form.clone() };
    let Some(rows) = sample_rows(&plain, sample, false, Path::new("")) else { return false };
    let mut opened = 0;
    let mut enclosed = 0;
    for cell in rows.iter().flat_map(Record::cells) {
        opened += usize::from(cell.starts_with('\''));
        enclosed += usize::from(cell.len() > 1 && cell.starts_with('\'') && cell.ends_with('\''));
    }
    enclosed > 0 && enclosed * 2 > opened
}

fn sample_rows(form: &Form, sample: &str, is_all: bool, path: &Path) -> Option<Vec<Record>> {
    let mut splitter = Splitter::new(form, path);
    let (mut rows, mut record, mut at) = (Vec::new(), Record::default(), 0);
    while rows.len() < ROWS {
        match splitter.scan(sample, at, is_all, &mut record).ok()? {
            Scan::Row(next) => at = next,
            Scan::Unfinished | Scan::End => break,
        }
        rows.push(record.clone());
    }
    (!rows.is_empty()).then_some(rows)
}

fn modal_width(rows: &[Record]) -> usize {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(row.len()).or_insert(0_usize) += 1;
    }
    counts.into_iter().max_by_key(|&(width, count)| (count, width)).map_or(0, |(width, _)| width)
}

/// Whether at least half of the cells of `row` are among `names`.
fn has_names(row: &Record, names: &[String]) -> bool {
    let found = row.cells().filter(|cell| names.iter().any(|name| name == cell.trim())).count();
    found * 2 >= row.len().min(names.len())
}

/// Whether the first of `rows` names the columns of the others: it has the name of the label; or no cell of it is a number,
/// and it differs from what is below it.
fn has_header(rows: &[Record], options: &ReadOptions) -> bool {
    let (first, body) = (&rows[0], &rows[1..]);
    if !options.known.is_empty() {
        return has_names(first, &options.known);
    }
    if let Some(label) = &options.label
        && label.is_named_in(first.cells().map(str::to_owned))
    {
        return true;
    }
    let texts: Vec<&str> = first.cells().collect();
    let has_number = texts.iter().any(|cell| is_plain_number(cell));
    let named = texts.iter().filter(|cell| !cell.is_empty()).count();
    if body.is_empty() || named * 2 < texts.len() {
        return !has_number && body.is_empty();
    }
    let column = |at: usize| body.iter().map(move |row| row.cell(at)).filter(|cell| !is_missing(cell, &[]));
    if has_number {
        // Numbers as names (1990, 1991): all of them, all different, over columns of words or of other numbers.
        return false;
    }
    let names_numbers = (0..texts.len()).any(|at| {
        let (mut cells, mut numbers) = (0, 0);
        for cell in column(at) {
            cells += 1;
            numbers += usize::from(is_plain_number(cell));
        }
        cells > 0 && numbers * 10 >= cells * 9 && !is_missing(texts[at], &[])
    });
    if names_numbers {
        return true;
    }
    // Words above words: names are not among the values below them.
    let distinct: HashSet<&str> = texts.iter().copied().collect();
    let new = (0..texts.len()).filter(|&at| column(at).all(|cell| cell != texts[at])).count();
    distinct.len() == texts.len() && new * 10 >= texts.len() * 9
}

/// True where numbers are written with a comma, and none with a point.
fn has_decimal_commas(form: &Form, rows: &[Record], width: usize) -> bool {
    if form.separator == Separator::Comma {
        return false;
    }
    let (mut commas, mut points) = (0, 0);
    for cell in rows[usize::from(form.header)..].iter().flat_map(|row| (0..width).map(|at| row.cell(at))) {
        let mut halves = cell.splitn(2, [',', '.']);
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let whole = halves.next().unwrap_or("").trim_start_matches(['-', '+']);
        if let Some(rest) = halves.next()
            && is_number(whole)
            && is_number(rest)
        {
            if cell.contains(',') {
                commas += 1;
            } else {
                points += 1;
            }
        }
    }
    commas > 0 && points == 0
}

fn name_columns(first: &Record, width: usize, header: bool, options: &ReadOptions) -> Layout {
    let mut notices = Vec::new();
    let mut found: Vec<String> = if !options.names.is_empty() {
        options.names.clone()
    } else if header {
        first.cells().map(|cell| cell.trim().trim_start_matches('#').trim().to_owned()).collect()
    } else {
        Vec::new()
    };
    if options.names.is_empty() && found.len() == width + 1 && found.last().is_some_and(String::is_empty) {
        found.pop();
    } else if options.names.is_empty() && header && found.len() + 1 == width {
        // R's write.table names all columns but that of the rows' own names.
        found.insert(0, String::new());
    }
    let width = width.max(found.len());
    found.resize(width, String::new());
    let is_named: Vec<bool> = found.iter().map(|name| !name.is_empty()).collect();
    let mut names: Vec<String> = Vec::with_capacity(width);
    let mut repeated = Vec::new();
    let mut taken = HashSet::new();
    for (at, name) in found.into_iter().enumerate() {
        let base = if name.is_empty() { format!("column {}", at + 1) } else { name };
        let mut unique = base.clone();
        let mut count = 1;
        while !taken.insert(unique.clone()) {
            count += 1;
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
    Layout { form: None, names, is_named, notices }
}

/// A splitter that stands before the first row of data, and the byte where that is.
fn start_of_data(
    form: &Form,
    text: &str,
    is_all: bool,
    path: &Path,
    lines_before: u64,
    first_line: u64,
) -> Result<(Splitter, usize), TableError> {
    let (mut at, mut line) = (0, 1);
    if form.comment.is_none() {
        while line < first_line {
            let Some(length) = text[at..].find(['\n', '\r']) else { break };
            at += length;
            at += if text[at..].starts_with("\r\n") { 2 } else { 1 };
            line += 1;
        }
    }
    let mut splitter = Splitter::new(form, path);
    splitter.skip_lines(lines_before + line - 1);
    if form.header {
        let mut record = Record::default();
        if let Scan::Row(next) = splitter.scan(&text[at..], 0, is_all, &mut record)? {
            at += next;
        } else {
            at = text.len();
        }
    }
    Ok((splitter, at))
}

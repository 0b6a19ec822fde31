//! The beginning of a table, read in one of the forms that it may be written in.

use std::collections::BTreeMap;
use std::path::Path;

use crate::form::{Form, Separator};
use crate::head;
use crate::number::{cell_number, is_plain_number};
use crate::splitter::{Scan, Splitter};
use crate::{ReadOptions, Record};

/// Rows that are looked at.
const ROWS: usize = 400;
/// Lines that may stand above a table.
const MOST_PREAMBLE: usize = 30;

/// A form, and what the beginning of a table is in it.
pub(crate) struct Candidate {
    pub(crate) form: Form,
    rows: Vec<Record>,
    /// The number of columns.
    pub(crate) width: usize,
    /// The row with which the table begins.
    first: usize,
    /// The share of the table's rows that have that number of cells.
    consistency: f64,
    /// The share of all rows that do, those above the table among them.
    share: f64,
}

impl Candidate {
    /// The form that `sample` is most likely to be in; none where there is no row.
    pub(crate) fn best(
        separator: Option<Separator>,
        sample: &str,
        is_all: bool,
        path: &Path,
        options: &ReadOptions,
    ) -> Option<Self> {
        let separators = separator.map_or_else(|| Separator::ALL.to_vec(), |separator| vec![separator]);
        let forms = separators.into_iter().flat_map(|separator| {
            [false, true].map(|single_quotes| Form { separator, single_quotes, ..Form::plain() })
        });
        let mut best: Option<Self> = None;
        for candidate in forms.filter_map(|form| Self::new(form, sample, is_all, path)) {
            if best.as_ref().is_none_or(|best| candidate.is_better_than(best)) {
                best = Some(candidate);
            }
        }
        let mut best = best?;
        // A title may have nearly as many cells as the rows have; but then the names stand below it.
        let rest = &best.rows[best.first..];
        if rest.len() > 2
            && rest[0].len() != best.width
            && rest[1].len() == best.width
            && head::has_names(&rest[1..], false, options)
        {
            best.first += 1;
        }
        Some(best)
    }

    fn new(mut form: Form, sample: &str, is_all: bool, path: &Path) -> Option<Self> {
        let mut rows = sample_rows(&form, sample, is_all, path)?;
        let width = modal_width(&rows);
        // A line that begins as comments do is one, unless it is a row like the others.
        let mark = |row: &Record| row.cell(0).chars().next().filter(|c| matches!(c, '#' | '%'));
        if let Some(comment) = rows.first().and_then(mark).filter(|_| rows[0].len() != width) {
            form.comment = Some(comment);
            rows = sample_rows(&form, sample, is_all, path)?;
        }
        let mut width = modal_width(&rows);
        let is_of_table = |row: &Record| row.len() + 1 >= width && row.len() <= width + 1;
        let first = rows
            .iter()
            .take(MOST_PREAMBLE)
            .position(|row| width < 3 && row.len() == width || width >= 3 && is_of_table(row))?;
        if ends_in_separators(&rows[first..], width) {
            width -= 1;
        }
        let fits =
            |row: &&Record| row.len() == width || (row.len() == width + 1 && row.cell(width).is_empty());
        let fitting = rows[first..].iter().filter(fits).count();
        let consistency = fitting as f64 / (rows.len() - first) as f64;
        let share = fitting as f64 / rows.len() as f64;
        if form.single_quotes && !uses_single_quotes(sample, &form) {
            return None;
        }
        Some(Self { form, rows, width, first, consistency, share })
    }

    /// The rows of the table, from the first on that may name its columns.
    pub(crate) fn table(&self) -> &[Record] {
        &self.rows[self.first..]
    }

    /// More than one column beats one; then the more regular one wins; of equals the first.
    fn is_better_than(&self, other: &Self) -> bool {
        let rank = |candidate: &Self| {
            let is_table = candidate.width > 1 && candidate.consistency > 0.5;
            // Words have blanks between them: those are believed last.
            let is_blanks = candidate.form.separator == Separator::Blanks;
            (is_table, !is_blanks || candidate.consistency == 1.0, candidate.share)
        };
        let (own, others) = (rank(self), rank(other));
        if own.0 && others.0 && self.form.separator == Separator::Blanks && other.consistency > 0.9 {
            return self.is_finer_than(other);
        }
        own > others || (own == others && self.form.single_quotes && !other.form.single_quotes)
    }

    /// True if blanks take apart what `other`, which reads the table nearly as well, does not: columns in which a single tab
    /// sometimes is two, or several numbers in one cell.
    fn is_finer_than(&self, other: &Self) -> bool {
        let is_tab = other.form.separator == Separator::Tab;
        if self.consistency < 1.0 || self.rows[self.first].line() > other.rows[other.first].line() {
            return false;
        }
        if is_tab && self.width == other.width && other.consistency < 1.0 {
            return true;
        }
        let mark = char::from(other.form.separator.byte());
        let is_whole = |cell: &str| is_tab || !cell.contains(mark) || cell_number(cell, true).is_some();
        (0..other.width).any(|column| holds_several_numbers(other.table(), column))
            && self.table().iter().all(|row| row.cells().all(is_whole))
    }
}

/// True if nine of ten cells of `column` are several numbers with blanks between them.
fn holds_several_numbers(rows: &[Record], column: usize) -> bool {
    let several = rows.iter().filter(|row| {
        let mut words = row.cell(column).split([' ', '\t']).filter(|word| !word.is_empty());
        let is_number = |word: Option<&str>| word.is_some_and(|word| cell_number(word, true).is_some());
        is_number(words.next())
            && is_number(words.next())
            && words.all(|word| word == "?" || is_plain_number(word))
    });
    several.count() * 10 >= rows.len() * 9
}

/// True if a separator stands behind the last cell of every row. It need not stand behind the names.
fn ends_in_separators(rows: &[Record], width: usize) -> bool {
    let is_open = |row: &Record| row.len() < width || row.cell(width - 1).is_empty();
    width > 2 && rows.len() > 1 && rows.iter().all(is_open)
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
    enclosed > 0 && enclosed * 2 >= opened
}

fn sample_rows(form: &Form, sample: &str, is_all: bool, path: &Path) -> Option<Vec<Record>> {
    let mut splitter = Splitter::new(form, path);
    let (mut rows, mut record, mut at) = (Vec::new(), Record::default(), 0);
    // What is wrong with a row is said when it is read.
    while rows.len() < ROWS
        && let Ok(Scan::Row(next)) = splitter.scan(sample, at, is_all, &mut record)
    {
        at = next;
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

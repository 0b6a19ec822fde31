//! What is remarkable about rows that were not trained on.

use std::borrow::Cow;

use crate::Preparation;
use crate::column::Column;
use crate::treatment::Treatment;
use crate::words::{escaped, quoted};

/// Columns that a sentence names.
const MOST_NAMED: usize = 8;

/// What is remarkable about rows that were not trained on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Of each column, how many cells have a value that no training row had.
    pub unknown: Vec<usize>,
    /// Of each column, how many numbers lie outside the range of the training rows.
    pub outside: Vec<usize>,
    /// Of each column, how many cells are empty where none was in training.
    pub missing: Vec<usize>,
}

impl Preparation {
    /// Adds what is remarkable about a row that is kept as `raw` to `remarks`. Gives what is not known of it, such as
    /// `embarked: unknown "Z"; age: outside 0.42 to 80; deck: missing`; nothing where all is. `text` is the cell of a used
    /// column, by its number among them.
    pub fn remark<'a>(&self, raw: &[f64], text: impl Fn(usize) -> &'a str, remarks: &mut Remarks) -> String {
        self.notes(raw, |used| Cow::Borrowed(text(used)), remarks).join("; ")
    }

    /// As [`Preparation::remark`], a text for each column.
    pub fn notes<'a>(
        &self,
        raw: &[f64],
        text: impl Fn(usize) -> Cow<'a, str>,
        remarks: &mut Remarks,
    ) -> Vec<String> {
        let count = self.columns.len();
        for counts in [&mut remarks.unknown, &mut remarks.outside, &mut remarks.missing] {
            counts.resize(count, 0);
        }
        let (mut rest, mut used, mut notes) = (raw, 0, Vec::new());
        for (at, column) in self.columns.iter().enumerate() {
            let Some(treatment) = &column.treatment else { continue };
            let (own, others) = rest.split_at(treatment.raw_width());
            rest = others;
            used += 1;
            let is_missing = own[0].is_nan();
            let (is_unknown, is_outside) = (treatment.is_unknown(own), treatment.is_outside(own));
            if !(is_missing || is_unknown || is_outside) {
                continue;
            }
            remarks.unknown[at] += usize::from(is_unknown);
            remarks.outside[at] += usize::from(is_outside);
            remarks.missing[at] += usize::from(is_missing && treatment.knows_no_missing());
            let what = match treatment.range() {
                _ if is_missing => "missing".to_owned(),
                Some([least, greatest]) if is_outside => format!("outside {least} to {greatest}"),
                _ => format!("unknown {}", quoted(&text(used - 1))),
            };
            notes.push(format!("{}: {what}", escaped(&column.name)));
        }
        notes
    }

    /// `remarks` in sentences.
    #[must_use]
    pub fn sentences(&self, remarks: &Remarks) -> Vec<String> {
        let has_rare =
            |column: &Column| matches!(column.treatment, Some(Treatment::Category { rare: 1.., .. }));
        let all = |_: &Column| true;
        let unknown = "values that no training row had, which count as nothing known";
        let rare = "values that no training row had, or too few, which count as nothing known";
        let outside = "values outside the range of the training rows";
        let missing = "cells without a value, where no training row lacked one";
        [
            self.sentence(&remarks.unknown, unknown, |column| !has_rare(column)),
            self.sentence(&remarks.unknown, rare, has_rare),
            self.sentence(&remarks.outside, outside, all),
            self.sentence(&remarks.missing, missing, all),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// `what`, and in which of the columns that `is_meant` takes how often by `counts`.
    fn sentence(&self, counts: &[usize], what: &str, is_meant: impl Fn(&Column) -> bool) -> Option<String> {
        let found = self.columns.iter().zip(counts).filter(|&(column, &count)| count > 0 && is_meant(column));
        let columns: Vec<String> =
            found.map(|(column, count)| format!("{} ({count})", quoted(&column.name))).collect();
        let more = columns.len().saturating_sub(MOST_NAMED);
        let more = if more > 0 { format!(" and {more} more columns") } else { String::new() };
        (!columns.is_empty())
            .then(|| format!("{what}: {}{more}", columns[..columns.len().min(MOST_NAMED)].join(", ")))
    }
}

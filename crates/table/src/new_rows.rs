//! Rows that were not trained on: their raw values, from a file or from a program, and remarks on unusual values.

use std::borrow::Cow;
use std::fmt;

use crate::{Column, ParsedCell, Preparation, Record, Treatment, escaped, is_missing, quoted};

/// A value of a row that a program provides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RowValue<'a> {
    /// A number; NaN stands for a missing value.
    Number(f64),
    /// A text, as in a cell of the table.
    Text(&'a str),
    /// Yes or no, in the words of the column if it is boolean, otherwise as `true` or `false`.
    Boolean(bool),
    /// A missing value.
    Missing,
}

impl RowValue<'_> {
    /// The value as the text of a cell.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Number(number) => Cow::Owned(number.to_string()),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Boolean(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Self::Missing => Cow::Borrowed(""),
        }
    }
}

/// A value that does not fit its column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueMismatch {
    /// The index of the column among the used columns.
    pub used: usize,
    /// The name of the column.
    pub column: String,
    /// The expected content.
    pub expected: &'static str,
    /// The actual content.
    pub found: String,
}

impl fmt::Display for ValueMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, expected, found, .. } = self;
        write!(f, "column {}: expected {expected}, found {found}", quoted(column))
    }
}

/// At most so many columns are named in a sentence.
const MOST_NAMED: usize = 8;

/// Counts of unusual values in rows that were not trained on, by column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Cells with a word that no training row had.
    pub unknown: Vec<usize>,
    /// Numbers outside the range of the training rows.
    pub outside: Vec<usize>,
    /// Missing values in columns without missing values in training.
    pub missing: Vec<usize>,
}

impl Preparation {
    /// Appends the raw values of the cells of `record` at `indices` to `raw`.
    ///
    /// # Errors
    /// A message about the first cell that does not fit its column.
    pub fn record(
        &self,
        record: &Record,
        indices: &[usize],
        decimal_comma: bool,
        raw: &mut Vec<f64>,
    ) -> Result<(), String> {
        for ((column, treatment), &index) in self.used().zip(indices) {
            let text = record.cell(index);
            let kept = self.cell(column, treatment, text, decimal_comma, raw);
            kept.map_err(|expected| {
                format!("column {}: expected {expected}, found {}", quoted(&column.name), quoted(text))
            })?;
        }
        Ok(())
    }

    /// Appends the raw values of a row to `raw`, by the rules for the cells of a file ([`Preparation::record`]). `value` returns
    /// the value of a used column by its index among the used columns. Fails for the first value that does not fit its column.
    pub fn row<'a>(
        &self,
        value: impl Fn(usize) -> RowValue<'a>,
        raw: &mut Vec<f64>,
    ) -> Result<(), ValueMismatch> {
        for (used, (column, treatment)) in self.used().enumerate() {
            let value = value(used);
            self.value(column, treatment, value, raw).map_err(|expected| ValueMismatch {
                used,
                column: column.name.clone(),
                expected,
                found: if value == RowValue::Missing { "no value".to_owned() } else { quoted(&value.text()) },
            })?;
        }
        Ok(())
    }

    fn value(
        &self,
        column: &Column,
        treatment: &Treatment,
        value: RowValue<'_>,
        raw: &mut Vec<f64>,
    ) -> Result<(), &'static str> {
        let is_exact = matches!(treatment, Treatment::Category { exact: true, .. });
        match value {
            RowValue::Missing => treatment.raw(ParsedCell::Missing, raw),
            RowValue::Number(number) if number.is_nan() => treatment.raw(ParsedCell::Missing, raw),
            RowValue::Number(number) if number.is_infinite() => Err("a finite number"),
            RowValue::Number(number) if !is_exact && self.missing.is_empty() => {
                treatment.raw(ParsedCell::Number(number), raw)
            }
            RowValue::Boolean(is_yes) if let Treatment::Boolean { no, yes, .. } = treatment => {
                self.cell(column, treatment, if is_yes { yes } else { no }, false, raw)
            }
            RowValue::Number(_) | RowValue::Boolean(_) => {
                self.cell(column, treatment, &value.text(), false, raw)
            }
            RowValue::Text(text) => self.cell(column, treatment, text, false, raw),
        }
    }

    /// Appends the raw values of the cell `text` to `raw`.
    pub(crate) fn cell(
        &self,
        column: &Column,
        treatment: &Treatment,
        text: &str,
        decimal_comma: bool,
        raw: &mut Vec<f64>,
    ) -> Result<(), &'static str> {
        let is_exact = matches!(treatment, Treatment::Category { exact: true, .. });
        let given = ParsedCell::parse(text, is_exact, decimal_comma, &self.missing, is_missing);
        // Words among numbers count as missing only if training rows had some; otherwise a word is a mistake.
        if column.has_words { column.raw(given, raw) } else { treatment.raw(given, raw) }
    }

    /// Counts the unusual values of a row with these `raw` values in `remarks`, and describes them:
    /// `embarked: unknown "Z"; age: outside 0.42 to 80; deck: missing`; empty for a usual row. `text` returns the cell of a
    /// used column by its index among the used columns.
    pub fn remark<'a>(&self, raw: &[f64], text: impl Fn(usize) -> &'a str, remarks: &mut Remarks) -> String {
        self.notes(raw, |used| Cow::Borrowed(text(used)), remarks).join("; ")
    }

    /// As [`Preparation::remark`], one text per column.
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

    /// Describes `remarks` in sentences.
    #[must_use]
    pub fn sentences(&self, remarks: &Remarks) -> Vec<String> {
        let has_rare =
            |column: &Column| matches!(column.treatment, Some(Treatment::Category { rare: 1.., .. }));
        let all = |_: &Column| true;
        let unknown = "values that no training row had; they count as unknown";
        let rare = "values that no or too few training rows had; they count as unknown";
        let outside = "values outside the range of the training rows";
        let missing = "missing values in columns that have none in the training rows";
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

    /// `what`, followed by the columns that `is_meant` accepts with their `counts`; `None` if all counts are 0.
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::preparation::tests::{TEXT, features, fitted, plain};
    use crate::table::tests::read;
    use crate::{Choices, Records};

    /// The raw values of all rows of `text`, read like rows to predict.
    fn raw_records(preparation: &Preparation, text: &'static str) -> Result<Vec<f64>, String> {
        let reader = Box::new(std::io::Cursor::new(text));
        let mut records = Records::read(reader, Path::new("t.csv"), &preparation.read_options()).unwrap();
        let indices = preparation.column_indices(records.layout(), Path::new("t.csv")).unwrap();
        let (mut record, mut raw) = (Record::default(), Vec::new());
        while records.next(&mut record).unwrap() {
            preparation.record(&record, &indices, false, &mut raw)?;
        }
        Ok(raw)
    }

    #[test]
    fn values_have_the_same_raw_values_as_the_cells_of_a_file() {
        let text = "n,yes,c,when,k\n0,no,a,2024-01-01,x\n4,yes,b,2024-01-03,x\n,yes,,2024-01-03,y\n1,,b,,y\n";
        let (preparation, _) = fitted(text, &Choices::default()).unwrap();
        let row = |values: [RowValue<'static>; 5]| {
            let mut raw = Vec::new();
            preparation.row(|used| values[used], &mut raw).map(|()| raw)
        };
        let words =
            [RowValue::Text("yes"), RowValue::Text("b"), RowValue::Text("2024-01-03"), RowValue::Text("y")];
        let of = |first: RowValue<'static>| row([first, words[0], words[1], words[2], words[3]]);
        assert_eq!(of(RowValue::Number(4.0)).unwrap(), of(RowValue::Text("4")).unwrap());
        let known = |is_yes| {
            row([RowValue::Missing, RowValue::Boolean(is_yes), words[1], words[2], words[3]]).unwrap()
        };
        assert_eq!((known(true)[1], known(false)[1]), (1.0, 0.0));
        for none in [RowValue::Missing, RowValue::Text(""), RowValue::Text("?"), RowValue::Number(f64::NAN)] {
            assert!(of(none).unwrap()[0].is_nan());
        }
        let mismatch = of(RowValue::Text("old")).unwrap_err();
        assert_eq!(mismatch.to_string(), "column \"n\": expected a finite number, found \"old\"");
        let mismatch = of(RowValue::Number(f64::INFINITY)).unwrap_err();
        assert_eq!((mismatch.used, &*mismatch.found), (0, "\"inf\""));
    }

    #[test]
    fn values_that_no_training_row_had_are_remarked() {
        let preparation = plain("n,b,c\n0,yes,u\n2,no,v\n");
        let later = "n,b,c\n5,yes,w\nunknown,maybe,u\n1e300,no,?\n";
        let wanted = [[2.5, 1.0, 0.0, 0.0], [0.5, 0.5, 1.0, 0.0], [5e299_f64 as f32, 0.0, 0.0, 0.0]];
        let found = features(&preparation, later);
        assert_eq!(found[..2], wanted[..2]);
        assert_eq!(found[2][0], f32::MAX);
        let rows = preparation.rows(read(later, &preparation.read_options()).unwrap()).unwrap();
        let mut remarks = Remarks::default();
        let notes: Vec<String> = rows
            .iter()
            .map(|raw| preparation.remark(raw, |used| ["n", "b", "c"][used], &mut remarks))
            .collect();
        assert_eq!(
            notes,
            [
                "n: outside 0 to 2; c: unknown \"c\"",
                "n: missing; b: unknown \"b\"",
                "n: outside 0 to 2; c: missing"
            ]
        );
        assert_eq!(
            preparation.remark(&[1.0, 1.0, 0.0], |_| unreachable!("all is known"), &mut Remarks::default()),
            ""
        );
        assert_eq!(
            (remarks.unknown.clone(), remarks.outside.clone(), remarks.missing.clone()),
            (vec![0, 1, 1], vec![2, 0, 0], vec![1, 0, 1])
        );
        assert_eq!(
            preparation.sentences(&remarks),
            [
                "values that no training row had; they count as unknown: \"b\" (1), \"c\" (1)",
                "values outside the range of the training rows: \"n\" (2)",
                "missing values in columns that have none in the training rows: \"n\" (1), \"c\" (1)",
            ]
        );
        let words: Vec<String> = preparation.words(rows.row(0)).into_iter().map(|(_, words)| words).collect();
        assert_eq!(words, ["5", "yes", "not known"]);
    }

    #[test]
    fn rows_to_predict_have_the_same_raw_values_as_the_rows_of_a_table() {
        let preparation = plain(TEXT);
        let expected = preparation.rows(read(TEXT, &preparation.read_options()).unwrap()).unwrap();
        let raw = raw_records(&preparation, TEXT).unwrap();
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&raw), bits(&expected.iter().flatten().copied().collect::<Vec<_>>()));
    }

    #[test]
    fn a_word_in_a_numeric_column_of_a_row_to_predict_is_a_mistake() {
        let preparation = plain("a,b\n0,x\n2,y\n");
        let message = raw_records(&preparation, "a,b\nfree,x\n").unwrap_err();
        assert_eq!(message, "column \"a\": expected a finite number, found \"free\"");
    }
}

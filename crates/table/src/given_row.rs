//! Rows that come as values from a program, not as the text of a file.

use std::borrow::Cow;
use std::fmt;

use crate::missing::is_missing;
use crate::treatment::{Given, Treatment};
use crate::words::quoted;
use crate::{Column, Preparation};

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RowValue<'a> {
    /// A number; NaN stands for a missing value.
    Number(f64),
    /// A text, as a cell of the table has it.
    Text(&'a str),
    /// Yes or no; of a column that has other words for them, those, and `true` or `false` of any other.
    Boolean(bool),
    /// No value.
    Missing,
}

impl RowValue<'_> {
    /// The value as a cell of a table would have it.
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

/// A value that is not what its column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueFault {
    /// The number of the column among those that are used.
    pub used: usize,
    /// The name of the column.
    pub column: String,
    /// What should be there.
    pub expected: &'static str,
    /// What is there.
    pub found: String,
}

impl fmt::Display for ValueFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, expected, found, .. } = self;
        write!(f, "column {}: expected {expected}, found {found}", quoted(column))
    }
}

impl Preparation {
    /// Adds what the values of a row are kept as to `raw`, by the rules for the cells of a file ([`Preparation::record`]).
    /// `value` gives the value of a used column, by its number among them.
    ///
    /// # Errors
    /// The first value that is not what its column holds.
    pub fn row<'a>(
        &self,
        value: impl Fn(usize) -> RowValue<'a>,
        raw: &mut Vec<f64>,
    ) -> Result<(), ValueFault> {
        for (used, (column, treatment)) in self.used().enumerate() {
            let value = value(used);
            self.value(column, treatment, value, raw).map_err(|expected| ValueFault {
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
            RowValue::Missing => treatment.raw(Given::Missing, raw),
            RowValue::Number(number) if number.is_nan() => treatment.raw(Given::Missing, raw),
            RowValue::Number(number) if number.is_infinite() => Err("a finite number"),
            RowValue::Number(number) if !is_exact && self.missing.is_empty() => {
                treatment.raw(Given::Number(number), raw)
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

    /// Adds what the cell `text` of a column is kept as to `raw`.
    pub(crate) fn cell(
        &self,
        column: &Column,
        treatment: &Treatment,
        text: &str,
        decimal_comma: bool,
        raw: &mut Vec<f64>,
    ) -> Result<(), &'static str> {
        let is_exact = matches!(treatment, Treatment::Category { exact: true, .. });
        let given = Given::of(text, is_exact, decimal_comma, &self.missing, is_missing);
        // Of a row to be predicted, a word where no training row had one is a mistake rather than no value.
        if column.has_words { column.raw(given, raw) } else { treatment.raw(given, raw) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Choices;
    use crate::preparation::tests::fitted;

    #[test]
    fn values_are_kept_as_the_cells_of_a_file_are() {
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
        let fault = of(RowValue::Text("old")).unwrap_err();
        assert_eq!(fault.to_string(), "column \"n\": expected a finite number, found \"old\"");
        let fault = of(RowValue::Number(f64::INFINITY)).unwrap_err();
        assert_eq!((fault.used, &*fault.found), (0, "\"inf\""));
    }
}

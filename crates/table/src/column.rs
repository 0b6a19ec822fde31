//! A column: its kind, and how its cells become features.
//!
//! A row has three forms. Its cells are parsed to [`ParsedCell`]s; a [`Treatment`] turns these into raw values, which are
//! numbers before scaling (categories are codes); raw values are encoded to features.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cell_text::{PARTS, cell_number, days, parts};
use crate::{DecimalMark, Scale, styled_number};

/// The kind of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnKind {
    /// A quantity.
    Number,
    /// One of several names.
    Category,
    /// Yes or no.
    Boolean,
    /// A date, a time, or both.
    Date,
    /// A unique name or number in every row: left out.
    Id,
    /// Text that rarely repeats: left out.
    Text,
    /// The same value in every row: left out.
    Constant,
    /// No value in any row: left out.
    Empty,
    /// Left out by the user.
    Dropped,
}

impl ColumnKind {
    /// The name of the kind, as in reports and in `data.json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Category => "category",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Id => "id",
            Self::Text => "text",
            Self::Constant => "constant",
            Self::Empty => "empty",
            Self::Dropped => "dropped",
        }
    }
}

/// A column of the table, with everything to treat new rows like the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TableColumn")]
pub struct Column {
    /// The name in the table.
    pub name: String,
    /// The kind, stated by the user or detected from the training rows.
    pub kind: ColumnKind,
    /// The reason for this kind.
    pub why: String,
    /// The number of training rows without a value.
    pub missing: usize,
    /// Whether it has few distinct whole numbers, which may be codes instead of quantities.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maybe_names: bool,
    /// Whether training rows have words among the numbers; these count as missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_words: bool,
    /// How cells become features; absent if the column is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub treatment: Option<Treatment>,
}

impl Column {
    /// A column that is left out, with `missing` training rows without a value.
    pub(crate) fn left_out(name: &str, kind: ColumnKind, why: impl Into<String>, missing: usize) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            why: why.into(),
            missing,
            maybe_names: false,
            has_words: false,
            treatment: None,
        }
    }

    /// Appends the raw values of a cell, as [`Treatment::raw`], if the column is used. In a column of numbers, a word without
    /// digits counts as missing.
    pub(crate) fn raw(&self, given: ParsedCell<'_>, raw: &mut Vec<f64>) -> Result<(), &'static str> {
        let Some(treatment) = &self.treatment else { return Ok(()) };
        match (treatment.raw(given, raw), given) {
            (Err(_), ParsedCell::Text(text)) if self.kind == ColumnKind::Number && is_word(text) => {
                treatment.raw(ParsedCell::Missing, raw)
            }
            (result, _) => result,
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.chars().any(char::is_numeric) && text.parse::<f64>().is_err()
}

/// How the cells of a column become features, fitted on the training rows alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "as", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Treatment {
    /// A number.
    Number {
        /// The notation of numbers with thousands separators or units; absent if all numbers are plain.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        marks: Option<DecimalMark>,
        /// The unit after the numbers, such as `km`, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
        /// The scaling.
        scale: Scale,
        /// Whether an additional feature marks missing values.
        indicator: bool,
    },
    /// One of two words, as 0 or 1.
    Boolean {
        /// The word for 0.
        no: String,
        /// The word for 1.
        yes: String,
        /// The share of 1 among the training rows; it replaces missing and unknown values.
        fill: f64,
        /// Whether an additional feature marks missing values.
        indicator: bool,
    },
    /// One-hot encoding: one feature per value; all are 0 for an unknown value.
    Category {
        /// The values, sorted.
        values: Vec<String>,
        /// The number of values of the training rows that are too rare for a feature.
        rare: usize,
        /// Whether cells are compared as text: 01 is not 1.
        exact: bool,
        /// Whether an additional feature marks missing values.
        indicator: bool,
    },
    /// The parts of a date that vary between rows, and the days since 1970.
    Date {
        /// The format, in the notation of `strftime`.
        format: String,
        /// The parts with their scaling; `days` is the time since 1970.
        parts: Vec<DatePart>,
        /// Whether an additional feature marks missing values.
        indicator: bool,
    },
}

/// A part of a date.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatePart {
    /// `year`, `month`, `day`, `weekday`, `hour`, `minute` or `days`.
    pub name: String,
    /// The scaling.
    pub scale: Scale,
}

/// A parsed cell, the input of a treatment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ParsedCell<'a> {
    /// A plain number.
    Number(f64),
    /// Any other text.
    Text(&'a str),
    /// A missing value.
    Missing,
}

impl<'a> ParsedCell<'a> {
    /// Parses a cell; with `is_text`, numbers stay text. Words in `missing`, which may be numbers such as -999, and those that
    /// `is_missing` accepts are missing values.
    pub(crate) fn parse(
        text: &'a str,
        is_text: bool,
        decimal_comma: bool,
        missing: &[String],
        is_missing: fn(&str, &[String]) -> bool,
    ) -> Self {
        let is_text = is_text || missing.iter().any(|missing| missing == text);
        match if is_text { None } else { cell_number(text, decimal_comma) } {
            Some(number) => Self::Number(number),
            None if is_missing(text, missing) => Self::Missing,
            None => Self::Text(text),
        }
    }
}

/// The code of an unknown category.
pub(crate) const UNKNOWN: f64 = -1.0;

impl Treatment {
    /// The number of raw values of a cell.
    #[must_use]
    pub fn raw_width(&self) -> usize {
        match self {
            Self::Date { parts, .. } => parts.len(),
            _ => 1,
        }
    }

    /// The number of features.
    #[must_use]
    pub fn features(&self) -> usize {
        match self {
            Self::Number { indicator, .. } | Self::Boolean { indicator, .. } => 1 + usize::from(*indicator),
            Self::Category { values, indicator, .. } => values.len() + usize::from(*indicator),
            Self::Date { parts, indicator, .. } => parts.len() + usize::from(*indicator),
        }
    }

    /// The number of features that are measured numbers; these come first.
    pub(crate) fn numbers(&self) -> usize {
        match self {
            Self::Number { .. } => 1,
            Self::Date { parts, .. } => parts.len(),
            Self::Boolean { .. } | Self::Category { .. } => 0,
        }
    }

    /// The names of the features of a column called `name`.
    #[must_use]
    pub fn feature_names(&self, name: &str) -> Vec<String> {
        let (mut names, indicator) = match self {
            Self::Number { indicator, .. } | Self::Boolean { indicator, .. } => {
                (vec![name.to_owned()], *indicator)
            }
            Self::Category { values, indicator, .. } => {
                (values.iter().map(|value| format!("{name}={value}")).collect(), *indicator)
            }
            Self::Date { parts, indicator, .. } => {
                (parts.iter().map(|part| format!("{name}.{}", part.name)).collect(), *indicator)
            }
        };
        if indicator {
            names.push(format!("{name} is missing"));
        }
        names
    }

    /// Appends the raw values of a cell to `raw`: NaN for a missing value, -1 for an unknown word.
    ///
    /// # Errors
    /// The expected content, if the cell does not fit the column.
    pub fn raw(&self, given: ParsedCell<'_>, raw: &mut Vec<f64>) -> Result<(), &'static str> {
        match (self, given) {
            // Such a scale has no replacement for a missing value.
            (Self::Number { scale, .. }, ParsedCell::Missing) if scale.median.is_nan() => {
                return Err("a number");
            }
            (Self::Date { parts, .. }, ParsedCell::Missing) => raw.extend(parts.iter().map(|_| f64::NAN)),
            (_, ParsedCell::Missing) => raw.push(f64::NAN),
            (Self::Number { .. }, ParsedCell::Number(number)) => raw.push(number),
            (Self::Number { marks, unit, .. }, ParsedCell::Text(text)) => {
                let text = unit.as_ref().and_then(|unit| text.strip_suffix(&**unit)).unwrap_or(text);
                let number =
                    styled_number(text, marks.unwrap_or(DecimalMark::Point)).ok_or("a finite number")?;
                raw.push(number);
            }
            (Self::Boolean { no, yes, .. }, given) => {
                let is = |word: &str| match given {
                    ParsedCell::Text(text) => text.eq_ignore_ascii_case(word),
                    ParsedCell::Number(number) => number.to_string() == word,
                    ParsedCell::Missing => false,
                };
                raw.push(if is(yes) {
                    1.0
                } else if is(no) {
                    0.0
                } else {
                    UNKNOWN
                });
            }
            (Self::Category { values, .. }, ParsedCell::Text(text)) => raw.push(code(values, text)),
            (Self::Category { values, .. }, ParsedCell::Number(number)) => {
                raw.push(code(values, &number.to_string()));
            }
            (Self::Date { format, parts, .. }, ParsedCell::Text(text)) => {
                let days = days(text, format).ok_or("a date in the format of the others")?;
                push_parts(days, parts, raw);
            }
            (Self::Date { format, parts, .. }, ParsedCell::Number(number)) => {
                let days = days(&number.to_string(), format).ok_or("a date in the format of the others")?;
                push_parts(days, parts, raw);
            }
        }
        Ok(())
    }

    /// Writes the features of a cell from its `raw` values.
    pub(crate) fn encode(&self, raw: &[f64], out: &mut [f32]) {
        let flag = |is: bool| f32::from(u8::from(is));
        match self {
            Self::Number { scale, indicator, .. } => {
                out[0] = scale.apply(raw[0]);
                if *indicator {
                    out[1] = flag(raw[0].is_nan());
                }
            }
            Self::Boolean { fill, indicator, .. } => {
                let is_known = raw[0] == 0.0 || raw[0] == 1.0;
                out[0] = if is_known { raw[0] as f32 } else { *fill as f32 };
                if *indicator {
                    out[1] = flag(raw[0].is_nan());
                }
            }
            Self::Category { values, indicator, .. } => {
                out.fill(0.0);
                if raw[0].is_nan() {
                    if *indicator {
                        out[values.len()] = 1.0;
                    }
                } else if raw[0] >= 0.0 {
                    out[raw[0] as usize] = 1.0;
                }
            }
            Self::Date { parts, indicator, .. } => {
                for ((part, &raw), out) in parts.iter().zip(raw).zip(out.iter_mut()) {
                    *out = part.scale.apply(raw);
                }
                if *indicator {
                    out[parts.len()] = flag(raw[0].is_nan());
                }
            }
        }
    }

    /// The value of a cell in words, from its `raw` values.
    pub(crate) fn words(&self, raw: &[f64]) -> String {
        let value = raw[raw.len() - 1];
        match self {
            _ if value.is_nan() => "missing".to_owned(),
            Self::Boolean { no, yes, .. } => if value == 1.0 { yes } else { no }.clone(),
            Self::Category { values, .. } if value >= 0.0 => values[value as usize].clone(),
            Self::Category { .. } => "not known".to_owned(),
            Self::Date { .. } => parts(value).map_or_else(
                || "no date".to_owned(),
                |[year, month, day, _, hour, minute]| {
                    let date = format!("{year}-{month:02}-{day:02}");
                    if value.fract() == 0.0 { date } else { format!("{date} {hour:02}:{minute:02}") }
                },
            ),
            Self::Number { .. } => value.to_string(),
        }
    }

    /// True if the cell with these `raw` values has a word that no training row had.
    pub(crate) fn is_unknown(&self, raw: &[f64]) -> bool {
        matches!(self, Self::Boolean { .. } | Self::Category { .. }) && raw[0] == UNKNOWN
    }

    /// True if the cell with these `raw` values is outside the range of the training rows.
    pub(crate) fn is_outside(&self, raw: &[f64]) -> bool {
        self.ranged().is_some_and(|(index, scale)| scale.excludes(raw[index]))
    }

    /// Minimum and maximum of the training rows in words; `None` for words.
    pub(crate) fn range(&self) -> Option<[String; 2]> {
        self.ranged().map(|(_, scale)| [scale.least, scale.greatest].map(|value| self.words(&[value])))
    }

    /// The index and the scale of the raw value that has a range.
    fn ranged(&self) -> Option<(usize, &Scale)> {
        match self {
            Self::Number { scale, .. } => Some((0, scale)),
            Self::Date { parts, .. } => {
                let days = parts.iter().position(|part| part.name == "days")?;
                Some((days, &parts[days].scale))
            }
            Self::Boolean { .. } | Self::Category { .. } => None,
        }
    }

    /// True if every training row had a value.
    #[must_use]
    pub fn knows_no_missing(&self) -> bool {
        let (Self::Number { indicator, .. }
        | Self::Boolean { indicator, .. }
        | Self::Category { indicator, .. }
        | Self::Date { indicator, .. }) = self;
        !indicator
    }
}

fn code(values: &[String], text: &str) -> f64 {
    values.binary_search_by(|value| value.as_str().cmp(text)).map_or(UNKNOWN, |code| code as f64)
}

fn push_parts(at: f64, kept: &[DatePart], raw: &mut Vec<f64>) {
    let all = parts(at);
    for part in kept {
        let index = PARTS.iter().position(|name| *name == part.name);
        raw.push(match index {
            Some(index) => all.map_or(f64::NAN, |all| all[index]),
            None => at,
        });
    }
}

//! What a column was taken for, and how its cells become features.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cell_text::{PARTS, cell_number, days, parts};
use crate::{Marks, Scale, styled_number};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "ColumnKind")]
pub enum Kind {
    /// An amount.
    Number,
    /// One of some names.
    Category,
    /// Yes or no.
    Boolean,
    /// A date, a time, or both.
    Date,
    /// A name or number of its own for every row: left out.
    Id,
    /// Words that hardly ever repeat: left out.
    Text,
    /// The same value in every row: left out.
    Constant,
    /// No value in any row: left out.
    Empty,
    /// Left out because the user says so.
    Dropped,
}

impl Kind {
    /// Its name, as reports have it.
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

/// A column of the table, with all that is needed to treat new rows as the training rows were treated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TableColumn")]
pub struct Column {
    /// Its name in the table.
    pub name: String,
    /// What it was taken for.
    pub kind: Kind,
    /// Why.
    pub why: String,
    /// Training rows that have no value in it.
    pub missing: usize,
    /// Whether it has few whole numbers, which may be names and no amounts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maybe_names: bool,
    /// Whether training rows have words among its numbers, which count as missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_words: bool,
    /// How its cells become features; absent for a column that is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub treatment: Option<Treatment>,
}

impl Column {
    /// One that is left out, with `missing` training rows that have no value in it.
    pub(crate) fn left_out(name: &str, kind: Kind, why: impl Into<String>, missing: usize) -> Self {
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

    /// Adds what a cell of a column that is used is kept as to `raw`; see [`Treatment::raw`]. Among numbers, a word without a
    /// digit counts as missing.
    ///
    /// # Errors
    /// As [`Treatment::raw`].
    pub(crate) fn raw(&self, given: Given<'_>, raw: &mut Vec<f64>) -> Result<(), &'static str> {
        let Some(treatment) = &self.treatment else { return Ok(()) };
        match (treatment.raw(given, raw), given) {
            (Err(_), Given::Text(text)) if self.kind == Kind::Number && is_word(text) => {
                treatment.raw(Given::Missing, raw)
            }
            (result, _) => result,
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.chars().any(char::is_numeric) && text.parse::<f64>().is_err()
}

/// How the cells of a column become features. What is fitted is fitted on the training rows alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "as", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Treatment {
    /// A number.
    Number {
        /// How numbers with thousands or units are written; absent where all are plain.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        marks: Option<Marks>,
        /// What stands behind the numbers, such as `km`; absent where nothing does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
        /// How it is scaled.
        scale: Scale,
        /// Whether a feature of its own says that there is no value.
        indicator: bool,
    },
    /// 0 for one word, 1 for another.
    Boolean {
        /// The word that is 0.
        no: String,
        /// The word that is 1.
        yes: String,
        /// What stands in for a missing value: the share of 1 among the training rows.
        fill: f64,
        /// Whether a feature of its own says that there is no value.
        indicator: bool,
    },
    /// One feature for each value: 1 for that of the row, 0 for the others, and for all where the value is not known.
    Category {
        /// The values, in order.
        values: Vec<String>,
        /// Values of the training rows that are too rare for a feature of their own.
        rare: usize,
        /// Whether cells are taken as they are written: 01 is not 1.
        exact: bool,
        /// Whether no value is a value of its own.
        indicator: bool,
    },
    /// The parts of a date that differ between rows, and the days since 1970.
    Date {
        /// In the notation of `strftime`.
        format: String,
        /// Which parts, each with its scaling; `days` is the time that has passed since 1970.
        parts: Vec<Part>,
        /// Whether a feature of its own says that there is no value.
        indicator: bool,
    },
}

/// A part of a date.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DatePart")]
pub struct Part {
    /// `year`, `month`, `day`, `weekday`, `hour`, `minute` or `days`.
    pub name: String,
    /// How it is scaled.
    pub scale: Scale,
}

/// A cell as it comes to a treatment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Given<'a> {
    /// A number as programs write it.
    Number(f64),
    /// Any other text.
    Text(&'a str),
    /// Nothing.
    Missing,
}

impl<'a> Given<'a> {
    /// What stands in a cell: the `text` as it is written where `is_text`, else the number that it is. What is one of
    /// `missing`, which may well be a number such as -999, or what `is_missing` takes for nothing, is nothing.
    pub(crate) fn of(
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

/// The code of a category that is not known.
pub(crate) const UNKNOWN: f64 = -1.0;

impl Treatment {
    /// How many numbers a cell is kept as, before they are scaled.
    #[must_use]
    pub fn raw_width(&self) -> usize {
        match self {
            Self::Date { parts, .. } => parts.len(),
            _ => 1,
        }
    }

    /// How many features it gives.
    #[must_use]
    pub fn features(&self) -> usize {
        match self {
            Self::Number { indicator, .. } | Self::Boolean { indicator, .. } => 1 + usize::from(*indicator),
            Self::Category { values, indicator, .. } => values.len() + usize::from(*indicator),
            Self::Date { parts, indicator, .. } => parts.len() + usize::from(*indicator),
        }
    }

    /// How many of its features, the first ones, are measured numbers.
    pub(crate) fn numbers(&self) -> usize {
        match self {
            Self::Number { .. } => 1,
            Self::Date { parts, .. } => parts.len(),
            Self::Boolean { .. } | Self::Category { .. } => 0,
        }
    }

    /// The names of the features of the column `name`.
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

    /// Adds what a cell is kept as to `raw`; NaN stands for no value, -1 for a word that is not known.
    ///
    /// # Errors
    /// What should be there, where a text is not what the column holds.
    pub fn raw(&self, given: Given<'_>, raw: &mut Vec<f64>) -> Result<(), &'static str> {
        match (self, given) {
            // Nothing was fitted that could stand in for it.
            (Self::Number { scale, .. }, Given::Missing) if scale.median.is_nan() => return Err("a number"),
            (Self::Date { parts, .. }, Given::Missing) => raw.extend(parts.iter().map(|_| f64::NAN)),
            (_, Given::Missing) => raw.push(f64::NAN),
            (Self::Number { .. }, Given::Number(number)) => raw.push(number),
            (Self::Number { marks, unit, .. }, Given::Text(text)) => {
                let text = unit.as_ref().and_then(|unit| text.strip_suffix(&**unit)).unwrap_or(text);
                let number = styled_number(text, marks.unwrap_or(Marks::Point)).ok_or("a finite number")?;
                raw.push(number);
            }
            (Self::Boolean { no, yes, .. }, given) => {
                let is = |word: &str| match given {
                    Given::Text(text) => text.eq_ignore_ascii_case(word),
                    Given::Number(number) => number.to_string() == word,
                    Given::Missing => false,
                };
                raw.push(if is(yes) {
                    1.0
                } else if is(no) {
                    0.0
                } else {
                    UNKNOWN
                });
            }
            (Self::Category { values, .. }, Given::Text(text)) => raw.push(code(values, text)),
            (Self::Category { values, .. }, Given::Number(number)) => {
                raw.push(code(values, &number.to_string()));
            }
            (Self::Date { format, parts, .. }, Given::Text(text)) => {
                let days = days(text, format).ok_or("a date written as the others")?;
                push_parts(days, parts, raw);
            }
            (Self::Date { format, parts, .. }, Given::Number(number)) => {
                let days = days(&number.to_string(), format).ok_or("a date written as the others")?;
                push_parts(days, parts, raw);
            }
        }
        Ok(())
    }

    /// Writes the features of a cell that is kept as `raw`.
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

    /// The value of a cell that is kept as `raw`.
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

    /// True if the cell that is kept as `raw` has a value that no training row had, and that counts as not known.
    pub(crate) fn is_unknown(&self, raw: &[f64]) -> bool {
        matches!(self, Self::Boolean { .. } | Self::Category { .. }) && raw[0] == UNKNOWN
    }

    /// True if the cell that is kept as `raw` lies outside the range of the training rows.
    pub(crate) fn is_outside(&self, raw: &[f64]) -> bool {
        self.ranged().is_some_and(|(place, scale)| scale.excludes(raw[place]))
    }

    /// The least and the greatest value of the training rows, in words; none of names.
    pub(crate) fn range(&self) -> Option<[String; 2]> {
        self.ranged().map(|(_, scale)| [scale.least, scale.greatest].map(|value| self.words(&[value])))
    }

    /// Which of the numbers that a cell is kept as has a range, and how that is scaled.
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

    /// True if it was fitted on rows that all had a value.
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

fn push_parts(at: f64, kept: &[Part], raw: &mut Vec<f64>) {
    let all = parts(at);
    for part in kept {
        let place = PARTS.iter().position(|name| *name == part.name);
        raw.push(match place {
            Some(place) => all.map_or(f64::NAN, |all| all[place]),
            None => at,
        });
    }
}

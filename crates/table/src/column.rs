//! What a column was taken for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::treatment::{Given, Treatment};

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

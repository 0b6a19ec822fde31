//! How a table is written down: what stands between cells, around them, above them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the text of a table is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// What stands between two cells.
    pub separator: Separator,
    /// Whether `'` encloses cells as `"` does.
    pub single_quotes: bool,
    /// Lines above the table that are no part of it.
    pub preamble: usize,
    /// What a line of comment begins with, where there are such lines.
    pub comment: Option<char>,
    /// Whether the first row names the columns.
    pub header: bool,
    /// Whether 1,5 is one and a half.
    pub decimal_comma: bool,
}

/// What stands between two cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Separator {
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// A tab.
    Tab,
    /// `|`
    Pipe,
    /// One or more blanks or tabs.
    Blanks,
}

impl Separator {
    /// All of them, the one that is taken first where several fit equally well in front.
    pub(crate) const ALL: [Self; 5] = [Self::Tab, Self::Semicolon, Self::Pipe, Self::Comma, Self::Blanks];

    /// The separator that `text` writes, as in `data.separator`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "," | "comma" => Self::Comma,
            ";" | "semicolon" => Self::Semicolon,
            "\t" | "\\t" | "tab" => Self::Tab,
            "|" | "pipe" => Self::Pipe,
            " " | "blanks" => Self::Blanks,
            _ => return None,
        })
    }

    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
            Self::Blanks => b' ',
        }
    }
}

impl fmt::Display for Separator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Comma => "commas",
            Self::Semicolon => "semicolons",
            Self::Tab => "tabs",
            Self::Pipe => "pipes",
            Self::Blanks => "blanks",
        })
    }
}

impl Form {
    /// Cells between commas, below a header.
    pub(crate) fn plain() -> Self {
        Self {
            separator: Separator::Comma,
            single_quotes: false,
            preamble: 0,
            comment: None,
            header: true,
            decimal_comma: false,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cells between {}", self.separator)?;
        f.write_str(if self.header { ", a header" } else { ", no header" })?;
        if self.decimal_comma {
            f.write_str(", decimal commas")?;
        }
        if self.single_quotes {
            f.write_str(", single quotes")?;
        }
        match self.preamble {
            0 => {}
            1 => f.write_str(", a line above the table")?,
            lines => write!(f, ", {lines} lines above the table")?,
        }
        if let Some(comment) = self.comment {
            write!(f, ", comments after {comment}")?;
        }
        Ok(())
    }
}

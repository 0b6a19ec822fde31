//! What values a key may have.

use std::fmt;
use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::ops::RangeBounds;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Numbers between two bounds. The numbers themselves are finite, also as the 32-bit floats that networks compute
/// with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    pub(crate) low: Bound<f64>,
    pub(crate) high: Bound<f64>,
}

impl Default for Range {
    fn default() -> Self {
        Self { low: Unbounded, high: Unbounded }
    }
}

/// The greatest width and batch, 2^24: beyond it a 32-bit float no longer tells counts apart.
pub const GREATEST_COUNT: f64 = 16_777_216.0;

/// Above 0.
pub const POSITIVE: Range = Range { low: Excluded(0.0), high: Unbounded };
/// From 0 on.
pub const AT_LEAST_0: Range = at_least(0.0);
/// From 1 on.
pub const AT_LEAST_1: Range = at_least(1.0);
/// At least 0 and below 1.
pub const FRACTION: Range = Range { low: Included(0.0), high: Excluded(1.0) };
/// Above 0 and below 1.
pub const OPEN_FRACTION: Range = Range { low: Excluded(0.0), high: Excluded(1.0) };
/// From 0 to 1, both allowed.
pub const SHARE: Range = between(0.0, 1.0);

/// From `low` on.
#[must_use]
pub const fn at_least(low: f64) -> Range {
    Range { low: Included(low), high: Unbounded }
}

/// From `low` to `high`, both allowed.
#[must_use]
pub const fn between(low: f64, high: f64) -> Range {
    Range { low: Included(low), high: Included(high) }
}

/// Above 0 and up to `high`.
#[must_use]
pub const fn positive_to(high: f64) -> Range {
    Range { low: Excluded(0.0), high: Included(high) }
}

impl Range {
    pub(crate) fn allows(self, number: f64) -> bool {
        (self.low, self.high).contains(&number) && (number as f32).is_finite()
    }

    /// Writes the bounds into a JSON Schema, as `number` writes a number.
    pub(crate) fn bound(self, node: &mut Value, number: impl Fn(f64) -> Value) {
        for (bound, [included, excluded]) in
            [(self.low, ["minimum", "exclusiveMinimum"]), (self.high, ["maximum", "exclusiveMaximum"])]
        {
            match bound {
                Included(bound) => node[included] = number(bound),
                Excluded(bound) => node[excluded] = number(bound),
                Unbounded => {}
            }
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |bound, [included, excluded]: [&str; 2]| match bound {
            Included(bound) => Some(format!("{included} {bound}")),
            Excluded(bound) => Some(format!("{excluded} {bound}")),
            Unbounded => None,
        };
        let bounds = [words(self.low, ["at least", "above"]), words(self.high, ["at most", "below"])];
        let bounds: Vec<String> = bounds.into_iter().flatten().collect();
        f.write_str(if bounds.is_empty() { "any finite number" } else { "" })?;
        f.write_str(&bounds.join(" and "))
    }
}

/// What a text must look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextRule {
    /// Anything.
    #[default]
    Any,
    /// Anything but nothing.
    NotEmpty,
    /// The name of a folder, the same on every system.
    Name,
}

/// The longest name: run folders put a date and a file name behind it, and systems end at 255 bytes.
const LONGEST_NAME: usize = 100;

impl TextRule {
    /// Whether `text` is such a text.
    #[must_use]
    pub fn allows(self, text: &str) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        match self {
            Self::Any => true,
            Self::NotEmpty => !text.is_empty(),
            Self::Name => {
                (1..=LONGEST_NAME).contains(&text.len()) && !text.starts_with('.') && text.chars().all(plain)
            }
        }
    }

    /// What is allowed, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Any => "any text",
            Self::NotEmpty => "text that is not empty",
            Self::Name => "1 to 100 letters, digits, `.`, `_` and `-`, not beginning with `.`",
        }
    }

    /// The same as a regular expression, for the JSON Schema.
    pub(crate) fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Any => None,
            Self::NotEmpty => Some("^(.|\n)+$"),
            Self::Name => Some("^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$"),
        }
    }
}

//! A line of `metrics.jsonl`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strum::IntoStaticStr;

/// What a row's figures sum up.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[schemars(rename = "MetricScope")]
pub enum Scope {
    /// The steps since the row before.
    Interval,
    /// A whole epoch.
    Epoch,
}

impl Scope {
    /// The word that stands for it in the logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Figures of one split at one step.
///
/// One flat JSON object: `split`, `scope`, `epoch`, `step`, then the figures by name, in alphabetical order.
/// Numbers have the fewest digits that read back to the same bits. JSON has no infinity and no
/// not-a-number: each is written as null, and null is read as not-a-number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricRow {
    /// `train`, `validation` or `test`.
    pub split: String,
    /// What the figures sum up.
    pub scope: Scope,
    /// The epoch, from 1.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// The figures by name (`loss`, `accuracy`, `learning_rate`, ...); no name may be one of this row's own
    /// fields.
    #[serde(flatten, serialize_with = "write_figures", deserialize_with = "read_figures")]
    #[schemars(with = "BTreeMap<String, Option<f64>>")]
    pub figures: BTreeMap<String, f64>,
}

impl MetricRow {
    /// A row with these figures.
    pub fn new<'a>(
        split: &str,
        scope: Scope,
        epoch: u64,
        step: u64,
        figures: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Self {
        let figures = figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { split: split.to_owned(), scope, epoch, step, figures }
    }

    /// A figure by name.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied()
    }
}

const OWN_FIELDS: [&str; 4] = ["split", "scope", "epoch", "step"];

fn write_figures<S: Serializer>(figures: &BTreeMap<String, f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match figures.keys().find(|name| OWN_FIELDS.contains(&name.as_str())) {
        Some(name) => Err(S::Error::custom(format!("{name:?} cannot be the name of a figure"))),
        None => figures.serialize(serializer),
    }
}

fn read_figures<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let figures = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(figures.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn is_one_flat_object_whatever_order_the_figures_came_in() {
        let line = r#"{"split":"train","scope":"interval","epoch":1,"step":300,"accuracy":0.9,"loss":0.1}"#;
        for figures in [[("loss", 0.1), ("accuracy", 0.9)], [("accuracy", 0.9), ("loss", 0.1)]] {
            let row = MetricRow::new("train", Scope::Interval, 1, 300, figures);
            assert_eq!(serde_json::to_string(&row).unwrap(), line);
            assert_eq!(serde_json::from_str::<MetricRow>(line).unwrap(), row);
        }
    }

    #[test]
    fn what_is_not_finite_is_null_and_comes_back_as_no_number() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let row = MetricRow::new("train", Scope::Epoch, 1, 2, [("loss", value)]);
            let line = serde_json::to_string(&row).unwrap();
            assert!(line.ends_with("\"loss\":null}"), "{line}");
            let read: MetricRow = serde_json::from_str(&line).unwrap();
            assert!(read.figure("loss").unwrap().is_nan());
        }
    }

    #[test]
    fn no_figure_may_hide_a_field() {
        let row = MetricRow::new("train", Scope::Epoch, 1, 2, [("step", 1.0)]);
        assert!(serde_json::to_string(&row).is_err());
    }

    #[test]
    fn a_row_without_a_step_is_no_row() {
        let line = r#"{"split":"train","scope":"epoch","epoch":1,"loss":0.1}"#;
        let problem = serde_json::from_str::<MetricRow>(line).unwrap_err().to_string();
        assert!(problem.starts_with("missing field `step`"), "{problem}");
    }

    proptest! {
        #[test]
        fn every_number_comes_back_to_the_bit(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let row = MetricRow::new("train", Scope::Epoch, 1, 2, [("loss", value)]);
            let read: MetricRow = serde_json::from_str(&serde_json::to_string(&row).unwrap()).unwrap();
            prop_assert_eq!(read.figure("loss").unwrap().to_bits(), bits);
        }
    }
}

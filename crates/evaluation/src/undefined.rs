//! Figures that have no value, and why.

use crate::figures::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::Display;

/// A figure that these predictions do not define: it is null wherever it would stand, or 0 by convention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "UndefinedFigure")]
pub struct Undefined {
    /// The key of the figure in `metrics.json`.
    pub figure: String,
    /// The class, for a figure of one class.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub class: Option<String>,
    /// Why, in words.
    pub reason: String,
}

/// A mean over classes in which some classes do not count, because their figure is undefined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PartialMean {
    /// The key of the mean in `metrics.json`.
    pub figure: String,
    /// Classes that count.
    pub classes: usize,
    /// Classes in all.
    pub of: usize,
}

/// Why a figure has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display)]
pub(crate) enum Reason {
    #[strum(serialize = "no examples of this class")]
    NoExamples,
    #[strum(serialize = "no examples of any other class")]
    NoOtherExamples,
    #[strum(serialize = "this class is never predicted")]
    NeverPredicted,
    #[strum(serialize = "this class is neither among the examples nor ever predicted")]
    NeitherTrueNorPredicted,
    #[strum(serialize = "all examples are of one class")]
    AllTrueAlike,
    #[strum(serialize = "all examples are predicted to be of one class")]
    AllPredictedAlike,
    #[strum(serialize = "some probabilities or losses are not finite numbers")]
    NotFinite,
    #[strum(serialize = "it is undefined for every class")]
    NoClassDefined,
}

/// A figure, or why there is none.
pub(crate) type Defined = Result<f64, Reason>;

/// The value if it is finite.
pub(crate) fn finite(value: f64) -> Defined {
    if value.is_finite() { Ok(value) } else { Err(Reason::NotFinite) }
}

/// Notes, while figures are gathered, which have no value.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) undefined: Vec<Undefined>,
    pub(crate) by_convention: Vec<Undefined>,
    pub(crate) partial_means: Vec<PartialMean>,
}

impl Ledger {
    /// The value of a figure of the whole split.
    pub(crate) fn whole(&mut self, figure: &str, value: Value) -> Option<f64> {
        if let Some([classes, of]) = value.classes.filter(|[classes, of]| *classes != 0 && classes != of) {
            self.partial_means.push(PartialMean { figure: figure.to_owned(), classes, of });
        }
        if let Some(reason) = value.convention {
            self.by_convention.push(Undefined::new(figure, None, reason));
        }
        value.found.map_err(|reason| self.undefined.push(Undefined::new(figure, None, reason))).ok()
    }

    /// The value of a figure of one class.
    pub(crate) fn of_class(&mut self, figure: &str, class: &str, value: Defined) -> Option<f64> {
        value.map_err(|reason| self.undefined.push(Undefined::new(figure, Some(class), reason))).ok()
    }

    /// That a figure of one class is 0 because it is 0 / 0.
    pub(crate) fn convention(&mut self, figure: &str, class: &str, reason: Reason) {
        self.by_convention.push(Undefined::new(figure, Some(class), reason));
    }
}

impl Undefined {
    fn new(figure: &str, class: Option<&str>, reason: Reason) -> Self {
        Self { figure: figure.to_owned(), class: class.map(str::to_owned), reason: reason.to_string() }
    }
}

/// The mean over the classes whose figure is defined.
pub(crate) fn macro_mean(values: &[Defined]) -> Defined {
    weighted_mean(values, &vec![1; values.len()])
}

/// The mean over the classes whose figure is defined, each counting `support` times.
pub(crate) fn weighted_mean(values: &[Defined], support: &[u64]) -> Defined {
    let defined = || values.iter().zip(support).filter_map(|(value, &weight)| Some((value.ok()?, weight)));
    let total: u64 = defined().map(|(_, weight)| weight).sum();
    if total == 0 {
        return Err(common_reason(values));
    }
    finite(defined().map(|(value, weight)| value * weight as f64).sum::<f64>() / total as f64)
}

/// What keeps every class from having a value, where that is one thing.
fn common_reason(values: &[Defined]) -> Reason {
    if values.contains(&Err(Reason::NotFinite)) { Reason::NotFinite } else { Reason::NoClassDefined }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_leave_out_what_is_undefined_and_say_so() {
        let mut ledger = Ledger::default();
        let values = [Ok(0.5), Err(Reason::NoExamples), Ok(1.0)];
        assert_eq!(macro_mean(&values), Ok(0.75));
        assert_eq!(weighted_mean(&values, &[3, 0, 1]), Ok(0.625));
        let counted = |value| Value { found: value, classes: Some([2, 3]), convention: None };
        assert_eq!(ledger.whole("macro_auc", counted(Ok(0.75))), Some(0.75));
        let partial = PartialMean { figure: "macro_auc".to_owned(), classes: 2, of: 3 };
        assert_eq!(ledger.partial_means, [partial]);
        assert!(ledger.undefined.is_empty());
    }

    #[test]
    fn a_mean_of_nothing_is_undefined() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.whole("macro_auc", macro_mean(&[Err(Reason::NoExamples)]).into()), None);
        assert_eq!(ledger.whole("loss", finite(f64::NAN).into()), None);
        let reasons: Vec<&str> = ledger.undefined.iter().map(|entry| entry.reason.as_str()).collect();
        let expected =
            ["it is undefined for every class", "some probabilities or losses are not finite numbers"];
        assert_eq!(reasons, expected);
    }
}

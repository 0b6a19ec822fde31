//! Where the lines between verdicts are drawn: `[rules]`.

use serde::Serialize;

use super::sheet::{Part, Sheet};

/// Thresholds of the verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rules {
    /// A trial overfits where its training accuracy is above its test accuracy by more than this, and it does not
    /// underfit.
    pub overfit_gap: f64,
    /// A trial underfits where its training and its test accuracy are below the best trial's test accuracy of
    /// the same seed by more than this; or its test accuracy alone, where it does not overfit.
    pub underfit_margin: f64,
    /// Gradients vanish where the first layer's norm is below the last layer's times this, when first
    /// measured.
    pub vanishing_ratio: f64,
    /// Gradients explode where the norm of all of them together is above this at any measurement.
    pub exploding_norm: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { overfit_gap: 0.05, underfit_margin: 0.03, vanishing_ratio: 1e-3, exploding_norm: 1e3 }
    }
}

impl Rules {
    pub(crate) fn read(sheet: &mut Sheet<'_>, file: Part<'_, '_>) -> Self {
        let Some(table) = sheet.table(file, "rules") else { return Self::default() };
        let part = Part { name: "rules", table };
        sheet.known_keys(part, &["overfit_gap", "underfit_margin", "vanishing_ratio", "exploding_norm"]);
        let mut number = |key, default| sheet.number(part, key, 0.0).unwrap_or(default);
        let default = Self::default();
        Self {
            overfit_gap: number("overfit_gap", default.overfit_gap),
            underfit_margin: number("underfit_margin", default.underfit_margin),
            vanishing_ratio: number("vanishing_ratio", default.vanishing_ratio),
            exploding_norm: number("exploding_norm", default.exploding_norm),
        }
    }
}

//! Kiln's figures as Burn metrics, each weighted by example.

use std::sync::Arc;

use burn::tensor::TensorReadError;
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry,
    SerializedEntry,
};
use kiln_artifacts::{MetricRow, Scope};
use kiln_model::Tally;

use crate::Figures;

/// Which figure a metric shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Loss,
    Accuracy,
    LearningRate,
    ExamplesPerSecond,
    GradientNorm,
    UpdateRatio,
    InactiveShare,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Loss,
        Self::Accuracy,
        Self::LearningRate,
        Self::ExamplesPerSecond,
        Self::GradientNorm,
        Self::UpdateRatio,
        Self::InactiveShare,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Loss => "Loss",
            Self::Accuracy => "Accuracy",
            Self::LearningRate => "Learning rate",
            Self::ExamplesPerSecond => "Examples per second",
            Self::GradientNorm => "Gradient norm",
            Self::UpdateRatio => "Update ratio",
            Self::InactiveShare => "Dead or saturated",
        }
    }

    /// Whether the figure also exists for a pass without training.
    pub(crate) fn in_validation(self) -> bool {
        matches!(self, Self::Loss | Self::Accuracy)
    }

    fn is_higher_better(self) -> bool {
        !matches!(self, Self::Loss | Self::GradientNorm | Self::InactiveShare)
    }

    fn value(self, figures: &Figures) -> f64 {
        match self {
            Self::Loss => figures.tally.loss(),
            Self::Accuracy => 100.0 * figures.tally.accuracy(),
            Self::LearningRate => figures.learning_rate,
            Self::ExamplesPerSecond => figures.examples_per_second(),
            Self::GradientNorm => figures.gradient_norm,
            Self::UpdateRatio => figures.update_ratio,
            Self::InactiveShare => 100.0 * figures.inactive_share,
        }
    }

    fn format(self, value: f64) -> String {
        match self {
            Self::Loss => format!("{value:.4}"),
            Self::Accuracy | Self::InactiveShare => format!("{value:.2} %"),
            Self::LearningRate | Self::UpdateRatio => format!("{value:.3e}"),
            Self::ExamplesPerSecond => format!("{value:.0}"),
            Self::GradientNorm => format!("{value:.3}"),
        }
    }
}

/// One figure under Burn's metric traits; it sums up an epoch by example.
#[derive(Clone, Debug)]
pub(crate) struct FigureMetric {
    kind: Kind,
    name: MetricName,
    epoch: Figures,
    last: f64,
    /// Of a pass over the validation split, which is one item: the best so far.
    best: Option<Best>,
}

/// The best figure of some epochs.
#[derive(Clone, Copy, Debug, Default)]
struct Best {
    /// How many there were.
    epochs: u64,
    /// The best, and its epoch.
    best: Option<(f64, u64)>,
}

impl Best {
    fn count(&mut self, value: f64, higher_is_better: bool) {
        self.epochs += 1;
        let is_better = |best: f64| if higher_is_better { value > best } else { value < best };
        if value.is_finite() && self.best.is_none_or(|(best, _)| is_better(best)) {
            self.best = Some((value, self.epochs));
        }
    }
}

impl FigureMetric {
    pub(crate) fn new(kind: Kind) -> Self {
        let name = Arc::new(kind.name().to_owned());
        Self { kind, name, epoch: Figures::default(), last: f64::NAN, best: None }
    }

    /// Of passes over the validation split: it names the best so far, beginning with the epochs that `rows` have.
    pub(crate) fn of_validation(kind: Kind, rows: &[MetricRow]) -> Self {
        let mut best = Best::default();
        let (name, scale) = if kind == Kind::Accuracy { ("accuracy", 100.0) } else { ("loss", 1.0) };
        for row in rows.iter().filter(|row| row.split == "validation" && row.scope == Scope::Epoch) {
            best.count(scale * row.figure(name).unwrap_or(f64::NAN), kind.is_higher_better());
        }
        Self { best: Some(best), ..Self::new(kind) }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    fn entry(&self) -> SerializedEntry {
        let epoch = self.kind.value(&self.epoch);
        let last = self.kind.format(self.last);
        let formatted = match self.best {
            Some(Best { best: Some((best, of)), .. }) => {
                format!("epoch {last} - best {} ({of})", self.kind.format(best))
            }
            Some(_) => format!("epoch {last}"),
            None => format!("epoch {} - batch {last}", self.kind.format(epoch)),
        };
        SerializedEntry::new(formatted, epoch.to_string())
    }

    /// Burn's plots need a number; a figure that is none is left out.
    fn plotted(value: f64) -> Option<NumericEntry> {
        value.is_finite().then_some(NumericEntry::Value(value))
    }
}

impl Metric for FigureMetric {
    type Input = Figures;

    fn name(&self) -> MetricName {
        Arc::clone(&self.name)
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes { unit: None, higher_is_better: self.kind.is_higher_better() }.into()
    }

    fn update(&mut self, figures: &Figures, _: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        let mut tally: Tally = self.epoch.tally;
        tally.merge(&figures.tally);
        self.epoch = Figures { tally, seconds: self.epoch.seconds + figures.seconds, ..*figures };
        self.last = self.kind.value(figures);
        if let Some(best) = &mut self.best {
            best.count(self.last, self.kind.is_higher_better());
        }
        Ok(self.entry())
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.entry())
    }

    fn clear(&mut self) {
        self.epoch = Figures::default();
        self.last = f64::NAN;
    }
}

impl Numeric for FigureMetric {
    fn value(&self) -> Option<NumericEntry> {
        Self::plotted(self.last)
    }

    fn running_value(&self) -> Option<NumericEntry> {
        Self::plotted(self.kind.value(&self.epoch))
    }

    fn final_value(&self) -> NumericEntry {
        NumericEntry::Final(self.kind.value(&self.epoch))
    }
}

impl Adaptor<Figures> for Figures {
    fn adapt(&self) -> Figures {
        *self
    }
}

//! Kiln's figures as Burn metrics, each weighted by example.

use std::sync::Arc;

use burn::tensor::TensorReadError;
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes, NumericEntry,
    SerializedEntry,
};
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
}

impl FigureMetric {
    pub(crate) fn new(kind: Kind) -> Self {
        let name = Arc::new(kind.name().to_owned());
        Self { kind, name, epoch: Figures::default(), last: f64::NAN }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    fn entry(&self) -> SerializedEntry {
        let epoch = self.kind.value(&self.epoch);
        let formatted = format!("epoch {} - batch {}", self.kind.format(epoch), self.kind.format(self.last));
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
        let higher_is_better = !matches!(self.kind, Kind::Loss | Kind::GradientNorm | Kind::InactiveShare);
        NumericAttributes { unit: None, higher_is_better }.into()
    }

    fn update(&mut self, figures: &Figures, _: &MetricMetadata) -> Result<SerializedEntry, TensorReadError> {
        let mut tally: Tally = self.epoch.tally;
        tally.merge(&figures.tally);
        self.epoch = Figures { tally, seconds: self.epoch.seconds + figures.seconds, ..*figures };
        self.last = self.kind.value(figures);
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

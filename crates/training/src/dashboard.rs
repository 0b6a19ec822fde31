//! Burn's full-screen dashboard: opening it, closing it, and Kiln's figures as Burn metrics.
//!
//! Two properties of the dashboard need care. It puts the terminal into raw mode, where Ctrl-C is a key that it ignores;
//! [`open_dashboard`] makes it a signal again. And its kill key panics in the training thread; [`is_kill`] recognizes
//! that panic.

use std::any::Any;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::{ExecutionError, TensorReadError};
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricDefinition, MetricMetadata, MetricName, Numeric,
    NumericAttributes, NumericEntry, SerializedEntry,
};
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};
use burn::train::{Interrupter, ItemLazy, LearnerSummary};
use kiln_artifacts::{MetricRow, MetricScope};
use kiln_model::Tally;
use ratatui::crossterm::cursor::{MoveToColumn, Show};
use ratatui::crossterm::event::DisableMouseCapture;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, LeaveAlternateScreen, disable_raw_mode, is_raw_mode_enabled,
};

/// The longest wait for the dashboard's thread to put the terminal into raw mode.
const RAW_MODE_DEADLINE: Duration = Duration::from_secs(2);

/// Opens Burn's dashboard on this process's terminal. Its stop key stops `interrupter`. The remaining time is estimated
/// from the epochs after `epochs_done`.
#[must_use]
pub fn open_dashboard(interrupter: Interrupter, epochs_done: usize) -> TuiMetricsRendererWrapper {
    let dashboard = TuiMetricsRendererWrapper::new(interrupter, Some(epochs_done));
    let deadline = Instant::now() + RAW_MODE_DEADLINE;
    while !is_raw_mode_enabled().unwrap_or(false) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    if let Err(error) = let_ctrl_c_through() {
        tracing::warn!("Ctrl-C does not work in the dashboard, press q instead: {error}");
    }
    dashboard
}

/// Restores the terminal, for a process that exits without unwinding.
pub fn restore_terminal() {
    if is_raw_mode_enabled().unwrap_or(false) {
        // The process exits: an error can no longer be shown.
        let _ = disable_raw_mode();
        let _ = execute!(io::stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
    }
}

/// The message of the panic that the dashboard's kill key raises.
const KILL_MESSAGE: &str = "Killing training from user input.";

/// Whether a panic comes from the dashboard's kill key.
pub(crate) fn is_kill(panic: &(dyn Any + Send)) -> bool {
    panic.downcast_ref::<&str>() == Some(&KILL_MESSAGE)
        || panic.downcast_ref::<String>().is_some_and(|message| message == KILL_MESSAGE)
}

/// The longest time that the dashboard's threads need to end after the kill key.
const KILL_DEADLINE: Duration = Duration::from_millis(200);

/// Waits until the kill key has ended the dashboard, and clears its panic message. Each of its threads leaves the
/// alternate screen once more, which moves the cursor above the text written in the meantime.
pub(crate) fn settle_after_kill() {
    std::thread::sleep(KILL_DEADLINE);
    // A failure only spoils the look of the terminal.
    let _ = execute!(io::stdout(), MoveToColumn(0), Clear(ClearType::FromCursorDown));
}

/// Turns a special character of the terminal off (`_POSIX_VDISABLE`).
#[cfg(unix)]
const NO_CHARACTER: u8 = if cfg!(target_os = "linux") { 0 } else { 0xff };

/// Makes Ctrl-C a signal again in raw mode. Ctrl-Z and Ctrl-\ stay keys: they would return to the shell with the
/// dashboard still on the screen.
#[cfg(unix)]
fn let_ctrl_c_through() -> io::Result<()> {
    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
    let terminal = std::fs::File::open("/dev/tty")?;
    let mut attributes = tcgetattr(&terminal)?;
    attributes.local_modes |= LocalModes::ISIG;
    attributes.special_codes[SpecialCodeIndex::VSUSP] = NO_CHARACTER;
    attributes.special_codes[SpecialCodeIndex::VQUIT] = NO_CHARACTER;
    tcsetattr(&terminal, OptionalActions::Now, &attributes)?;
    Ok(())
}

#[cfg(not(unix))]
fn let_ctrl_c_through() -> io::Result<()> {
    Ok(())
}

/// Burn's renderer: the dashboard, or nothing. It leaves out the dashboard's log of events, which counts iterations: the
/// loop sends everything since the last redraw as one item, so the count would be wrong.
pub(crate) struct Renderer(pub(crate) Option<TuiMetricsRendererWrapper>);

impl Renderer {
    fn forward(&mut self, call: impl FnOnce(&mut TuiMetricsRendererWrapper)) {
        self.0.as_mut().map(call);
    }
}

impl MetricsRendererTraining for Renderer {
    fn update_train(&mut self, state: MetricState) {
        self.forward(|dashboard| dashboard.update_train(state));
    }

    fn update_valid(&mut self, state: MetricState) {
        self.forward(|dashboard| dashboard.update_valid(state));
    }

    fn on_train_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        self.0.as_mut().map_or(Ok(()), |dashboard| dashboard.on_train_end(summary))
    }
}

impl MetricsRendererEvaluation for Renderer {
    fn update_test(&mut self, name: EvaluationName, state: MetricState) {
        self.forward(|dashboard| dashboard.update_test(name, state));
    }
}

impl MetricsRenderer for Renderer {
    fn manual_close(&mut self) {
        self.forward(MetricsRenderer::manual_close);
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.forward(|dashboard| dashboard.register_metric(definition));
    }
}

impl TrainingProgressLogger for Renderer {
    fn start(&mut self, epochs: usize, first_epoch: usize, items: Option<usize>, label: Option<&str>) {
        self.forward(|dashboard| dashboard.start(epochs, first_epoch, items, label));
    }

    fn update_epoch(&mut self, epoch: usize) {
        self.forward(|dashboard| dashboard.update_epoch(epoch));
    }

    fn start_split(&mut self, split: &str, items: usize) {
        self.forward(|dashboard| dashboard.start_split(split, items));
    }

    fn update_split(&mut self, items_done: usize) {
        self.forward(|dashboard| dashboard.update_split(items_done));
    }

    fn end_split(&mut self) {
        self.forward(TrainingProgressLogger::end_split);
    }

    fn end(&mut self) {
        self.forward(TrainingProgressLogger::end);
    }

    fn log_event_training(&mut self, _: String) {}
}

/// Empty, because Kiln evaluates after the dashboard has closed.
impl EvaluationProgressLogger for Renderer {
    fn start_global_progress(&mut self, _: usize) {}
    fn start_test(&mut self, _: &str, _: usize) {}
    fn update_test_progress(&mut self, _: usize) {}
    fn end_test(&mut self) {}
    fn end_global_progress(&mut self) {}
    fn log_event_evaluation(&mut self, _: String) {}
}

/// Figures over a number of examples, on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Sums of loss and hits.
    pub tally: Tally,
    /// Learning rate of the last optimizer step; 0 in a pass without training.
    pub learning_rate: f64,
    /// Global 2-norm of the gradient at the last optimizer step, before clipping; 0 without training.
    pub gradient_norm: f64,
    /// The greatest update ratio of all layers, as last measured; 0 without training.
    pub update_ratio: f64,
    /// The greatest share of dead or saturated units of all layers, as last measured, in [0, 1].
    pub inactive_share: f64,
    /// Seconds spent on the examples.
    pub seconds: f64,
}

impl Figures {
    /// Examples per second.
    #[must_use]
    pub fn examples_per_second(&self) -> f64 {
        self.tally.examples as f64 / self.seconds
    }
}

impl ItemLazy for Figures {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

/// The figure that a metric shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricKind {
    Loss,
    Accuracy,
    LearningRate,
    ExamplesPerSecond,
    GradientNorm,
    UpdateRatio,
    InactiveShare,
}

impl MetricKind {
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

    /// Whether a pass without training has the figure, too.
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

/// One figure as a Burn metric. Over an epoch, it sums by example.
#[derive(Clone, Debug)]
pub(crate) struct FigureMetric {
    kind: MetricKind,
    name: MetricName,
    epoch: Figures,
    last: f64,
    /// For validation: the best epoch so far.
    best: Option<BestOfEpochs>,
}

/// The best figure of a number of epochs.
#[derive(Clone, Copy, Debug, Default)]
struct BestOfEpochs {
    epochs: u64,
    /// The best figure and its epoch, from 1.
    best: Option<(f64, u64)>,
}

impl BestOfEpochs {
    fn count(&mut self, value: f64, higher_is_better: bool) {
        self.epochs += 1;
        let is_better = |best: f64| if higher_is_better { value > best } else { value < best };
        if value.is_finite() && self.best.is_none_or(|(best, _)| is_better(best)) {
            self.best = Some((value, self.epochs));
        }
    }
}

impl FigureMetric {
    pub(crate) fn new(kind: MetricKind) -> Self {
        let name = Arc::new(kind.name().to_owned());
        Self { kind, name, epoch: Figures::default(), last: f64::NAN, best: None }
    }

    /// A metric for passes over the validation split. It also shows the best epoch, including the epochs in `rows`.
    pub(crate) fn of_validation(kind: MetricKind, rows: &[MetricRow]) -> Self {
        let mut best = BestOfEpochs::default();
        let (name, scale) = if kind == MetricKind::Accuracy { ("accuracy", 100.0) } else { ("loss", 1.0) };
        for row in rows.iter().filter(|row| row.split == "validation" && row.scope == MetricScope::Epoch) {
            best.count(scale * row.figure(name).unwrap_or(f64::NAN), kind.is_higher_better());
        }
        Self { best: Some(best), ..Self::new(kind) }
    }

    pub(crate) fn kind(&self) -> MetricKind {
        self.kind
    }

    fn entry(&self) -> SerializedEntry {
        let epoch = self.kind.value(&self.epoch);
        let last = self.kind.format(self.last);
        let formatted = match self.best {
            Some(BestOfEpochs { best: Some((best, of)), .. }) => {
                format!("epoch {last} - best {} ({of})", self.kind.format(best))
            }
            Some(_) => format!("epoch {last}"),
            None => format!("epoch {} - batch {last}", self.kind.format(epoch)),
        };
        SerializedEntry::new(formatted, epoch.to_string())
    }

    /// Burn's plots need finite numbers; others are left out.
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

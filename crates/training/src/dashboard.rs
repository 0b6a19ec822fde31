//! Burn's full-screen dashboard, made to live with Ctrl-C.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::MetricDefinition;
use burn::train::renderer::tui::TuiMetricsRendererWrapper;
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation, MetricsRendererTraining,
};
use burn::train::{Interrupter, LearnerSummary};
use ratatui::crossterm::cursor::{MoveToColumn, Show};
use ratatui::crossterm::event::DisableMouseCapture;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, LeaveAlternateScreen, disable_raw_mode, is_raw_mode_enabled,
};

/// How long the dashboard's thread may take to put the terminal into raw mode.
const RAW_MODE_DEADLINE: Duration = Duration::from_secs(2);

/// Opens Burn's dashboard on this process's terminal. Its stop key stops `interrupter`; the time left is
/// estimated from what comes after `epochs_done`.
#[must_use]
pub fn open_dashboard(interrupter: Interrupter, epochs_done: usize) -> TuiMetricsRendererWrapper {
    let dashboard = TuiMetricsRendererWrapper::new(interrupter, Some(epochs_done));
    let deadline = Instant::now() + RAW_MODE_DEADLINE;
    while !is_raw_mode_enabled().unwrap_or(false) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    if let Err(error) = let_ctrl_c_through() {
        tracing::warn!("Ctrl-C will not work in the dashboard, press q instead: {error}");
    }
    dashboard
}

/// Gives the terminal back in a hurry, before the process leaves without unwinding.
pub fn restore_terminal() {
    if is_raw_mode_enabled().unwrap_or(false) {
        // There is nobody left to tell about an error here.
        let _ = disable_raw_mode();
        let _ = execute!(io::stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
    }
}

/// How long the dashboard's thread may take to die of its kill key.
const DEATH_DEADLINE: Duration = Duration::from_millis(200);

/// Waits until the kill key has ended the dashboard, and clears its last words. Each thread that dies of the
/// key leaves the alternate screen once more, which puts the cursor back above what was written meanwhile.
pub(crate) fn settle_after_kill() {
    std::thread::sleep(DEATH_DEADLINE);
    // Only looks suffer where this fails.
    let _ = execute!(io::stdout(), MoveToColumn(0), Clear(ClearType::FromCursorDown));
}

/// What stands for no character at all among the special ones of a terminal (`_POSIX_VDISABLE`).
#[cfg(unix)]
const NO_CHARACTER: u8 = if cfg!(target_os = "linux") { 0 } else { 0xff };

/// Raw mode turns Ctrl-C into a key, which the dashboard ignores; this makes it a signal again. Ctrl-Z and Ctrl-\ stay
/// keys: the shell would get the terminal with the dashboard on it.
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

/// Burn's renderer: its dashboard, or nothing. The dashboard comes without its count of iterations: the loop sends
/// what happened since the last redraw as one item, so it would count redraws.
pub(crate) struct Renderer(pub(crate) Option<TuiMetricsRendererWrapper>);

impl Renderer {
    fn tell(&mut self, what: impl FnOnce(&mut TuiMetricsRendererWrapper)) {
        self.0.as_mut().map(what);
    }
}

impl MetricsRendererTraining for Renderer {
    fn update_train(&mut self, state: MetricState) {
        self.tell(|dashboard| dashboard.update_train(state));
    }

    fn update_valid(&mut self, state: MetricState) {
        self.tell(|dashboard| dashboard.update_valid(state));
    }

    fn on_train_end(&mut self, summary: Option<LearnerSummary>) -> Result<(), Box<dyn Error>> {
        self.0.as_mut().map_or(Ok(()), |dashboard| dashboard.on_train_end(summary))
    }
}

impl MetricsRendererEvaluation for Renderer {
    fn update_test(&mut self, name: EvaluationName, state: MetricState) {
        self.tell(|dashboard| dashboard.update_test(name, state));
    }
}

impl MetricsRenderer for Renderer {
    fn manual_close(&mut self) {
        self.tell(MetricsRenderer::manual_close);
    }

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.tell(|dashboard| dashboard.register_metric(definition));
    }
}

impl TrainingProgressLogger for Renderer {
    fn start(&mut self, epochs: usize, first_epoch: usize, items: Option<usize>, label: Option<&str>) {
        self.tell(|dashboard| dashboard.start(epochs, first_epoch, items, label));
    }

    fn update_epoch(&mut self, epoch: usize) {
        self.tell(|dashboard| dashboard.update_epoch(epoch));
    }

    fn start_split(&mut self, split: &str, items: usize) {
        self.tell(|dashboard| dashboard.start_split(split, items));
    }

    fn update_split(&mut self, items_done: usize) {
        self.tell(|dashboard| dashboard.update_split(items_done));
    }

    fn end_split(&mut self) {
        self.tell(TrainingProgressLogger::end_split);
    }

    fn end(&mut self) {
        self.tell(TrainingProgressLogger::end);
    }

    fn log_event_training(&mut self, _: String) {}
}

/// Kiln evaluates after the dashboard has closed.
impl EvaluationProgressLogger for Renderer {
    fn start_global_progress(&mut self, _: usize) {}
    fn start_test(&mut self, _: &str, _: usize) {}
    fn update_test_progress(&mut self, _: usize) {}
    fn end_test(&mut self) {}
    fn end_global_progress(&mut self) {}
    fn log_event_evaluation(&mut self, _: String) {}
}

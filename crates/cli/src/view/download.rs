//! A progress bar for transfers of data.

use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};
use kiln_data::Progress;

/// Shows a transfer on stderr; indicatif shows nothing where that is not a terminal.
#[derive(Default)]
pub(crate) struct DownloadBar(Mutex<Option<ProgressBar>>);

impl DownloadBar {
    fn with(&self, act: impl FnOnce(&mut Option<ProgressBar>)) {
        act(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl Progress for DownloadBar {
    fn begin(&self, what: &str, total_bytes: Option<u64>) {
        let style =
            ProgressStyle::with_template("{msg}  {bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {eta}");
        let bar = total_bytes.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let bar = bar.with_style(style.expect("the template is well-formed")).with_message(what.to_owned());
        self.with(|place| *place = Some(bar));
    }

    fn advance(&self, bytes: u64) {
        self.with(|place| {
            if let Some(bar) = place {
                bar.inc(bytes);
            }
        });
    }

    fn end(&self) {
        self.with(|place| {
            if let Some(bar) = place.take() {
                bar.finish_and_clear();
            }
        });
    }
}

//! Ctrl-C: the first stops after the step, the second leaves at once.

use kiln_training::{StopSignal, restore_terminal};

use crate::failure::INTERRUPTED;

/// Turns SIGINT and SIGTERM into `stop`. What was checkpointed is safe even from the second one.
pub(crate) fn stop_on_ctrl_c(stop: &StopSignal) {
    let stop = stop.clone();
    let handler = move || {
        if !stop.request() {
            restore_terminal();
            std::process::exit(i32::from(INTERRUPTED));
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        tracing::warn!("Ctrl-C cannot be caught, so it will end the program at once: {error}");
    }
}

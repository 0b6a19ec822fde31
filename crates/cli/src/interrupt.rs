//! Ctrl-C: the first stops after the step, the second leaves at once.

use std::io::{Read, stdin};
use std::thread;

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

/// Turns the end of standard input into `stop`: whoever holds its other end lets go, or has died.
pub(crate) fn stop_at_end_of_stdin(stop: &StopSignal) {
    let stop = stop.clone();
    thread::spawn(move || {
        let mut nothing = [0; 64];
        while matches!(stdin().lock().read(&mut nothing), Ok(1..)) {}
        let _ = stop.request();
    });
}

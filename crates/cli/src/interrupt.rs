//! Ctrl-C: in a training, the first stops after the step, the second leaves at once.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use kiln::StopSignal;
use kiln_training::restore_terminal;

use crate::failure::INTERRUPTED;

/// What stopped the program, the first time.
static STOPPED_BY: OnceLock<&'static str> = OnceLock::new();

/// What asked the program to stop; none where it was no signal.
pub(crate) fn stopped_by() -> Option<&'static str> {
    STOPPED_BY.get().copied()
}

/// Turns SIGINT, SIGTERM and SIGHUP into `stop`. What was checkpointed is safe even from the second one.
pub(crate) fn stop_on_ctrl_c(stop: &StopSignal) {
    let stop = stop.clone();
    catch(move || {
        if !stop.request() {
            restore_terminal();
            std::process::exit(i32::from(INTERRUPTED));
        }
    });
}

/// The same, for a process that a scheduler ends: schedulers signal all processes of a job, and some of them twice, so that only
/// what comes a second after the first leaves at once.
pub(crate) fn stop_on_signals(stop: &StopSignal) {
    let stop = stop.clone();
    let first = OnceLock::new();
    catch(move || {
        let first = *first.get_or_init(Instant::now);
        if !stop.request() && first.elapsed() >= Duration::from_secs(1) && stopped_by() == Some("Ctrl-C") {
            std::process::exit(i32::from(INTERRUPTED));
        }
    });
}

/// At SIGINT, SIGTERM or SIGHUP, does `last` and leaves.
pub(crate) fn leave_on_ctrl_c(last: impl Fn() + Send + 'static) {
    catch(move || {
        last();
        std::process::exit(i32::from(INTERRUPTED));
    });
}

fn catch(handler: impl Fn() + Send + 'static) {
    if let Err(error) = on_signal(handler) {
        tracing::warn!("Ctrl-C cannot be caught, so it will end the program at once: {error}");
    }
}

/// Calls `handler`, in a thread of its own, at each signal that asks the program to end.
#[cfg(unix)]
fn on_signal(handler: impl Fn() + Send + 'static) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    // A handler would undo what `nohup` did, and the end of the terminal would be the end of the run.
    if !hangup_is_ignored() {
        signals.add_signal(SIGHUP)?;
    }
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in &mut signals {
            // Of several, the first is why.
            let _ = STOPPED_BY.set(match signal {
                SIGINT => "Ctrl-C",
                SIGTERM => "SIGTERM",
                _ => "the end of its terminal",
            });
            handler();
        }
    })?;
    Ok(())
}

#[cfg(not(unix))]
fn on_signal(handler: impl Fn() + Send + 'static) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(handler)
}

/// Whether this process was started with SIGHUP ignored, as `nohup` and `trap "" HUP` start one.
///
/// A child inherits that, so a shell that sends the signal to itself shows it: it lives on only where the signal is
/// ignored. To ask the system itself takes unsafe code, or `/proc`, which macOS does not have. Without a shell the
/// answer is no. To be asked before a handler is set: a child does not inherit that one.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    use std::process::{Command, Stdio};
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill -s HUP $$"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.status().is_ok_and(|status| status.success())
}

//! `kiln worker`: one process of a study.

use std::io::stdin;

use kiln::StopSignal;
use kiln_study::{Message, Order, WorkerEnd};

use crate::failure::Failure;
use crate::interrupt::{stop_at_end_of_stdin, stop_on_ctrl_c};
use crate::log::log_to;
use crate::output::say;

/// Trains the run that the order on standard input asks for, and tells of it in lines of JSON.
pub(crate) fn worker() -> Result<(), Failure> {
    let order = Order::read(&mut stdin().lock()).map_err(Failure::usage)?;
    let stop = StopSignal::default();
    stop_on_ctrl_c(&stop);
    stop_at_end_of_stdin(&stop);
    let begun = |run: &kiln::Run| {
        // A worker without its log trains all the same.
        let _ = log_to(run);
    };
    let last = order.carry_out(stop, begun, tell);
    tell(&last);
    match last {
        Message::Ended(WorkerEnd::Failed(_)) => Err(Failure::failed("")),
        Message::Ended(WorkerEnd::Stopped) => Err(Failure::interrupted("")),
        Message::Ended(WorkerEnd::Finished) | Message::Event(_) => Ok(()),
    }
}

fn tell(message: &Message) {
    say(&serde_json::to_string(message).expect("a message is plain data"));
}

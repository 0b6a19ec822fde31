//! `kiln worker`: one process of a study.

use std::io::stdin;
use std::sync::mpsc::channel;
use std::thread;

use kiln::StopSignal;
use kiln_study::{Message, Order, WorkerEnd};

use crate::failure::Failure;
use crate::interrupt::stop_on_signals;
use crate::log::log_to;
use crate::output::say;

/// Trains what the orders on standard input ask for, one after the other, and tells of it in lines of JSON. Whoever gives the
/// orders holds the other end of the input: where it ends, this process is to stop.
pub(crate) fn worker() -> Result<(), Failure> {
    let stop = StopSignal::default();
    // A scheduler signals the study's process too, which asks this one to stop as well: that is one wish, not two.
    stop_on_signals(&stop);
    let (sender, orders) = channel();
    let at_end = stop.clone();
    thread::spawn(move || {
        for line in stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
        let _ = at_end.request();
    });
    for line in orders {
        let order = Order::read(&line).map_err(Failure::usage)?;
        let begun = |run: &kiln::Run| {
            // A worker without its log trains all the same.
            let _ = log_to(run);
        };
        let last = order.carry_out(&stop, begun, tell);
        tell(&last);
        if matches!(last, Message::Ended(WorkerEnd::Stopped)) {
            return Err(Failure::interrupted(""));
        }
    }
    Ok(())
}

fn tell(message: &Message) {
    say(&serde_json::to_string(message).expect("a message is plain data"));
}

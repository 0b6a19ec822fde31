//! A running training as lines of text.

use kiln::{Event, Observer};

use crate::output::say;

/// Prints a line per interval and a line per epoch.
pub(crate) struct Plain;

impl Observer for Plain {
    fn observe(&mut self, event: &Event) {
        say(&line(event));
    }
}

fn line(event: &Event) -> String {
    match event {
        Event::Started { epoch, epochs, step: 0, examples } => {
            let plural = if *epochs == 1 { "" } else { "s" };
            format!("training {examples} examples for {epochs} epoch{plural}, from epoch {epoch}")
        }
        Event::Started { epoch, epochs, step, .. } => {
            format!("going on in epoch {epoch} of {epochs}, after step {step}")
        }
        Event::Interval {
            epoch,
            epochs,
            examples_done,
            examples,
            loss,
            accuracy,
            lr,
            examples_per_second,
            ..
        } => {
            let width = examples.to_string().len();
            format!(
                "epoch {epoch}/{epochs}  [{examples_done:>width$}/{examples}]  loss {loss:.6}  accuracy \
                 {accuracy:.4}  lr {lr:.2e}  {examples_per_second:.0} examples/s"
            )
        }
        Event::Epoch {
            epoch,
            epochs,
            train_loss,
            train_accuracy,
            validation_loss,
            validation_accuracy,
            seconds,
            best,
        } => {
            let validation = match (validation_loss, validation_accuracy) {
                (Some(loss), Some(accuracy)) => {
                    let best = if *best { " (best)" } else { "" };
                    format!("  |  validation loss {loss:.4}  accuracy {accuracy:.4}{best}")
                }
                _ => String::new(),
            };
            format!(
                "epoch {epoch}/{epochs} done  train loss {train_loss:.4}  accuracy {train_accuracy:.4}{validation}  \
                 |  {seconds:.2} s"
            )
        }
        Event::Stopped { stop_reason, epochs_done, step } => {
            format!("training ended ({stop_reason}) after {epochs_done} epochs, {step} steps")
        }
    }
}

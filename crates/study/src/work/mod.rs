//! Trials as worker processes.

mod cell;
mod crew;
mod leash;
mod order;
mod progress;
mod worker;

pub(crate) use cell::Cell;
pub(crate) use crew::{Shift, work};
pub use order::{Message, Order, WorkerEnd};
pub use progress::{CellEnd, Progress, View};
pub use worker::Worker;

//! Trials as worker processes.

mod cell;
mod crew;
mod leash;
mod progress;
mod worker;

pub(crate) use cell::Cell;
pub(crate) use crew::{Shift, work};
pub use progress::{CellEnd, Progress, View};

//! Trials as tasks that worker processes take, in one process or in many, on one host or on many.

mod board;
mod cell;
mod lease;
mod order;
mod pool;
mod progress;
mod result;
mod simulation;
mod task;
mod trainers;

pub(crate) use cell::Cell;
pub(crate) use lease::Leases;
pub use order::{Message, Order, WorkerEnd};
pub(crate) use pool::{CANCELLED, Pool, WorkEnd};
pub use progress::{CellEnd, Progress, View};
pub use result::TaskResult;
pub(crate) use result::{Results, name as figure_name};
pub use simulation::{ClaimFigures, simulate_claims};
pub(crate) use task::{Agenda, Done, Task, Tasks};
pub use trainers::Worker;

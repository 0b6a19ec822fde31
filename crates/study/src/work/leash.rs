//! How workers are asked to stop: each reads its standard input, and stops where that ends.
//!
//! The input also ends when the study's process dies, however it dies, so that no worker is left behind.

use std::collections::HashMap;
use std::process::ChildStdin;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The inputs of all running workers.
#[derive(Debug)]
pub(crate) struct Leash(Mutex<Option<HashMap<usize, ChildStdin>>>);

impl Leash {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Some(HashMap::new())))
    }

    /// Keeps the input of the worker of a cell open; at once closes it if all were asked to stop.
    pub(crate) fn hold(&self, cell: usize, input: Option<ChildStdin>) {
        if let (Some(inputs), Some(input)) = (self.inputs().as_mut(), input) {
            inputs.insert(cell, input);
        }
    }

    /// Forgets a worker that has ended.
    pub(crate) fn drop(&self, cell: usize) {
        if let Some(inputs) = self.inputs().as_mut() {
            inputs.remove(&cell);
        }
    }

    /// Asks all workers, now and later, to stop.
    pub(crate) fn let_go(&self) {
        *self.inputs() = None;
    }

    pub(crate) fn is_let_go(&self) -> bool {
        self.inputs().is_none()
    }

    fn inputs(&self) -> MutexGuard<'_, Option<HashMap<usize, ChildStdin>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

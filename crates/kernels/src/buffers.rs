//! Memory of gradients, kept from one step to the next: asking the system for it anew, cleared, would take a tenth of a
//! step.

use std::sync::Mutex;

/// Buffers that wait for their next use. A step makes as many gradients as it uses up, so there are never more than one
/// for each parameter.
static WAITING: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// Most buffers that are kept.
const MOST: usize = 256;

/// A buffer of `length` values, whose contents are unspecified.
pub(crate) fn buffer(length: usize) -> Vec<f32> {
    let mut waiting = WAITING.lock().expect("no thread panics with the lock");
    match waiting.iter().rposition(|buffer| buffer.len() == length) {
        Some(place) => waiting.swap_remove(place),
        None => vec![0.0; length],
    }
}

/// Hands back the memory of a gradient that is used up.
pub(crate) fn recycle(buffer: Vec<f32>) {
    let mut waiting = WAITING.lock().expect("no thread panics with the lock");
    if waiting.len() < MOST {
        waiting.push(buffer);
    }
}

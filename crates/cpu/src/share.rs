//! Handing out work to threads.

use rayon::prelude::*;

/// Multiply-adds below which another thread costs more than it saves: some microseconds' worth.
const ENOUGH: usize = 1 << 19;

/// Does `work` on every unit, on all of the pool's threads where the `cost` of all units, in multiply-adds, is
/// worth it; the results are in the order of the units.
pub(crate) fn each<U: Send, R: Send>(units: Vec<U>, cost: usize, work: impl Fn(U) -> R + Sync) -> Vec<R> {
    if cost < ENOUGH || units.len() == 1 {
        units.into_iter().map(work).collect()
    } else {
        units.into_par_iter().map(&work).collect()
    }
}

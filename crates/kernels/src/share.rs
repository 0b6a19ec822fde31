//! Handing out work to threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rayon::prelude::*;

/// Multiply-adds below which another thread costs more than it saves: some microseconds' worth.
const ENOUGH: usize = 1 << 19;

/// Threads that work of this `cost`, in multiply-adds, is worth.
pub(crate) fn threads_for(cost: usize) -> usize {
    if cost < ENOUGH { 1 } else { rayon::current_num_threads() }
}

/// Does `work` on every unit, on all of the pool's threads where the `cost` of all units, in multiply-adds, is
/// worth it; the results are in the order of the units.
pub(crate) fn each<U: Send, R: Send>(units: Vec<U>, cost: usize, work: impl Fn(U) -> R + Sync) -> Vec<R> {
    if threads_for(cost) == 1 || units.len() == 1 {
        units.into_iter().map(work).collect()
    } else {
        units.into_par_iter().map(&work).collect()
    }
}

/// How long a thread looks for work without a rest: longer than a step goes without any, and than it takes to wake one.
const ATTENTION: Duration = Duration::from_micros(200);
/// The longest rest between two looks.
const LONGEST_REST: Duration = Duration::from_millis(4);

/// Does `work` within the thread pool, whose other threads stay awake for it as long as there is something to share.
///
/// A step shares out work a dozen times, each for some tens of microseconds. Rayon's threads fall asleep in between, and
/// waking one, on a virtual machine above all, takes as long as the work: here they look for work a while longer, as
/// OpenMP's threads do, and rest where there is none.
pub fn with_threads_awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|scope| {
        let over = Over(Arc::new(AtomicBool::new(false)));
        for _ in 1..rayon::current_num_threads() {
            let over = Arc::clone(&over.0);
            scope.spawn(move |_| attend(&over));
        }
        work()
    })
}

/// Says that the work is over when it is dropped, also by a panic.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Does what the pool has to do until `over`.
fn attend(over: &AtomicBool) {
    let (mut last, mut rest) = (Instant::now(), ATTENTION);
    while !over.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(rayon::Yield::Executed) {
            (last, rest) = (Instant::now(), ATTENTION);
        } else if last.elapsed() < ATTENTION {
            std::hint::spin_loop();
        } else {
            std::thread::sleep(rest);
            rest = (2 * rest).min(LONGEST_REST);
        }
    }
}

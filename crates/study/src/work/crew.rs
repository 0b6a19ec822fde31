//! All cells of a study, worked off by a number of workers at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::cell::Cell;
use super::leash::Leash;
use super::worker::{Worker, Workshop};
use crate::{CellEnd, Progress, StudyError, View};

const PAUSE_BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// What came of the cells that were worked on.
#[derive(Debug, Default)]
pub(crate) struct Shift {
    /// Errors by number of the cell.
    pub(crate) failed: BTreeMap<usize, String>,
    /// Whether anything was left undone because of a wish to stop.
    pub(crate) was_stopped: bool,
}

/// Works off every cell that is not finished, with `jobs` workers at a time. Cells with one and the same folder are one.
pub(crate) fn work(
    cells: &[Cell],
    jobs: usize,
    worker: &Worker,
    is_stop_asked: &dyn Fn() -> bool,
    view: &mut dyn View,
) -> Result<Shift, StudyError> {
    let mut seen = Vec::new();
    let is_first = |cell: &Cell| {
        !seen.contains(&cell.folder) && {
            seen.push(cell.folder.clone());
            true
        }
    };
    let distinct: Vec<bool> = cells.iter().map(is_first).collect();
    let open: VecDeque<usize> =
        (0..cells.len()).filter(|&index| distinct[index] && !cells[index].is_finished()).collect();
    let finished = distinct.iter().filter(|&&distinct| distinct).count() - open.len();
    view.show(&Progress::Planned { cells: finished + open.len(), finished, jobs });
    let leash = Leash::new();
    let workshop = Workshop { worker, leash: &leash };
    let queue = Mutex::new(open);
    let (sender, receiver) = channel();
    let mut shift = Shift::default();
    let mut broken = None;
    thread::scope(|scope| {
        for _ in 0..jobs {
            let sender = sender.clone();
            scope.spawn(|| labour(&workshop, cells, &queue, sender));
        }
        drop(sender);
        loop {
            match receiver.recv_timeout(PAUSE_BETWEEN_LOOKS) {
                Ok(Ok(progress)) => {
                    shift.note(&progress);
                    view.show(&progress);
                }
                Ok(Err(error)) => {
                    broken.get_or_insert(error);
                    leash.let_go();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if is_stop_asked() {
                leash.let_go();
            }
        }
    });
    let is_left = !queue.into_inner().unwrap_or_else(PoisonError::into_inner).is_empty();
    shift.was_stopped |= is_left;
    broken.map_or(Ok(shift), Err)
}

#[expect(clippy::needless_pass_by_value, reason = "the channel ends when the last place drops its sender")]
/// One place at which cells are worked off, one after the other.
fn labour(
    workshop: &Workshop<'_>,
    cells: &[Cell],
    queue: &Mutex<VecDeque<usize>>,
    sender: Sender<Result<Progress, StudyError>>,
) {
    // Nobody listens any more only when the study's own thread has ended.
    let tell = |progress| drop(sender.send(Ok(progress)));
    while !workshop.leash.is_let_go() {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(index) = next else { return };
        let cell = &cells[index];
        match workshop.train(index, cell, &tell) {
            Ok(end) => tell(Progress::Ended { cell: index, name: cell.name.clone(), end }),
            Err(error) => drop(sender.send(Err(error))),
        }
    }
}

impl Shift {
    fn note(&mut self, progress: &Progress) {
        match progress {
            Progress::Ended { cell, end: CellEnd::Failed { error }, .. } => {
                self.failed.insert(*cell, error.clone());
            }
            Progress::Ended { end: CellEnd::Stopped, .. } => self.was_stopped = true,
            _ => {}
        }
    }
}

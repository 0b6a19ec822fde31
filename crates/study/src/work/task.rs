//! What there is to do: tasks, and who decides the next.

use super::cell::Cell;
use super::result::TaskResult;
use crate::StudyError;

/// A cell to be trained up to an epoch, or to its end and its test.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) cell: Cell,
    /// The epoch, from 1, after which it pauses untested; none where it is trained to its end and tested.
    pub(crate) until: Option<usize>,
}

/// Tasks that can be worked off at once.
#[derive(Debug)]
pub(crate) struct Tasks {
    /// What they are for, where there are several stages.
    pub(crate) stage: Option<String>,
    pub(crate) tasks: Vec<Task>,
}

/// Reads what tasks came to, in their order. Of ten thousand that takes time, which an agenda without use for it saves.
pub(crate) type Done<'a> = &'a dyn Fn() -> Result<Vec<TaskResult>, StudyError>;

/// Decides what is done next, once all that was asked for before is done.
pub(crate) trait Agenda: Send {
    /// The next tasks; none at the end. `done` reads what the last ones came to, in their order.
    fn next(&mut self, done: Done<'_>) -> Result<Option<Tasks>, StudyError>;

    /// Whether a failure that is not the settings' fault (a full disk, a file that is gone) ends the work: what is decided
    /// next would rest on it.
    fn rests_on_results(&self) -> bool;
}

impl Task {
    /// What its lease and its result are called.
    pub(crate) fn id(&self) -> String {
        match self.until {
            Some(epoch) => format!("{}-e{epoch}", self.cell.address),
            None => format!("{}-test", self.cell.address),
        }
    }
}

//! `kiln doctor`.

use crate::arguments::Doctor;
use crate::failure::Failure;

/// Tries every backend.
pub(crate) fn doctor(_: &Doctor) -> Result<(), Failure> {
    Err(Failure::failed("not yet"))
}

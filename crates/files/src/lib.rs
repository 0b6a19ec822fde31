//! Files that survive: written whole or not at all, hashed, and the same text for the same values.
//!
//! This crate knows none of ours, nor what is in a file.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails to set itself up shall panic"))]

mod atomic;
mod disk;
mod failing_disk;
mod hash;
mod replacement;
mod text;

pub use atomic::{FileError, create_file, remove_leftovers, replace_file, replace_file_on};
pub use disk::{Disk, SystemDisk};
pub use failing_disk::{FailingDisk, Failure};
pub use hash::{Hasher, sha256, sha256_hex};
pub use replacement::Replacement;
pub use text::{csv_cell, csv_text, json_text, shortened, with_causes};

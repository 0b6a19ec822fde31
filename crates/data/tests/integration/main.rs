//! The crate from outside: whole loads, broken files, mirrors that misbehave.

#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod broken;
mod broken_csv;
mod broken_idx;
mod broken_pictures;
mod broken_settings;
mod fixture;
mod idx_sets;
mod mirror;
mod mirrors;
mod mnist;
mod pictures;
mod sources;
mod tables;
mod trained;

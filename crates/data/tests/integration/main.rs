//! The crate from outside: whole loads, broken files, mirrors that misbehave.

#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]

mod broken_files;
mod fixture;
mod mirror;
mod mirrors;
mod mnist;
mod sources;

//! The real `kiln` program from end to end: real processes, real signals, real folders, a real terminal.
//!
//! Everything is trained on the built-in digits, so that each test takes seconds and none needs a network.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that fails to set itself up shall panic")]

mod architecture;
mod backends;
mod browser;
mod changed_settings;
mod crash;
mod damage;
mod dashboard;
mod deciding;
mod disk;
mod evaluating;
mod experiments;
mod exporting;
mod going_on;
#[cfg(feature = "grpc")]
mod grpc;
mod interrupt;
mod json_schema;
mod mistakes;
mod non_finite;
mod output;
mod own_data;
mod page;
mod program;
mod random;
mod reproduction;
mod run_folder;
mod schema;
mod search;
#[cfg(feature = "serve")]
mod serving;
mod study;
mod terminal;
mod watching;
#[cfg(feature = "serve")]
mod web;

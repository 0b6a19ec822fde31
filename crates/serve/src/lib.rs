//! Trained networks behind HTTP: the Open Inference Protocol v2 with Triton's extensions for binary tensors and
//! classification, plain JSON for rows and pictures, metrics for Prometheus, limits, reload, and a stop that loses no request.
//!
//! [`serve`] opens the runs that [`Settings`] name and answers until a signal ends it. An answer is a row's own: it has the
//! bits that `kiln predict` gives, whatever else is asked at the same time, in the same request or in others. Requests are not
//! merged: a row takes some tens of microseconds, less than waiting for another one would.
//!
//! This crate prints nothing: who started the server hears of [`Event`]s.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed"))]

mod body;
mod catalog;
mod connection;
mod datatype;
mod error;
mod event;
mod flat;
mod gate;
#[cfg(feature = "grpc")]
mod grpc;
mod metrics;
mod model;
mod object;
mod openapi;
mod page;
mod protocol;
mod refusal;
mod router;
mod server;
mod settings;
mod signals;
mod simple;
mod state;
mod tensor;
mod token;
mod work;

pub use error::ServeError;
pub use event::{Event, Served};
pub use server::serve;
pub use settings::{Limits, Settings};
pub use token::Token;

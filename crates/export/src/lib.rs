//! Trained networks in formats of others.
//!
//! [`Network::of`] takes a trained perceptron apart: how raw values become features, the layers, what is made of the outputs.
//! Each format writes that down in its own way, and what was written is run on a whole split before it is handed over
//! ([`Check`]).

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed"))]
#![allow(
    clippy::cast_possible_wrap,
    reason = "sizes are signed in ONNX, and none is near the end of their range"
)]

mod about;
mod burnpack;
mod c;
mod check;
mod error;
mod export;
mod import;
mod network;
mod numbers;
mod onnx;
mod page;
mod pytorch;
mod rounding;

pub use check::{Check, TOLERANCE, split_to_check};
pub use error::{ExportError, ImportError};
pub use export::{Exported, Format, export};
pub use import::{Imported, import};
pub use network::{Calibration, Input, Layer, Member, Network, Pixels, Threshold, Waves};
pub use onnx::onnx;
pub use page::{Accuracy, Answers, Bits, Cost, PageFacts, page};

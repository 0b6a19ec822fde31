//! Pictures of a classifier's training and evaluation, as SVG and as PNG.
//!
//! A picture is plain numbers and strings; [`LineChart`], [`Matrix`], [`Reliability`], [`Intervals`] and [`Parallel`] each
//! have `to_svg` and `to_png`. Both come from one description, and the same picture gives the same bytes.
//!
//! An SVG tells the values under the pointer without a script, by its `title` elements. It has no background, scales, leaves text to the viewer's own sans-serif font, and has only colours
//! that stand out on white and on near-black alike: it is set into pages that may be either. A PNG is white,
//! has two pixels for each of the SVG's, and brings its own letters (`DejaVu` Sans, `fonts/LICENSE_DEJAVU`).

mod axis;
mod canvas;
mod color;
mod error;
mod frame;
mod heat;
mod hover;
mod intervals;
mod legend;
mod line_chart;
mod log_ticks;
mod mark;
mod matrix;
mod parallel;
mod reliability;
mod render;
mod scale;
mod segments;
mod sheet;
mod stroke;
#[cfg(test)]
mod svg_parts;
mod text;

pub use axis::{Axis, AxisRange};
pub use color::Color;
pub use error::PlotError;
pub use intervals::{IntervalRow, Intervals};
pub use line_chart::{LineChart, Series};
pub use mark::Mark;
pub use matrix::{CellFormat, Matrix};
pub use parallel::{Parallel, ParallelAxis, ParallelLine};
pub use reliability::{Reliability, ReliabilityBin};
pub use sheet::{Sheet, Tile};
pub use stroke::{Dash, Style};

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
mod intervals;
mod line_chart;
mod matrix;
mod parallel;
mod reliability;
mod sheet;
mod style;

pub use axis::{Axis, AxisRange};
pub use intervals::{IntervalRow, Intervals};
pub use line_chart::{LineChart, Mark, Series};
pub use matrix::{CellFormat, Matrix};
pub use parallel::{Parallel, ParallelAxis, ParallelLine};
pub use reliability::{Reliability, ReliabilityBin};
pub use sheet::{Sheet, Tile};
pub use style::{Color, Dash, Style};

/// Why a picture cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// There is no number to show: no points at all, or none that is finite and within a fixed axis.
    #[error("'{title}' has nothing to show: no value is finite and within the axes")]
    Nothing {
        /// The title of the picture.
        title: String,
    },
    /// A fixed axis does not run from a lower to a higher number.
    #[error("axis '{label}' must run from a lower to a higher number, not from {start} to {end}")]
    AxisRange {
        /// What the axis says.
        label: String,
        /// Where it was to begin.
        start: f64,
        /// Where it was to end.
        end: f64,
    },
    /// A matrix without a row and a column for every name.
    #[error("'{title}' must have {names} rows of {names} cells, not {found}")]
    MatrixShape {
        /// The title of the picture.
        title: String,
        /// How many names there are.
        names: usize,
        /// Rows, or the cells of the first row that is of another length.
        found: String,
    },
    /// More classes than a picture can name legibly.
    #[error("'{title}' has {found} classes, more than the {most} that a picture has room for")]
    TooManyClasses {
        /// The title of the picture.
        title: String,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// A number outside the range that its meaning gives it.
    #[error("'{title}' has {what} {value}, which is not in {range}")]
    OutOfRange {
        /// The title of the picture.
        title: String,
        /// What the number is.
        what: &'static str,
        /// The number.
        value: f64,
        /// Where it may lie.
        range: &'static str,
    },
    /// The drawing itself failed.
    #[error("cannot draw '{title}': {problem}")]
    Draw {
        /// The title of the picture.
        title: String,
        /// What the drawing library says.
        problem: String,
    },
}

//! Charts of a classifier's training and evaluation, as SVG and as PNG.
//!
//! A chart is a struct of plain numbers and strings with the methods `to_svg` and `to_png`: [`LineChart`], [`Matrix`],
//! [`ReliabilityDiagram`], [`ErrorBarChart`] and [`ParallelCoordinates`]. An [`ImageGrid`] has only `to_png`. The same chart always
//! gives the same bytes.
//!
//! Each chart has a file. It checks its numbers, computes a layout and draws it on a `canvas`, which writes both formats. `axis`
//! has scales, ticks and the frame between two axes; `color` has the colours, `style` has dashes and the legend.
//!
//! An SVG shows values in tooltips without a script, by `title` elements. It scales, has a transparent background, leaves the
//! font to the viewer, and uses only colours that are visible on white and on near-black, because pages may be either. A PNG is
//! white, has two pixels per pixel of the SVG, and contains its own font (`DejaVu` Sans, `fonts/LICENSE_DEJAVU`).

mod axis;
mod canvas;
mod color;
mod error_bars;
mod image_grid;
mod line_chart;
mod matrix;
mod parallel_coordinates;
mod reliability_diagram;
mod style;

pub use axis::{Axis, AxisRange};
pub use color::Color;
pub use error_bars::{ErrorBarChart, ErrorBarRow};
pub use image_grid::{ImageGrid, Tile};
pub use line_chart::{LineChart, Mark, Series};
pub use matrix::{CellFormat, Matrix};
pub use parallel_coordinates::{ParallelAxis, ParallelCoordinates, ParallelLine};
pub use reliability_diagram::{ReliabilityBin, ReliabilityDiagram};
pub use style::{Dash, Style};

/// Why a chart cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// There is nothing to show: no number is finite and within the axes.
    #[error("'{title}' has nothing to show: no value is finite and within the axes")]
    Nothing {
        /// The title of the chart.
        title: String,
    },
    /// The start of a fixed axis is not below its end.
    #[error("axis '{label}' must run from a lower to a higher number, not from {start} to {end}")]
    AxisRange {
        /// The label of the axis.
        label: String,
        /// The start.
        start: f64,
        /// The end.
        end: f64,
    },
    /// The rows or columns of a matrix do not match the names.
    #[error("'{title}' must have {names} rows of {names} cells, not {found}")]
    MatrixShape {
        /// The title of the chart.
        title: String,
        /// The number of names.
        names: usize,
        /// The number of rows, or the first row of wrong length and its number of cells.
        found: String,
    },
    /// There are more classes than a chart can label legibly.
    #[error("'{title}' has {found} classes, but at most {most} fit into a chart")]
    TooManyClasses {
        /// The title of the chart.
        title: String,
        /// The number of classes.
        found: usize,
        /// The maximum.
        most: usize,
    },
    /// A number is outside its valid range.
    #[error("'{title}': {what} is {value}, which is not in {range}")]
    OutOfRange {
        /// The title of the chart.
        title: String,
        /// The name of the number.
        what: &'static str,
        /// The number.
        value: f64,
        /// The valid range.
        range: &'static str,
    },
    /// The drawing library failed.
    #[error("cannot draw '{title}': {problem}")]
    Draw {
        /// The title of the chart.
        title: String,
        /// The message of the drawing library.
        problem: String,
    },
}

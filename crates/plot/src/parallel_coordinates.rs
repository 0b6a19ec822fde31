//! Parallel coordinates: the settings of many trials, with an axis for each setting and a line for each trial.

use plotters::prelude::DrawingBackend;

use crate::PlotError;
use crate::canvas::{
    self, Anchor, Canvas, Chart, DrawResult, LABEL, Pen, SMALL, TITLE, Tooltip, shortened, text_width,
};
use crate::color::PALETTE;

/// Parallel coordinates (Inselberg 1985): an axis for each setting, and a line for each trial through its values.
#[derive(Clone, Debug, PartialEq)]
pub struct ParallelCoordinates {
    /// The title above the axes.
    pub title: String,
    /// The axes, from left to right.
    pub axes: Vec<ParallelAxis>,
    /// The trials, best first; at most 2000 are drawn. The best is thick, the best quarter coloured, the others faint.
    pub lines: Vec<ParallelLine>,
}

/// A vertical axis.
#[derive(Clone, Debug, PartialEq)]
pub struct ParallelAxis {
    /// The label below the axis.
    pub label: String,
    /// The ticks: positions from 0 at the bottom to 1 at the top, with their labels.
    pub ticks: Vec<(f64, String)>,
}

/// A trial as a line.
#[derive(Clone, Debug, PartialEq)]
pub struct ParallelLine {
    /// The text of the tooltip.
    pub label: String,
    /// The position on each axis, from 0 to 1. A missing value interrupts the line.
    pub places: Vec<Option<f64>>,
}

const MARGIN: f64 = 16.0;
const TOP: f64 = 62.0;
const HEIGHT: f64 = 260.0;
const BELOW: f64 = 40.0;
/// The least distance between two axes.
const GAP: f64 = 110.0;
const TICK: f64 = 5.0;
const MOST_LINES: usize = 2000;
const KEY: &str = "a line for each trial: the best thick, the best quarter in colour";

impl ParallelCoordinates {
    /// The chart as SVG. Fails with fewer than two axes or without a line.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        canvas::svg(&Layout::of(self)?)
    }

    /// The chart as PNG; fails like [`ParallelCoordinates::to_svg`].
    pub fn to_png(&self) -> Result<Vec<u8>, PlotError> {
        canvas::png(&Layout::of(self)?)
    }
}

/// The layout of a chart.
struct Layout<'a> {
    chart: &'a ParallelCoordinates,
    lines: &'a [ParallelLine],
    axes: Vec<f64>,
    width: f64,
}

impl<'a> Layout<'a> {
    fn of(chart: &'a ParallelCoordinates) -> Result<Self, PlotError> {
        let lines = &chart.lines[..chart.lines.len().min(MOST_LINES)];
        if chart.axes.len() < 2 || lines.is_empty() {
            return Err(PlotError::Nothing { title: chart.title.clone() });
        }
        let half = |axis: &ParallelAxis| text_width(&axis.label, LABEL) / 2.0;
        let mut axes = Vec::new();
        let mut x = MARGIN + half(&chart.axes[0]);
        for (index, axis) in chart.axes.iter().enumerate() {
            axes.push(x.ceil());
            let ticks = axis.ticks.iter().map(|(_, name)| text_width(name, SMALL)).fold(0.0, f64::max);
            let labels = half(axis) + chart.axes.get(index + 1).map_or(0.0, half);
            x += (ticks + 4.0 * TICK + 8.0).max(labels + 16.0).max(GAP);
        }
        Ok(Self { chart, lines, axes, width: x.ceil() + MARGIN })
    }

    fn y(place: f64) -> f64 {
        TOP + (1.0 - place.clamp(0.0, 1.0)) * HEIGHT
    }

    fn draw_axis<B: DrawingBackend>(&self, canvas: &Canvas<B>, index: usize) -> DrawResult {
        let (axis, x) = (&self.chart.axes[index], self.axes[index]);
        canvas.line(&[(x, TOP), (x, TOP + HEIGHT)], Pen::new(canvas.ink, 1.0))?;
        canvas.text(&axis.label, (x, TOP + HEIGHT + 20.0), canvas.label_style(LABEL, Anchor::Middle))?;
        for (place, name) in &axis.ticks {
            let y = Self::y(*place);
            canvas.line(&[(x, y), (x + TICK, y)], Pen::new(canvas.ink, 1.0))?;
            canvas.text(name, (x + 2.0 * TICK, y), canvas.label_style(SMALL, Anchor::Start))?;
        }
        Ok(())
    }

    fn draw_line<B: DrawingBackend>(&self, canvas: &Canvas<B>, index: usize) -> DrawResult {
        let pen = match index {
            0 => Pen::new(PALETTE[1], 3.0),
            index if index < self.lines.len().div_ceil(4) => {
                Pen { opacity: 0.7, ..Pen::new(PALETTE[0], 1.3) }
            }
            _ => Pen { opacity: 0.25, ..Pen::new(canvas.ink, 1.0) },
        };
        let mut piece: Vec<(f64, f64)> = Vec::new();
        let places = self.lines[index].places.iter().chain([&None]);
        for (place, x) in places.zip(self.axes.iter().chain([&self.width])) {
            if let Some(place) = place {
                piece.push((*x, Self::y(*place)));
                continue;
            }
            if let [alone] = piece[..] {
                canvas.disc(alone, pen.width + 0.7, pen.color)?;
            } else if piece.len() > 1 {
                canvas.line(&piece, pen)?;
            }
            piece.clear();
        }
        Ok(())
    }
}

impl Chart for Layout<'_> {
    fn title(&self) -> &str {
        &self.chart.title
    }

    fn size(&self) -> (f64, f64) {
        let head = text_width(KEY, SMALL) + 2.0 * MARGIN;
        (self.width.max(head), TOP + HEIGHT + BELOW)
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> DrawResult {
        let title = shortened(self.title(), TITLE, self.size().0 - 2.0 * MARGIN);
        canvas.text(&title, (MARGIN, 20.0), canvas.label_style(TITLE, Anchor::Start))?;
        canvas.text(KEY, (MARGIN, 42.0), canvas.label_style(SMALL, Anchor::Start))?;
        // The best line comes last, so that no other line covers it.
        (0..self.lines.len()).rev().try_for_each(|index| self.draw_line(canvas, index))?;
        (0..self.axes.len()).try_for_each(|index| self.draw_axis(canvas, index))
    }

    /// Tooltips for the best trials, at their positions on each axis.
    fn tooltips(&self) -> Vec<Tooltip> {
        let best = self.lines.iter().take(self.lines.len().div_ceil(4).min(40)).rev();
        let at = |line: &ParallelLine| {
            let places: Vec<(f64, f64)> = self
                .axes
                .iter()
                .zip(&line.places)
                .filter_map(|(x, place)| Some((*x, Self::y((*place)?))))
                .collect();
            let text = line.label.clone();
            places.into_iter().map(move |(x, y)| Tooltip {
                left: x - 6.0,
                top: y - 4.0,
                width: 12.0,
                height: 8.0,
                text: text.clone(),
            })
        };
        best.flat_map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canvas::svg_parts::{Label, texts};

    fn chart() -> ParallelCoordinates {
        let axis = |label: &str, names: [&str; 2]| ParallelAxis {
            label: label.to_owned(),
            ticks: vec![(0.0, names[0].to_owned()), (1.0, names[1].to_owned())],
        };
        let line = |label: &str, places: [Option<f64>; 3]| ParallelLine {
            label: label.to_owned(),
            places: places.to_vec(),
        };
        ParallelCoordinates {
            title: "What was tried".to_owned(),
            axes: vec![
                axis("optimizer.lr", ["1e-4", "0.1"]),
                axis("optimizer.momentum", ["0.5", "0.95"]),
                axis("validation loss", ["2.30", "0.05"]),
            ],
            lines: vec![
                line("trial-0007", [Some(0.8), Some(0.5), Some(1.0)]),
                line("trial-0003", [Some(0.1), None, Some(0.0)]),
            ],
        }
    }

    #[test]
    fn every_axis_has_its_name_and_its_ends() {
        let svg = chart().to_svg().unwrap();
        let texts = texts(&svg);
        for text in [
            "What was tried",
            "optimizer.lr",
            "optimizer.momentum",
            "validation loss",
            "1e-4",
            "0.95",
            "0.05",
        ] {
            assert!(texts.iter().any(|found| found == text), "{text} in {texts:?}");
        }
        Label::assert_apart(&svg);
        assert!(svg.contains("trial-0007"), "in a tooltip");
        assert!(chart().to_png().unwrap().starts_with(b"\x89PNG"));
    }

    #[test]
    fn a_line_without_a_value_is_interrupted_there() {
        let paths = |chart: &ParallelCoordinates| chart.to_svg().unwrap().matches("<polyline").count();
        let whole = paths(&chart());
        let mut cut = chart();
        cut.lines[0].places[1] = None;
        // The two ends of an interrupted line are dots.
        assert_eq!(paths(&cut), whole - 1);
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        let error = ParallelCoordinates { lines: Vec::new(), ..chart() }.to_svg().unwrap_err();
        assert!(matches!(error, PlotError::Nothing { .. }));
    }
}

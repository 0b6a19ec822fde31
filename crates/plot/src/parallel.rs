//! Settings of many trials beside each other: a line for each trial, an axis for each setting.

use plotters::prelude::DrawingBackend;

use crate::PlotError;
use crate::canvas::{
    self, Anchor, Canvas, Drawn, Hover, LABEL, Pen, Picture, SMALL, TITLE, shortened, text_width,
};
use crate::style::PALETTE;

/// Parallel coordinates (Inselberg 1985): an axis for each setting, a line for each trial through its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Parallel {
    /// What stands above the axes.
    pub title: String,
    /// The axes, from left to right.
    pub axes: Vec<ParallelAxis>,
    /// The trials, the best first. The first is drawn thick, the best quarter in colour, the others faint.
    pub lines: Vec<ParallelLine>,
}

/// An axis from bottom to top.
#[derive(Clone, Debug, PartialEq)]
pub struct ParallelAxis {
    /// What stands below it.
    pub label: String,
    /// What stands beside it: places from 0 at the bottom to 1 at the top, and their names.
    pub ticks: Vec<(f64, String)>,
}

/// A trial.
#[derive(Clone, Debug, PartialEq)]
pub struct ParallelLine {
    /// What is said under the pointer.
    pub label: String,
    /// Its place on each axis, from 0 to 1; none where it has no value there, which interrupts the line.
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

impl Parallel {
    /// The picture as SVG.
    ///
    /// # Errors
    ///
    /// With fewer than two axes, or no line.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        canvas::svg(&Layout::of(self)?)
    }

    /// The picture as the bytes of a PNG file.
    ///
    /// # Errors
    ///
    /// As [`Parallel::to_svg`].
    pub fn to_png(&self) -> Result<Vec<u8>, PlotError> {
        canvas::png(&Layout::of(self)?)
    }
}

/// Axes that have their places.
struct Layout<'a> {
    parallel: &'a Parallel,
    lines: &'a [ParallelLine],
    axes: Vec<f64>,
    width: f64,
}

impl<'a> Layout<'a> {
    fn of(parallel: &'a Parallel) -> Result<Self, PlotError> {
        let lines = &parallel.lines[..parallel.lines.len().min(MOST_LINES)];
        if parallel.axes.len() < 2 || lines.is_empty() {
            return Err(PlotError::Nothing { title: parallel.title.clone() });
        }
        let half = |axis: &ParallelAxis| text_width(&axis.label, LABEL) / 2.0;
        let mut axes = Vec::new();
        let mut x = MARGIN + half(&parallel.axes[0]);
        for (index, axis) in parallel.axes.iter().enumerate() {
            axes.push(x.ceil());
            let ticks = axis.ticks.iter().map(|(_, name)| text_width(name, SMALL)).fold(0.0, f64::max);
            let labels = half(axis) + parallel.axes.get(index + 1).map_or(0.0, half);
            x += (ticks + 4.0 * TICK + 8.0).max(labels + 16.0).max(GAP);
        }
        Ok(Self { parallel, lines, axes, width: x.ceil() + MARGIN })
    }

    fn y(place: f64) -> f64 {
        TOP + (1.0 - place.clamp(0.0, 1.0)) * HEIGHT
    }

    fn draw_axis<B: DrawingBackend>(&self, canvas: &Canvas<B>, index: usize) -> Drawn {
        let (axis, x) = (&self.parallel.axes[index], self.axes[index]);
        canvas.line(&[(x, TOP), (x, TOP + HEIGHT)], Pen::new(canvas.ink, 1.0))?;
        canvas.text(&axis.label, (x, TOP + HEIGHT + 20.0), canvas.lettering(LABEL, Anchor::Middle))?;
        for (place, name) in &axis.ticks {
            let y = Self::y(*place);
            canvas.line(&[(x, y), (x + TICK, y)], Pen::new(canvas.ink, 1.0))?;
            canvas.text(name, (x + 2.0 * TICK, y), canvas.lettering(SMALL, Anchor::Start))?;
        }
        Ok(())
    }

    fn draw_line<B: DrawingBackend>(&self, canvas: &Canvas<B>, index: usize) -> Drawn {
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

impl Picture for Layout<'_> {
    fn title(&self) -> &str {
        &self.parallel.title
    }

    fn size(&self) -> (f64, f64) {
        let head = text_width(KEY, SMALL) + 2.0 * MARGIN;
        (self.width.max(head), TOP + HEIGHT + BELOW)
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Drawn {
        let title = shortened(self.title(), TITLE, self.size().0 - 2.0 * MARGIN);
        canvas.text(&title, (MARGIN, 20.0), canvas.lettering(TITLE, Anchor::Start))?;
        canvas.text(KEY, (MARGIN, 42.0), canvas.lettering(SMALL, Anchor::Start))?;
        // The best last, where nothing covers it.
        (0..self.lines.len()).rev().try_for_each(|index| self.draw_line(canvas, index))?;
        (0..self.axes.len()).try_for_each(|index| self.draw_axis(canvas, index))
    }

    /// What the best trials are, at their places on each axis.
    fn hovers(&self) -> Vec<Hover> {
        let best = self.lines.iter().take(self.lines.len().div_ceil(4).min(40)).rev();
        let at = |line: &ParallelLine| {
            let places: Vec<(f64, f64)> = self
                .axes
                .iter()
                .zip(&line.places)
                .filter_map(|(x, place)| Some((*x, Self::y((*place)?))))
                .collect();
            let text = line.label.clone();
            places.into_iter().map(move |(x, y)| Hover {
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

    fn parallel() -> Parallel {
        let axis = |label: &str, names: [&str; 2]| ParallelAxis {
            label: label.to_owned(),
            ticks: vec![(0.0, names[0].to_owned()), (1.0, names[1].to_owned())],
        };
        let line = |label: &str, places: [Option<f64>; 3]| ParallelLine {
            label: label.to_owned(),
            places: places.to_vec(),
        };
        Parallel {
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
        let svg = parallel().to_svg().unwrap();
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
        assert!(svg.contains("trial-0007"), "said under the pointer");
        assert!(parallel().to_png().unwrap().starts_with(b"\x89PNG"));
    }

    #[test]
    fn a_line_without_a_value_is_interrupted_there() {
        let paths = |parallel: &Parallel| parallel.to_svg().unwrap().matches("<polyline").count();
        let whole = paths(&parallel());
        let mut cut = parallel();
        cut.lines[0].places[1] = None;
        // The two ends of an interrupted line are dots.
        assert_eq!(paths(&cut), whole - 1);
    }

    #[test]
    fn nothing_to_draw_is_said() {
        let error = Parallel { lines: Vec::new(), ..parallel() }.to_svg().unwrap_err();
        assert!(matches!(error, PlotError::Nothing { .. }));
    }
}

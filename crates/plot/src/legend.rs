//! Which series is which: a sample and a name a row, beside the axes.

use plotters::prelude::DrawingBackend;

use crate::{
    Color, Style,
    canvas::{Anchor, Canvas, Drawn, Pen},
    text::{LABEL, shortened, text_width},
};

pub(crate) const LINE_WIDTH: f64 = 2.0;
pub(crate) const DOT_RADIUS: f64 = 3.0;
const ROW: f64 = 20.0;
/// Long enough for every dash to be known, with a dot on it, too.
const SAMPLE: f64 = 40.0;
const GAP: f64 = 8.0;
/// More names would make a picture of several pages.
const MOST_ROWS: usize = 60;
/// A longer name is shortened.
const WIDEST_NAME: f64 = 300.0;

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sample {
    /// A line, with a dot where its points have dots.
    Line { style: Style, has_dot: bool },
    /// A line in the ink of the axes.
    Guide,
    /// A bar.
    Bar(Color),
    /// A square on its corner.
    Diamond(Color),
}

/// Samples and their names, and how many have no room.
#[derive(Clone, Debug, Default)]
pub(crate) struct Legend {
    rows: Vec<(Sample, String)>,
    left_out: usize,
}

impl Legend {
    /// Adds a row, unless the name is empty or is there already.
    pub(crate) fn add(&mut self, sample: Sample, name: &str) {
        let name = shortened(name, LABEL, WIDEST_NAME);
        if name.is_empty() || self.rows.iter().any(|(_, present)| *present == name) {
            return;
        }
        if self.rows.len() < MOST_ROWS {
            self.rows.push((sample, name));
        } else {
            self.left_out += 1;
        }
    }

    /// Width in pixels: 0 without rows.
    pub(crate) fn width(&self) -> f64 {
        let widest = self.rows.iter().map(|(_, name)| text_width(name, LABEL)).reduce(f64::max);
        widest.map_or(0.0, |widest| (SAMPLE + GAP + widest).ceil())
    }

    /// Height in pixels.
    pub(crate) fn height(&self) -> f64 {
        (self.rows.len() + usize::from(self.left_out > 0)) as f64 * ROW
    }

    /// Draws the legend with its upper left corner at `(left, top)`.
    pub(crate) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>, (left, top): (f64, f64)) -> Drawn {
        for (index, (sample, name)) in self.rows.iter().enumerate() {
            let y = top + (index as f64 + 0.5) * ROW;
            sample.draw(canvas, left, y)?;
            canvas.text(name, (left + SAMPLE + GAP, y), canvas.lettering(LABEL, Anchor::Start))?;
        }
        if self.left_out == 0 {
            return Ok(());
        }
        let place = (left + SAMPLE + GAP, top + (self.rows.len() as f64 + 0.5) * ROW);
        canvas.text(&format!("+ {}", self.left_out), place, canvas.lettering(LABEL, Anchor::Start))
    }
}

impl Sample {
    fn draw<B: DrawingBackend>(self, canvas: &Canvas<B>, left: f64, y: f64) -> Drawn {
        let (line, middle) = ([(left, y), (left + SAMPLE, y)], left + SAMPLE / 2.0);
        match self {
            Self::Line { style, has_dot } => {
                draw_line(canvas, &line, style)?;
                if has_dot { canvas.disc((middle, y), DOT_RADIUS, style.color) } else { Ok(()) }
            }
            Self::Guide => draw_guide(canvas, &line),
            Self::Bar(color) => canvas.rectangle((middle - 10.0, y - 6.0), (middle + 10.0, y + 6.0), color),
            Self::Diamond(color) => canvas.diamond((middle, y), 5.0, color),
        }
    }
}

/// A curve of a series.
pub(crate) fn draw_line<B: DrawingBackend>(canvas: &Canvas<B>, path: &[(f64, f64)], style: Style) -> Drawn {
    for stroke in style.dash.strokes(path) {
        canvas.line(&stroke, Pen::new(style.color, LINE_WIDTH))?;
    }
    Ok(())
}

/// A thin dashed line in the ink of the axes.
pub(crate) fn draw_guide<B: DrawingBackend>(canvas: &Canvas<B>, path: &[(f64, f64)]) -> Drawn {
    for stroke in crate::Dash::Dashed.strokes(path) {
        canvas.line(&stroke, Pen::new(canvas.ink, 1.2))?;
    }
    Ok(())
}

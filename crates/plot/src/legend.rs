//! Which series is which: samples and their names in columns, below the axes.

use plotters::prelude::DrawingBackend;

use crate::{
    Color, Style,
    canvas::{Anchor, Canvas, Drawn, Pen},
    text::{SMALL, shortened, text_width},
};

pub(crate) const LINE_WIDTH: f64 = 2.0;
pub(crate) const DOT_RADIUS: f64 = 3.0;
const ROW: f64 = 20.0;
/// Long enough for every dash to be known, with a dot on it, too.
const SAMPLE: f64 = 30.0;
const GAP: f64 = 8.0;
/// More names would make a picture of several pages.
const MOST_ROWS: usize = 60;
/// A longer name is shortened.
const WIDEST_NAME: f64 = 300.0;
/// More rows are better in two columns.
const FEW_ROWS: usize = 6;
/// Between two columns.
const COLUMN_GAP: f64 = 20.0;

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sample {
    /// A line, with a dot where its points have dots.
    Line { style: Style, has_dot: bool },
    /// A line in the ink of the axes.
    Guide,
    /// A bar.
    Bar(Color),
    /// A dot with a line up and down.
    Whisker(Color),
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
        let name = shortened(name, SMALL, WIDEST_NAME);
        if name.is_empty() || self.rows.iter().any(|(_, present)| *present == name) {
            return;
        }
        if self.rows.len() < MOST_ROWS {
            self.rows.push((sample, name));
        } else {
            self.left_out += 1;
        }
    }

    /// The width in pixels to wish for: that of one column, or of two where there are many rows.
    pub(crate) fn best_width(&self) -> f64 {
        let columns = if self.rows.len() > FEW_ROWS { 2.0 } else { 1.0 };
        columns * (self.width() + COLUMN_GAP) - COLUMN_GAP
    }

    /// Width of one column in pixels: 0 without rows.
    pub(crate) fn width(&self) -> f64 {
        let widest = self.rows.iter().map(|(_, name)| text_width(name, SMALL)).reduce(f64::max);
        widest.map_or(0.0, |widest| (SAMPLE + GAP + widest).ceil())
    }

    /// Height in pixels, over this width.
    pub(crate) fn height(&self, width: f64) -> f64 {
        let entries = self.rows.len() + usize::from(self.left_out > 0);
        entries.div_ceil(self.columns(width)) as f64 * ROW
    }

    /// Draws the legend with its upper left corner at `place`, over this width.
    pub(crate) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>, place: (f64, f64), width: f64) -> Drawn {
        let columns = self.columns(width);
        let at = |index: usize| {
            let (row, column) = (index / columns, index % columns);
            let left = place.0 + column as f64 * (self.width() + COLUMN_GAP);
            (left, place.1 + (row as f64 + 0.5) * ROW)
        };
        let name = |text: &str, (left, y): (f64, f64)| {
            canvas.text(text, (left + SAMPLE + GAP, y), canvas.lettering(SMALL, Anchor::Start))
        };
        for (index, (sample, text)) in self.rows.iter().enumerate() {
            let (left, y) = at(index);
            sample.draw(canvas, left, y)?;
            name(text, (left, y))?;
        }
        if self.left_out == 0 { Ok(()) } else { name(&format!("+ {}", self.left_out), at(self.rows.len())) }
    }

    /// How many columns have room side by side: at least one.
    fn columns(&self, width: f64) -> usize {
        ((width + COLUMN_GAP) / (self.width() + COLUMN_GAP)).floor().max(1.0) as usize
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
            Self::Whisker(color) => draw_whisker(canvas, middle, [y - 8.0, y, y + 8.0], color),
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

/// A dot at the middle one of three heights, with a line from the first to the last.
pub(crate) fn draw_whisker<B: DrawingBackend>(
    canvas: &Canvas<B>,
    x: f64,
    [high, middle, low]: [f64; 3],
    color: Color,
) -> Drawn {
    canvas.line(&[(x, high), (x, low)], Pen::new(color, LINE_WIDTH))?;
    canvas.disc((x, middle), DOT_RADIUS + 1.0, color)
}

//! The two axes of a chart and the area between them.

use plotters::prelude::DrawingBackend;

use crate::{
    canvas::{Anchor, Canvas, Drawn, Lettering, Pen},
    scale::Scale,
    text::{LABEL, SMALL, text_width},
};

/// Room from the outer edge to the axis for what stands there, without the names of the ticks.
const Y_LABEL: f64 = 40.0;
const X_LABELS: f64 = 50.0;
/// Half the name of the last tick of the x axis stands out over the area.
const RIGHT: f64 = 24.0;
/// Half the name of the highest tick of the y axis does.
const TOP: f64 = 8.0;
const TICK: f64 = 5.0;
const GRID_OPACITY: f64 = 0.22;

/// An area with an axis to its left and one below.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
    x: Scale,
    y: Scale,
    x_label: String,
    y_label: String,
}

impl Frame {
    /// A frame whose area is `width` by `height` pixels and whose outer edge begins at height `top`.
    pub(crate) fn new(
        top: f64,
        (width, height): (f64, f64),
        (x, x_label): (Scale, &str),
        (y, y_label): (Scale, &str),
    ) -> Self {
        let names = y.ticks().iter().map(|(_, name)| text_width(name, SMALL)).fold(0.0, f64::max);
        let left = (Y_LABEL + names + TICK).ceil();
        Self {
            left,
            top: top + TOP,
            right: left + width,
            bottom: top + TOP + height,
            x,
            y,
            x_label: x_label.to_owned(),
            y_label: y_label.to_owned(),
        }
    }

    /// Moves the area so far to the right that it begins at `left`.
    pub(crate) fn begin_at(&mut self, left: f64) {
        self.right += left - self.left;
        self.left = left;
    }

    /// Where all that belongs to the frame ends at the right.
    pub(crate) fn outer_right(&self) -> f64 {
        self.right + RIGHT
    }

    /// Where it ends below.
    pub(crate) fn outer_bottom(&self) -> f64 {
        self.bottom + X_LABELS
    }

    /// The place of a value on the axis below; none for one outside.
    pub(crate) fn across(&self, x: f64) -> Option<f64> {
        self.x.share(x).map(|share| self.left + share * (self.right - self.left))
    }

    /// The place of a point in the area; none for one outside.
    pub(crate) fn place(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        let across = self.across(x)?;
        let up = self.y.share(y)? * (self.bottom - self.top);
        Some((across, self.bottom - up))
    }

    pub(crate) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Drawn {
        self.draw_y_axis(canvas)?;
        self.draw_x_axis(canvas)?;
        let corners = [(self.left, self.top), (self.left, self.bottom), (self.right, self.bottom)];
        canvas.line(&corners, Pen::new(canvas.ink, 1.0))
    }

    fn draw_x_axis<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Drawn {
        for (value, name) in self.x.ticks() {
            let x = self.left + self.x.share(value).unwrap_or(0.0) * (self.right - self.left);
            canvas.line(&[(x, self.bottom), (x, self.bottom + TICK)], Pen::new(canvas.ink, 1.0))?;
            canvas.text(&name, (x, self.bottom + TICK + 10.0), canvas.lettering(SMALL, Anchor::Middle))?;
        }
        let middle = f64::midpoint(self.left, self.right);
        canvas.text(&self.x_label, (middle, self.bottom + 36.0), canvas.lettering(LABEL, Anchor::Middle))
    }

    fn draw_y_axis<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Drawn {
        let grid = Pen { opacity: GRID_OPACITY, ..Pen::new(canvas.ink, 1.0) };
        for (value, name) in self.y.ticks() {
            let y = self.bottom - self.y.share(value).unwrap_or(0.0) * (self.bottom - self.top);
            canvas.line(&[(self.left, y), (self.right, y)], grid)?;
            canvas.line(&[(self.left - TICK, y), (self.left, y)], Pen::new(canvas.ink, 1.0))?;
            canvas.text(&name, (self.left - TICK - 4.0, y), canvas.lettering(SMALL, Anchor::End))?;
        }
        let lettering = Lettering { is_turned: true, ..canvas.lettering(LABEL, Anchor::Middle) };
        canvas.text(&self.y_label, (18.0, f64::midpoint(self.top, self.bottom)), lettering)
    }
}

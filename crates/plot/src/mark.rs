//! A vertical line at a value of the axis below, with a label above.

use plotters::prelude::DrawingBackend;

use crate::{
    canvas::{Anchor, Canvas, Drawn},
    frame::Frame,
    legend::draw_guide,
    text::SMALL,
};

/// A value of the axis below that matters, such as the best epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Where it stands on the axis below; outside of the axis it is left out.
    pub x: f64,
    /// What stands above it.
    pub label: String,
}

/// Room for the label above the area.
pub(crate) const LABEL_ROOM: f64 = 18.0;

impl Mark {
    pub(crate) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>, frame: &Frame) -> Drawn {
        let Some(x) = frame.across(self.x) else { return Ok(()) };
        draw_guide(canvas, &[(x, frame.bottom), (x, frame.top)])?;
        // Near an end of the axis the label reaches inwards.
        let anchor = match (x - frame.left) / (frame.right - frame.left) {
            share if share < 0.25 => Anchor::Start,
            share if share > 0.75 => Anchor::End,
            _ => Anchor::Middle,
        };
        canvas.text(&self.label, (x, frame.top - 10.0), canvas.lettering(SMALL, anchor))
    }
}

//! Accuracy by confidence, and how many examples have which confidence.

use plotters::prelude::DrawingBackend;

use crate::{
    Axis, PlotError,
    canvas::{Anchor, Canvas, Drawn},
    color::PALETTE,
    frame::Frame,
    legend::{Legend, Sample, draw_guide},
    render::{self, Picture},
    scale::Scale,
    text::{TITLE, shortened},
};

/// A reliability diagram: above, bars of accuracy by confidence, each with a mark at the mean confidence of
/// its examples, and the diagonal, on which confidence is accuracy; below, the share of the examples in each
/// bin.
#[derive(Clone, Debug, PartialEq)]
pub struct Reliability {
    /// What stands above the diagram.
    pub title: String,
    /// Ranges of confidence that do not overlap.
    pub bins: Vec<ReliabilityBin>,
}

/// The examples whose confidence lies in a range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReliabilityBin {
    /// Where the range begins, in [0, 1].
    pub lower: f64,
    /// Where it ends, in [0, 1], above `lower`.
    pub upper: f64,
    /// How many examples there are.
    pub examples: u64,
    /// Their mean confidence, in [0, 1]; none in an empty bin.
    pub confidence: Option<f64>,
    /// The share of them that are predicted right, in [0, 1]; none in an empty bin.
    pub accuracy: Option<f64>,
}

const HEADER: f64 = 40.0;
const MARGIN: f64 = 16.0;
const SIDE: f64 = 360.0;
const LOWER_HEIGHT: f64 = 120.0;

impl Reliability {
    /// The picture as SVG.
    ///
    /// # Errors
    ///
    /// When there are no examples, or a number lies outside [0, 1] or is not one.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        render::svg(&Layout::of(self)?)
    }

    /// The picture as the bytes of a PNG file.
    ///
    /// # Errors
    ///
    /// As [`Reliability::to_svg`].
    pub fn to_png(&self) -> Result<Vec<u8>, PlotError> {
        render::png(&Layout::of(self)?)
    }

    fn check(&self) -> Result<(), PlotError> {
        for bin in &self.bins {
            self.check_unit("the lower end of a bin", bin.lower, 0.0)?;
            self.check_unit("the upper end of a bin", bin.upper, bin.lower)?;
            self.check_unit("the mean confidence", bin.confidence.unwrap_or(0.0), 0.0)?;
            self.check_unit("the accuracy", bin.accuracy.unwrap_or(0.0), 0.0)?;
        }
        let is_empty = self.bins.iter().all(|bin| bin.examples == 0);
        if is_empty { Err(PlotError::Nothing { title: self.title.clone() }) } else { Ok(()) }
    }

    fn check_unit(&self, what: &'static str, value: f64, least: f64) -> Result<(), PlotError> {
        if (least..=1.0 + 1e-6).contains(&value) {
            return Ok(());
        }
        let range = if least > 0.0 { "its lower end to 1" } else { "[0, 1]" };
        Err(PlotError::OutOfRange { title: self.title.clone(), what, value, range })
    }

    /// The share of the examples in each bin, in [0, 1].
    fn shares(&self) -> impl Iterator<Item = f64> {
        let total: f64 = self.bins.iter().map(|bin| bin.examples as f64).sum();
        self.bins.iter().map(move |bin| bin.examples as f64 / total)
    }
}

/// A diagram whose parts have their places.
struct Layout<'a> {
    reliability: &'a Reliability,
    upper: Frame,
    lower: Frame,
    legend: Legend,
}

impl<'a> Layout<'a> {
    fn of(reliability: &'a Reliability) -> Result<Self, PlotError> {
        reliability.check()?;
        let unit = |label: &str, end: f64, most_ticks| {
            let scale = Scale::of_axis(&Axis::fixed(label, 0.0, end), std::iter::empty(), most_ticks);
            scale?.ok_or_else(|| PlotError::Nothing { title: reliability.title.clone() })
        };
        let greatest = reliability.shares().fold(0.0, f64::max);
        let x = (unit("confidence", 1.0, 10)?, "confidence");
        let mut upper = Frame::new(HEADER, (SIDE, SIDE), x, (unit("accuracy", 1.0, 10)?, "accuracy"));
        let share = (unit("share", greatest * 1.08, 5)?, "share of examples");
        let mut lower = Frame::new(upper.outer_bottom() + 8.0, (SIDE, LOWER_HEIGHT), x, share);
        let left = upper.left.max(lower.left);
        upper.begin_at(left);
        lower.begin_at(left);
        Ok(Self { reliability, upper, lower, legend: legend() })
    }
}

fn legend() -> Legend {
    let mut legend = Legend::default();
    legend.add(Sample::Bar(PALETTE[0]), "accuracy");
    legend.add(Sample::Diamond(PALETTE[1]), "mean confidence");
    legend.add(Sample::Guide, "calibrated");
    legend
}

impl Picture for Layout<'_> {
    fn title(&self) -> &str {
        &self.reliability.title
    }

    fn size(&self) -> (f64, f64) {
        (self.upper.outer_right() + self.legend.width() + MARGIN, self.lower.outer_bottom())
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Drawn {
        let title = shortened(self.title(), TITLE, self.size().0 - 2.0 * MARGIN);
        canvas.text(&title, (MARGIN, HEADER / 2.0), canvas.lettering(TITLE, Anchor::Start))?;
        self.upper.draw(canvas)?;
        self.lower.draw(canvas)?;
        let bins = &self.reliability.bins;
        for (bin, share) in bins.iter().zip(self.reliability.shares()) {
            draw_bar(canvas, &self.upper, bin, bin.accuracy.unwrap_or(0.0))?;
            draw_bar(canvas, &self.lower, bin, share)?;
        }
        let Frame { left, top, right, bottom, .. } = self.upper;
        draw_guide(canvas, &[(left, bottom), (right, top)])?;
        for bin in bins {
            let mark = bin.confidence.zip(bin.accuracy).and_then(|mark| self.upper.place(mark));
            mark.map_or(Ok(()), |place| canvas.diamond(place, 5.0, PALETTE[1]))?;
        }
        self.legend.draw(canvas, (self.upper.outer_right(), self.upper.top))
    }
}

/// A bar over the range of `bin`, up to `height` in the units of the axis.
fn draw_bar<B: DrawingBackend>(
    canvas: &Canvas<B>,
    frame: &Frame,
    bin: &ReliabilityBin,
    height: f64,
) -> Drawn {
    let corners = frame.place((bin.lower, height)).zip(frame.place((bin.upper, 0.0)));
    let Some(((left, top), (right, bottom))) = corners.filter(|_| height > 0.0) else { return Ok(()) };
    canvas.rectangle((left + 0.5, top), (right - 0.5, bottom), PALETTE[0])
}

#[cfg(test)]
mod tests;

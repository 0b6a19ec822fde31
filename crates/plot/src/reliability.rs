//! Accuracy by confidence, and how many examples have which confidence.

use plotters::prelude::DrawingBackend;

use crate::axis::{Frame, Scale};
use crate::canvas::{self, Anchor, Canvas, Drawn, Hover, Pen, Picture, TITLE, shortened};
use crate::style::{Legend, PALETTE, Sample, draw_guide, draw_whisker};
use crate::{Axis, PlotError};

/// A reliability diagram: above, bars of accuracy by confidence, each with its 95 % interval at the mean confidence of
/// its examples, and the diagonal, on which confidence is accuracy; below, how many examples each bin has.
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
    /// The ends of the 95 % interval of that share, each in [0, 1]; none in an empty bin.
    pub interval: Option<(f64, f64)>,
}

const HEADER: f64 = 40.0;
const MARGIN: f64 = 16.0;
const SIDE: f64 = 420.0;
const LOWER_HEIGHT: f64 = 120.0;
/// Room above the highest bar for its number, as a share of the axis.
const COUNT_ROOM: f64 = 1.18;
const COUNT: f64 = 10.0;
/// The diagonal and the intervals stand out on the bars.
const FILL_OPACITY: f64 = 0.3;

impl Reliability {
    /// The picture as SVG.
    ///
    /// # Errors
    ///
    /// When there are no examples, or a number lies outside [0, 1] or is not one.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        canvas::svg(&Layout::of(self)?)
    }

    /// The picture as the bytes of a PNG file.
    ///
    /// # Errors
    ///
    /// As [`Reliability::to_svg`].
    pub fn to_png(&self) -> Result<Vec<u8>, PlotError> {
        canvas::png(&Layout::of(self)?)
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
        let greatest = reliability.bins.iter().map(|bin| bin.examples).max().unwrap_or(0) as f64;
        let x = (unit("confidence", 1.0, 10)?, "confidence");
        let mut upper = Frame::new(HEADER, (SIDE, SIDE), x, (unit("accuracy", 1.0, 10)?, "accuracy"));
        let counts = (unit("examples", greatest * COUNT_ROOM, 4)?, "examples");
        let mut lower = Frame::new(upper.outer_bottom() + 8.0, (SIDE, LOWER_HEIGHT), x, counts);
        let left = upper.left.max(lower.left);
        upper.begin_at(left);
        lower.begin_at(left);
        Ok(Self { reliability, upper, lower, legend: legend() })
    }
}

fn legend() -> Legend {
    let mut legend = Legend::default();
    legend.add(Sample::Bar(PALETTE[0]), "accuracy");
    legend.add(Sample::Whisker(PALETTE[1]), "95 % interval");
    legend.add(Sample::Guide, "calibrated");
    legend
}

impl Picture for Layout<'_> {
    fn title(&self) -> &str {
        &self.reliability.title
    }

    fn size(&self) -> (f64, f64) {
        let width = self.upper.outer_right().max(self.legend.width() + 2.0 * MARGIN);
        (width, self.lower.outer_bottom() + self.legend.height(width - 2.0 * MARGIN) + MARGIN)
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Drawn {
        let title = shortened(self.title(), TITLE, self.size().0 - 2.0 * MARGIN);
        canvas.text(&title, (MARGIN, HEADER / 2.0), canvas.lettering(TITLE, Anchor::Start))?;
        self.upper.draw(canvas)?;
        self.lower.draw(canvas)?;
        let bins = &self.reliability.bins;
        for bin in bins {
            draw_bar(canvas, &self.upper, bin, bin.accuracy.unwrap_or(0.0))?;
            draw_bar(canvas, &self.lower, bin, bin.examples as f64)?;
            draw_count(canvas, &self.lower, bin)?;
        }
        let Frame { left, top, right, bottom, .. } = self.upper;
        draw_guide(canvas, &[(left, bottom), (right, top)])?;
        bins.iter().try_for_each(|bin| draw_interval(canvas, &self.upper, bin))?;
        self.legend.draw(canvas, (MARGIN, self.lower.outer_bottom()), self.size().0 - 2.0 * MARGIN)
    }

    fn hovers(&self) -> Vec<Hover> {
        let filled = self.reliability.bins.iter().filter(|bin| bin.examples > 0);
        filled.filter_map(|bin| hover(&self.upper, self.lower.bottom, bin)).collect()
    }
}

/// The column of `bin` through both panels.
fn hover(upper: &Frame, bottom: f64, bin: &ReliabilityBin) -> Option<Hover> {
    let (left, right) = (upper.across(bin.lower)?, upper.across(bin.upper)?);
    let (confidence, accuracy) = bin.confidence.zip(bin.accuracy)?;
    let (low, high) = bin.interval?;
    let text = format!(
        "{} examples\nconfidence {confidence:.3}\naccuracy {accuracy:.3} ({low:.3} to {high:.3})",
        bin.examples
    );
    Some(Hover { left, top: upper.top, width: right - left, height: bottom - upper.top, text })
}

/// The interval of a bin's accuracy, at its mean confidence: where it does not cross the diagonal, chance does not explain
/// that the two differ.
fn draw_interval<B: DrawingBackend>(canvas: &Canvas<B>, frame: &Frame, bin: &ReliabilityBin) -> Drawn {
    let measured = bin.confidence.zip(bin.accuracy).zip(bin.interval);
    let Some(((confidence, accuracy), (low, high))) = measured else { return Ok(()) };
    let places = [high, accuracy, low].map(|height| frame.place((confidence, height)));
    let [Some((x, high)), Some((_, middle)), Some((_, low))] = places else { return Ok(()) };
    draw_whisker(canvas, x, [high, middle, low], PALETTE[1])
}

/// The number of examples above their bar.
fn draw_count<B: DrawingBackend>(canvas: &Canvas<B>, frame: &Frame, bin: &ReliabilityBin) -> Drawn {
    let middle = f64::midpoint(bin.lower, bin.upper);
    let Some((x, y)) = frame.place((middle, bin.examples as f64)) else { return Ok(()) };
    canvas.text(&short_count(bin.examples), (x, y - COUNT * 0.8), canvas.lettering(COUNT, Anchor::Middle))
}

/// `999`, `1.2k`, `12k`: no wider than a bar.
fn short_count(count: u64) -> String {
    match count {
        0 => String::new(),
        1..1000 => count.to_string(),
        1000..10_000 => format!("{:.1}k", count as f64 / 1e3),
        10_000..1_000_000 => format!("{:.0}k", count as f64 / 1e3),
        _ => format!("{:.1}M", count as f64 / 1e6),
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
    let (left, right) = (left + 0.5, right - 0.5);
    canvas.tinted((left, top), (right, bottom), PALETTE[0], FILL_OPACITY)?;
    let outline = [(left, bottom), (left, top), (right, top), (right, bottom)];
    canvas.line(&outline, Pen::new(PALETTE[0], 1.5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canvas::svg_parts::{Label, elements, number, size, texts};
    use crate::style::WHITE;

    fn bin(lower: f64, upper: f64, examples: u64, confidence: f64, accuracy: f64) -> ReliabilityBin {
        let interval = Some(((accuracy - 0.1).max(0.0), (accuracy + 0.1).min(1.0)));
        ReliabilityBin {
            lower,
            upper,
            examples,
            confidence: Some(confidence),
            accuracy: Some(accuracy),
            interval,
        }
    }

    fn reliability() -> Reliability {
        let empty = ReliabilityBin { confidence: None, accuracy: None, ..bin(0.0, 0.5, 0, 0.0, 0.0) };
        Reliability {
            title: "Reliability".to_owned(),
            bins: vec![empty, bin(0.5, 0.75, 25, 0.6, 0.5), bin(0.75, 1.0, 75, 0.9, 1.0)],
        }
    }

    #[test]
    fn both_panels_and_the_legend_are_named() {
        let svg = reliability().to_svg().unwrap();
        let texts = texts(&svg);
        for (text, count) in
            [("Reliability", 1), ("confidence", 2), ("accuracy", 2), ("25", 1), ("75", 1), ("examples", 1)]
        {
            assert_eq!(texts.iter().filter(|found| *found == text).count(), count, "{text}");
        }
        assert!(["95 % interval", "calibrated"].iter().all(|name| texts.contains(&(*name).to_owned())));
        Label::assert_apart(&svg);
    }

    #[test]
    fn bars_are_as_high_as_accuracy_and_count() {
        let svg = reliability().to_svg().unwrap();
        let heights: Vec<f64> =
            elements(&svg, "rect").iter().map(|bar| number(bar, "height") / 10.0).collect();
        let count = |count: f64| ((count / (75.0 * COUNT_ROOM)) * LOWER_HEIGHT * 10.0).round() / 10.0;
        let legend = 12.0;
        assert_eq!(heights, [SIDE / 2.0, count(25.0), SIDE, count(75.0), legend], "none for the empty bin");
    }

    #[test]
    fn intervals_stand_at_mean_confidence_and_accuracy() {
        let svg = reliability().to_svg().unwrap();
        let dots = elements(&svg, "circle");
        assert_eq!(dots.len(), 2 + 1, "of two bins, and the legend's");
        let frame = Layout::of(&reliability()).unwrap().upper;
        let expected = ((frame.left + 0.6 * SIDE) * 10.0, (frame.top + 0.5 * SIDE) * 10.0);
        assert_eq!((number(dots[0], "cx"), number(dots[0], "cy")), expected);
        assert!(
            svg.contains("<title>25 examples\nconfidence 0.600\naccuracy 0.500 (0.400 to 0.600)</title>"),
            "{svg}"
        );
    }

    #[test]
    fn counts_are_no_wider_than_their_bars() {
        assert_eq!([0, 7, 1234, 12_345, 2_300_000].map(short_count), ["", "7", "1.2k", "12k", "2.3M"]);
    }

    #[test]
    fn no_examples_and_wrong_numbers_are_errors() {
        let message = |bins: Vec<ReliabilityBin>| {
            Reliability { bins, ..reliability() }.to_svg().unwrap_err().to_string()
        };
        assert!(message(vec![]).contains("nothing to show"));
        assert!(message(vec![reliability().bins[0]]).contains("nothing to show"));
        assert!(message(vec![bin(0.0, 0.5, 1, f64::NAN, 0.5)]).contains("the mean confidence NaN"));
        assert!(message(vec![bin(0.0, 0.5, 1, 0.5, 1.5)]).contains("the accuracy 1.5"));
        assert!(message(vec![bin(0.5, 0.2, 1, 0.5, 0.5)]).contains("the upper end of a bin 0.2"));
        assert!(Reliability { bins: vec![], ..reliability() }.to_png().is_err());
    }

    #[test]
    fn a_png_has_twice_the_pixels_and_the_bars() {
        let png = reliability().to_png().unwrap();
        let image = image::load_from_memory(&png).unwrap().into_rgb8();
        let (width, height) = size(&reliability().to_svg().unwrap());
        assert_eq!((f64::from(image.width()), f64::from(image.height())), (2.0 * width, 2.0 * height));
        let filled = WHITE.toward(PALETTE[0], FILL_OPACITY);
        let is_filled = |pixel: &image::Rgb<u8>| {
            [filled.0, filled.1, filled.2]
                .iter()
                .zip(pixel.0)
                .all(|(wanted, found)| wanted.abs_diff(found) <= 1)
        };
        let bars = image.pixels().filter(|pixel| is_filled(pixel)).count() as f64;
        let area = 4.0 * 0.25 * SIDE * (1.5 * SIDE + LOWER_HEIGHT * (4.0 / 3.0) / COUNT_ROOM);
        assert!(
            (0.9..=1.0).contains(&(bars / area)),
            "{bars} of {area}: outlines, diagonal and intervals hide some"
        );
        assert_eq!(png, reliability().to_png().unwrap());
    }
}

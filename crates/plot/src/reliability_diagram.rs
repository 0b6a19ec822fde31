//! Reliability diagrams: accuracy by confidence, and the number of examples by confidence.

use plotters::prelude::DrawingBackend;

use crate::axis::{Frame, Scale};
use crate::canvas::{self, Anchor, Canvas, Chart, DrawResult, Pen, TITLE, Tooltip, shortened};
use crate::color::PALETTE;
use crate::style::{Legend, LegendKey, draw_reference_line, draw_whisker};
use crate::{Axis, PlotError};

/// A reliability diagram. The upper panel shows a bar of accuracy per bin of confidence, with a 95 % confidence interval at the
/// mean confidence of its examples, and the diagonal on which confidence equals accuracy. The lower panel shows the numbers of
/// examples.
#[derive(Clone, Debug, PartialEq)]
pub struct ReliabilityDiagram {
    /// The title above the diagram.
    pub title: String,
    /// Disjoint ranges of confidence.
    pub bins: Vec<ReliabilityBin>,
}

/// The examples with a confidence in one range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReliabilityBin {
    /// The lower end of the range, in [0, 1].
    pub lower: f64,
    /// The upper end of the range, in [0, 1], above `lower`.
    pub upper: f64,
    /// The number of examples.
    pub examples: u64,
    /// The mean confidence, in [0, 1]; absent in an empty bin.
    pub confidence: Option<f64>,
    /// The share of correct predictions, in [0, 1]; absent in an empty bin.
    pub accuracy: Option<f64>,
    /// The 95 % confidence interval of the accuracy, both ends in [0, 1]; absent in an empty bin.
    pub interval: Option<(f64, f64)>,
}

const HEADER: f64 = 40.0;
const MARGIN: f64 = 16.0;
const SIDE: f64 = 420.0;
const LOWER_HEIGHT: f64 = 120.0;
/// The axis of counts extends beyond the highest bar by this factor, for the count above it.
const COUNT_ROOM: f64 = 1.18;
const COUNT: f64 = 10.0;
/// Bars are translucent, so that the diagonal and the intervals remain visible.
const FILL_OPACITY: f64 = 0.3;

impl ReliabilityDiagram {
    /// The chart as SVG. Fails if there are no examples, or if a number is NaN or outside [0, 1].
    pub fn to_svg(&self) -> Result<String, PlotError> {
        canvas::svg(&Layout::of(self)?)
    }

    /// The chart as PNG; fails like [`ReliabilityDiagram::to_svg`].
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

/// The layout of a diagram.
struct Layout<'a> {
    diagram: &'a ReliabilityDiagram,
    upper: Frame,
    lower: Frame,
    legend: Legend,
}

impl<'a> Layout<'a> {
    fn of(diagram: &'a ReliabilityDiagram) -> Result<Self, PlotError> {
        diagram.check()?;
        let unit = |label: &str, end: f64, most_ticks| {
            let scale = Scale::of_axis(&Axis::fixed(label, 0.0, end), std::iter::empty(), most_ticks);
            scale?.ok_or_else(|| PlotError::Nothing { title: diagram.title.clone() })
        };
        let greatest = diagram.bins.iter().map(|bin| bin.examples).max().unwrap_or(0) as f64;
        let x = (unit("confidence", 1.0, 10)?, "confidence");
        let mut upper = Frame::new(HEADER, (SIDE, SIDE), x, (unit("accuracy", 1.0, 10)?, "accuracy"));
        let counts = (unit("examples", greatest * COUNT_ROOM, 4)?, "examples");
        let mut lower = Frame::new(upper.outer_bottom() + 8.0, (SIDE, LOWER_HEIGHT), x, counts);
        let left = upper.left.max(lower.left);
        upper.begin_at(left);
        lower.begin_at(left);
        Ok(Self { diagram, upper, lower, legend: legend() })
    }
}

fn legend() -> Legend {
    let mut legend = Legend::default();
    legend.add(LegendKey::Bar(PALETTE[0]), "accuracy");
    legend.add(LegendKey::Whisker(PALETTE[1]), "95 % interval");
    legend.add(LegendKey::ReferenceLine, "calibrated");
    legend
}

impl Chart for Layout<'_> {
    fn title(&self) -> &str {
        &self.diagram.title
    }

    fn size(&self) -> (f64, f64) {
        let width = self.upper.outer_right().max(self.legend.width() + 2.0 * MARGIN);
        (width, self.lower.outer_bottom() + self.legend.height(width - 2.0 * MARGIN) + MARGIN)
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> DrawResult {
        let title = shortened(self.title(), TITLE, self.size().0 - 2.0 * MARGIN);
        canvas.text(&title, (MARGIN, HEADER / 2.0), canvas.label_style(TITLE, Anchor::Start))?;
        self.upper.draw(canvas)?;
        self.lower.draw(canvas)?;
        let bins = &self.diagram.bins;
        for bin in bins {
            draw_bar(canvas, &self.upper, bin, bin.accuracy.unwrap_or(0.0))?;
            draw_bar(canvas, &self.lower, bin, bin.examples as f64)?;
            draw_count(canvas, &self.lower, bin)?;
        }
        let Frame { left, top, right, bottom, .. } = self.upper;
        draw_reference_line(canvas, &[(left, bottom), (right, top)])?;
        bins.iter().try_for_each(|bin| draw_interval(canvas, &self.upper, bin))?;
        self.legend.draw(canvas, (MARGIN, self.lower.outer_bottom()), self.size().0 - 2.0 * MARGIN)
    }

    fn tooltips(&self) -> Vec<Tooltip> {
        let filled = self.diagram.bins.iter().filter(|bin| bin.examples > 0);
        filled.filter_map(|bin| tooltip(&self.upper, self.lower.bottom, bin)).collect()
    }
}

/// The tooltip of `bin`, a column through both panels.
fn tooltip(upper: &Frame, bottom: f64, bin: &ReliabilityBin) -> Option<Tooltip> {
    let (left, right) = (upper.across(bin.lower)?, upper.across(bin.upper)?);
    let (confidence, accuracy) = bin.confidence.zip(bin.accuracy)?;
    let (low, high) = bin.interval?;
    let text = format!(
        "{} examples\nconfidence {confidence:.3}\naccuracy {accuracy:.3} ({low:.3} to {high:.3})",
        bin.examples
    );
    Some(Tooltip { left, top: upper.top, width: right - left, height: bottom - upper.top, text })
}

/// Draws the confidence interval of a bin's accuracy at its mean confidence. If it does not cross the diagonal, chance does not
/// explain the difference.
fn draw_interval<B: DrawingBackend>(canvas: &Canvas<B>, frame: &Frame, bin: &ReliabilityBin) -> DrawResult {
    let measured = bin.confidence.zip(bin.accuracy).zip(bin.interval);
    let Some(((confidence, accuracy), (low, high))) = measured else { return Ok(()) };
    let places = [high, accuracy, low].map(|height| frame.place((confidence, height)));
    let [Some((x, high)), Some((_, middle)), Some((_, low))] = places else { return Ok(()) };
    draw_whisker(canvas, x, [high, middle, low], PALETTE[1])
}

/// Draws the number of examples above their bar.
fn draw_count<B: DrawingBackend>(canvas: &Canvas<B>, frame: &Frame, bin: &ReliabilityBin) -> DrawResult {
    let middle = f64::midpoint(bin.lower, bin.upper);
    let Some((x, y)) = frame.place((middle, bin.examples as f64)) else { return Ok(()) };
    canvas.text(&short_count(bin.examples), (x, y - COUNT * 0.8), canvas.label_style(COUNT, Anchor::Middle))
}

/// Formats a count as `999`, `1.2k` or `12k`, which is not wider than a bar.
fn short_count(count: u64) -> String {
    match count {
        0 => String::new(),
        1..1000 => count.to_string(),
        1000..10_000 => format!("{:.1}k", count as f64 / 1e3),
        10_000..1_000_000 => format!("{:.0}k", count as f64 / 1e3),
        _ => format!("{:.1}M", count as f64 / 1e6),
    }
}

/// Draws a bar over the range of `bin`, up to `height` in the units of the axis.
fn draw_bar<B: DrawingBackend>(
    canvas: &Canvas<B>,
    frame: &Frame,
    bin: &ReliabilityBin,
    height: f64,
) -> DrawResult {
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
    use crate::canvas::svg_parts::{Label, decoded_png, elements, number, texts};
    use crate::color::WHITE;

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

    fn diagram() -> ReliabilityDiagram {
        let empty = ReliabilityBin { confidence: None, accuracy: None, ..bin(0.0, 0.5, 0, 0.0, 0.0) };
        ReliabilityDiagram {
            title: "Reliability".to_owned(),
            bins: vec![empty, bin(0.5, 0.75, 25, 0.6, 0.5), bin(0.75, 1.0, 75, 0.9, 1.0)],
        }
    }

    #[test]
    fn both_panels_and_the_legend_are_named() {
        let svg = diagram().to_svg().unwrap();
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
        let svg = diagram().to_svg().unwrap();
        let heights: Vec<f64> =
            elements(&svg, "rect").iter().map(|bar| number(bar, "height") / 10.0).collect();
        let count = |count: f64| ((count / (75.0 * COUNT_ROOM)) * LOWER_HEIGHT * 10.0).round() / 10.0;
        let legend = 12.0;
        assert_eq!(heights, [SIDE / 2.0, count(25.0), SIDE, count(75.0), legend], "the empty bin has no bar");
    }

    #[test]
    fn intervals_are_at_mean_confidence_and_accuracy() {
        let svg = diagram().to_svg().unwrap();
        let dots = elements(&svg, "circle");
        assert_eq!(dots.len(), 2 + 1, "of two bins and the legend");
        let frame = Layout::of(&diagram()).unwrap().upper;
        let expected = ((frame.left + 0.6 * SIDE) * 10.0, (frame.top + 0.5 * SIDE) * 10.0);
        assert_eq!((number(dots[0], "cx"), number(dots[0], "cy")), expected);
        assert!(
            svg.contains("<title>25 examples\nconfidence 0.600\naccuracy 0.500 (0.400 to 0.600)</title>"),
            "{svg}"
        );
    }

    #[test]
    fn counts_are_at_most_as_wide_as_their_bars() {
        assert_eq!([0, 7, 1234, 12_345, 2_300_000].map(short_count), ["", "7", "1.2k", "12k", "2.3M"]);
    }

    #[test]
    fn no_examples_and_wrong_numbers_are_errors() {
        let message = |bins: Vec<ReliabilityBin>| {
            ReliabilityDiagram { bins, ..diagram() }.to_svg().unwrap_err().to_string()
        };
        assert!(message(vec![]).contains("nothing to show"));
        assert!(message(vec![diagram().bins[0]]).contains("nothing to show"));
        assert!(message(vec![bin(0.0, 0.5, 1, f64::NAN, 0.5)]).contains("the mean confidence is NaN"));
        assert!(message(vec![bin(0.0, 0.5, 1, 0.5, 1.5)]).contains("the accuracy is 1.5"));
        assert!(message(vec![bin(0.5, 0.2, 1, 0.5, 0.5)]).contains("the upper end of a bin is 0.2"));
        assert!(ReliabilityDiagram { bins: vec![], ..diagram() }.to_png().is_err());
    }

    #[test]
    fn a_png_has_twice_the_pixels_and_shows_the_bars() {
        let png = diagram().to_png().unwrap();
        let image = decoded_png(&png, &diagram().to_svg().unwrap());
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
        assert_eq!(png, diagram().to_png().unwrap());
    }
}

//! Line charts: curves on two axes, with a legend below.

use std::fmt::Write as _;

use plotters::prelude::DrawingBackend;

use crate::axis::{Frame, Scale, can_be_shown};
use crate::canvas::{self, Anchor, Canvas, Chart, DrawResult, SMALL, TITLE, Tooltip, shortened};
use crate::style::{DOT_RADIUS, Legend, LegendKey, draw_line, draw_reference_line, segments};
use crate::{Axis, AxisRange, PlotError, Style};

/// A line chart.
///
/// A point is a gap if it is non-finite, beyond 1e300 or outside a fixed axis. A point between two gaps is a dot. Curves are
/// reduced to the points that the chart can show.
#[derive(Clone, Debug, PartialEq)]
pub struct LineChart {
    /// The title above the chart.
    pub title: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The curves; later ones cover earlier ones.
    pub series: Vec<Series>,
    /// The name in the legend (`chance`) of a thin dashed diagonal from the lower left to the upper right corner. An empty name
    /// has no row in the legend.
    pub diagonal: Option<String>,
    /// Marked values of the horizontal axis.
    pub marks: Vec<Mark>,
    /// Whether the plot area is a square, as for rates against rates.
    pub is_square: bool,
}

/// A curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The name in the legend. Series with the same name, such as the seeds of a trial, share one row with the style of the
    /// first. An empty name has no row; names after the 60th are only counted.
    pub name: String,
    /// Colour and dashes; [`Style::nth`] returns distinct ones.
    pub style: Style,
    /// Whether each point has a dot, which suits few epochs. With more than 60 points, dots would merge and are left out.
    pub has_dots: bool,
    /// The points (x, y) in the order of the line, in the units of the axes.
    pub points: Vec<(f64, f64)>,
}

/// With more points than this, dots would merge.
const MOST_DOTS: usize = 60;
const WIDE: (f64, f64) = (440.0, 270.0);
const SQUARE: (f64, f64) = (400.0, 400.0);
/// The height of the title.
const HEADER: f64 = 40.0;
const MARGIN: f64 = 16.0;
/// A chart may grow by this factor to fit a legend of two columns; pages would shrink a wider one.
const WIDEST: f64 = 1.15;

impl LineChart {
    /// A wide chart without a diagonal.
    #[must_use]
    pub fn new(title: impl Into<String>, x: Axis, y: Axis, series: Vec<Series>) -> Self {
        Self { title: title.into(), x, y, series, diagonal: None, marks: Vec::new(), is_square: false }
    }

    /// Makes the plot area a square.
    #[must_use]
    pub fn square(self) -> Self {
        Self { is_square: true, ..self }
    }

    /// Adds a diagonal with this name.
    #[must_use]
    pub fn with_diagonal(self, name: impl Into<String>) -> Self {
        Self { diagonal: Some(name.into()), ..self }
    }

    /// Marks this value of the horizontal axis.
    #[must_use]
    pub fn with_mark(mut self, x: f64, label: impl Into<String>) -> Self {
        self.marks.push(Mark { x, label: label.into() });
        self
    }

    /// The chart as SVG. Fails if no point can be shown or a fixed axis does not rise.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        canvas::svg(&Layout::of(self)?)
    }

    /// The chart as PNG; fails like [`LineChart::to_svg`].
    pub fn to_png(&self) -> Result<Vec<u8>, PlotError> {
        canvas::png(&Layout::of(self)?)
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        let points = self.series.iter().flat_map(|series| &series.points).copied();
        points.filter(|(x, y)| can_be_shown(*x) && can_be_shown(*y))
    }

    /// The scale of the horizontal axis; it has more ticks if their labels are short.
    fn x_scale(&self, width: f64) -> Result<Option<Scale>, PlotError> {
        let scale = |most_ticks| Scale::of_axis(&self.x, self.points().map(|(x, _)| x), most_ticks);
        let many = scale(16)?;
        let has_room = many.is_some_and(|many| many.names_width() < width / 2.0);
        if has_room { Ok(many) } else { scale(8) }
    }

    fn legend(&self) -> Legend {
        let mut legend = Legend::default();
        for series in &self.series {
            legend.add(LegendKey::Line { style: series.style, has_dot: series.is_dotted() }, &series.name);
        }
        legend.add(LegendKey::ReferenceLine, self.diagonal.as_deref().unwrap_or_default());
        legend
    }
}

impl Series {
    /// A line without dots, in [`Style::nth`] of `index`.
    #[must_use]
    pub fn new(name: impl Into<String>, index: usize, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), style: Style::nth(index), has_dots: false, points }
    }

    /// Adds a dot at each point.
    #[must_use]
    pub fn with_dots(self) -> Self {
        Self { has_dots: true, ..self }
    }

    fn is_dotted(&self) -> bool {
        self.has_dots && self.points.len() <= MOST_DOTS
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>, frame: &Frame) -> DrawResult {
        for path in segments(&self.points, |point| frame.place(point)) {
            draw_line(canvas, &path, self.style)?;
            if self.is_dotted() || path.len() == 1 {
                path.iter().try_for_each(|place| canvas.disc(*place, DOT_RADIUS, self.style.color))?;
            }
        }
        Ok(())
    }
}

/// The layout of a chart.
struct Layout<'a> {
    chart: &'a LineChart,
    frame: Frame,
    legend: Legend,
}

impl<'a> Layout<'a> {
    fn of(chart: &'a LineChart) -> Result<Self, PlotError> {
        let nothing = || PlotError::Nothing { title: chart.title.clone() };
        let size = if chart.is_square { SQUARE } else { WIDE };
        let x = chart.x_scale(size.0)?.ok_or_else(nothing)?;
        let y = Scale::of_axis(&chart.y, chart.points().map(|(_, y)| y), 10)?.ok_or_else(nothing)?;
        let top = if chart.marks.is_empty() { HEADER } else { HEADER + LABEL_ROOM };
        let frame = Frame::new(top, size, (x, &chart.x.label), (y, &chart.y.label));
        if !chart.points().any(|point| frame.place(point).is_some()) {
            return Err(nothing());
        }
        Ok(Self { chart, frame, legend: chart.legend() })
    }
}

impl Chart for Layout<'_> {
    fn title(&self) -> &str {
        &self.chart.title
    }

    fn size(&self) -> (f64, f64) {
        let area = self.frame.outer_right();
        let best = Some(self.legend.best_width() + 2.0 * MARGIN).filter(|best| *best <= area * WIDEST);
        let width = best.unwrap_or(self.legend.width() + 2.0 * MARGIN).max(area);
        (width, self.frame.outer_bottom() + self.legend.height(width - 2.0 * MARGIN) + MARGIN)
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> DrawResult {
        let title = shortened(self.title(), TITLE, self.size().0 - 2.0 * MARGIN);
        canvas.text(&title, (MARGIN, HEADER / 2.0), canvas.label_style(TITLE, Anchor::Start))?;
        self.frame.draw(canvas)?;
        if self.chart.diagonal.is_some() {
            let Frame { left, top, right, bottom, .. } = self.frame;
            draw_reference_line(canvas, &[(left, bottom), (right, top)])?;
        }
        for series in &self.chart.series {
            series.draw(canvas, &self.frame)?;
        }
        self.chart.marks.iter().try_for_each(|mark| mark.draw(canvas, &self.frame))?;
        let place = (MARGIN, self.frame.outer_bottom());
        self.legend.draw(canvas, place, self.size().0 - 2.0 * MARGIN)
    }

    fn tooltips(&self) -> Vec<Tooltip> {
        tooltips(self.chart, &self.frame)
    }
}

/// A marked value of the horizontal axis, such as the best epoch: a vertical line with a label above.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The value; the mark is left out if it is outside the axis.
    pub x: f64,
    /// The label.
    pub label: String,
}

/// The height of the labels above the plot area.
const LABEL_ROOM: f64 = 18.0;

impl Mark {
    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>, frame: &Frame) -> DrawResult {
        let Some(x) = frame.across(self.x) else { return Ok(()) };
        draw_reference_line(canvas, &[(x, frame.bottom), (x, frame.top)])?;
        // Near an end of the axis, the label extends inwards.
        let anchor = match (x - frame.left) / (frame.right - frame.left) {
            share if share < 0.25 => Anchor::Start,
            share if share > 0.75 => Anchor::End,
            _ => Anchor::Middle,
        };
        canvas.text(&self.label, (x, frame.top - 10.0), canvas.label_style(SMALL, anchor))
    }
}

/// At most so many columns of a chart have a tooltip, to keep the file of a long curve small.
const MOST_COLUMNS: usize = 60;
/// At most so many series are in a tooltip.
const MOST_LINES: usize = 12;

/// Tooltips in columns over the plot area, each with the values of the curves there.
fn tooltips(chart: &LineChart, frame: &Frame) -> Vec<Tooltip> {
    let places = chart.series.iter().flat_map(|series| &series.points);
    let mut places: Vec<f64> =
        places.filter(|point| frame.place(**point).is_some()).map(|(x, _)| *x).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let chunk = places.len().div_ceil(MOST_COLUMNS).max(1);
    let columns: Vec<&[f64]> = places.chunks(chunk).collect();
    let at = |x: f64| frame.across(x).unwrap_or(frame.left);
    let border = |left: &[f64], right: &[f64]| f64::midpoint(at(left[left.len() - 1]), at(right[0]));
    let tooltip = |(index, column): (usize, &&[f64])| {
        let left = if index == 0 { frame.left } else { border(columns[index - 1], column) };
        let right = columns.get(index + 1).map_or(frame.right, |next| border(column, next));
        let (top, height) = (frame.top, frame.bottom - frame.top);
        Tooltip { left, top, width: right - left, height, text: tooltip_text(chart, frame, column) }
    };
    columns.iter().enumerate().map(tooltip).collect()
}

/// The text of a tooltip: the first x of its column, and a line for each curve with a point in it.
fn tooltip_text(chart: &LineChart, frame: &Frame, column: &[f64]) -> String {
    let (first, last) = (column[0], column[column.len() - 1]);
    let x = match chart.x.range {
        AxisRange::WholeNumbers => format!("{first:.0}"),
        _ => number(first),
    };
    let mut text = format!("{} {x}", chart.x.label);
    let is_here = |point: &&(f64, f64)| (first..=last).contains(&point.0) && frame.place(**point).is_some();
    let points = chart.series.iter().filter_map(|series| Some((series, series.points.iter().find(is_here)?)));
    let points: Vec<_> = points.collect();
    for (series, (_, y)) in points.iter().take(MOST_LINES) {
        let name = if series.name.is_empty() { &chart.y.label } else { &series.name };
        let _ = write!(text, "\n{name}: {}", number(*y));
    }
    if points.len() > MOST_LINES {
        let _ = write!(text, "\n+ {}", points.len() - MOST_LINES);
    }
    text
}

/// Formats `value` with up to four significant digits.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e5).contains(&value.abs()) {
        return format!("{value:.2e}");
    }
    let decimals = (3.0 - value.abs().log10().floor()).max(0.0) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canvas::svg_parts::{self, Label, attribute, elements, texts};
    use crate::{Color, Dash};

    fn chart(series: Vec<Series>) -> LineChart {
        LineChart::new("Loss by epoch", Axis::whole_numbers("epoch"), Axis::values("loss"), series)
    }

    fn series(name: &str, values: &[f64]) -> Series {
        let points = values.iter().enumerate().map(|(index, value)| (index as f64 + 1.0, *value)).collect();
        Series::new(name, 0, points).with_dots()
    }

    /// Ten classes and two averages.
    fn roc() -> LineChart {
        let curve = |index: usize| {
            let bend = index as f64 + 2.0;
            (0..=100)
                .map(|part| (f64::from(part) / 100.0, (f64::from(part) / 100.0).powf(1.0 / bend)))
                .collect()
        };
        let names = (0..12).map(|index| format!("a long name of class {index} (AUC 0.9987)"));
        let series = names.enumerate().map(|(index, name)| Series::new(name, index, curve(index))).collect();
        LineChart::new("ROC", Axis::unit("false positive rate"), Axis::unit("true positive rate"), series)
            .square()
            .with_diagonal("chance")
    }

    #[test]
    fn a_chart_has_a_title_axes_a_legend_and_whole_epochs() {
        let svg = chart(vec![series("train", &[1.0, 0.5, 0.25]), series("validation", &[1.1, 0.6, 0.5])])
            .to_svg()
            .unwrap();
        let texts = texts(&svg);
        for text in ["Loss by epoch", "train", "validation", "epoch", "loss", "1", "2", "3", "0.8"] {
            assert!(texts.iter().any(|found| found == text), "{text} in {texts:?}");
        }
        assert!(!texts.contains(&"1.5".to_owned()), "{texts:?}");
        assert!(svg.contains("role=\"img\"") && svg.contains("<title>Loss by epoch</title>"));
        Label::assert_apart(&svg);
    }

    #[test]
    fn the_legend_is_below_the_axes_and_complete() {
        for count in [1, 12] {
            let chart = LineChart { series: roc().series[..count].to_vec(), ..roc() };
            let svg = chart.to_svg().unwrap();
            Label::assert_apart(&svg);
            let frame = Layout::of(&chart).unwrap().frame;
            let names: Vec<Label> =
                svg_parts::labels(&svg).into_iter().filter(|label| label.text.contains("AUC")).collect();
            assert_eq!(names.len(), count);
            assert!(names.iter().all(|label| label.edges().1 > frame.bottom));
            assert!(!texts(&svg).iter().any(|text| text.ends_with('…')));
        }
    }

    #[test]
    fn the_chart_grows_with_the_legend() {
        let many =
            (0..30).map(|index| Series::new(format!("series {index}"), index, vec![(1.0, 0.0)])).collect();
        let svg = chart(many).to_svg().unwrap();
        assert!(
            svg_parts::size(&svg).1
                > svg_parts::size(&chart(vec![series("a", &[1.0])]).to_svg().unwrap()).1 + 100.0
        );
        Label::assert_apart(&svg);
    }

    #[test]
    fn names_without_room_are_counted() {
        let many =
            (0..100).map(|index| Series::new(format!("series {index}"), index, vec![(1.0, 0.0)])).collect();
        let svg = chart(many).to_svg().unwrap();
        let texts = texts(&svg);
        assert_eq!(texts.iter().filter(|text| text.starts_with("series")).count(), 60);
        assert_eq!(texts.last().unwrap(), "+ 40");
        Label::assert_apart(&svg);
    }

    #[test]
    fn a_long_name_and_a_long_title_are_shortened() {
        let chart =
            LineChart { title: "title ".repeat(60), ..chart(vec![series(&"name ".repeat(60), &[1.0])]) };
        let svg = chart.to_svg().unwrap();
        assert_eq!(texts(&svg).iter().filter(|text| text.ends_with('…')).count(), 2);
        Label::assert_apart(&svg);
    }

    #[test]
    fn the_plot_area_is_square_on_request() {
        let (chart, wide) = (roc(), chart(vec![series("train", &[1.0])]));
        let side = |frame: Frame| (frame.right - frame.left, frame.bottom - frame.top);
        assert_eq!(side(Layout::of(&chart).unwrap().frame), SQUARE);
        assert_eq!(side(Layout::of(&wide).unwrap().frame), WIDE);
    }

    #[test]
    fn one_epoch_is_a_dot() {
        let svg = chart(vec![series("train", &[1.0])]).to_svg().unwrap();
        assert_eq!(elements(&svg, "circle").len(), 2, "the point, and the legend's");
        let svg = chart(vec![Series { has_dots: false, ..series("train", &[1.0]) }]).to_svg().unwrap();
        assert_eq!(elements(&svg, "circle").len(), 1, "it would be invisible without");
    }

    #[test]
    fn a_non_finite_point_is_a_gap() {
        let svg = chart(vec![series("train", &[1.0, 0.9, f64::NAN, 0.8, 0.7])]).to_svg().unwrap();
        let lines =
            elements(&svg, "polyline").into_iter().filter(|line| attribute(line, "stroke") == "#0072B2");
        assert_eq!(lines.count(), 2 + 1, "before the gap, after it, and the legend's");
    }

    #[test]
    fn points_are_at_their_positions_on_the_axes() {
        let points = vec![(0.0, 0.0), (0.5, 0.25), (1.0, 1.0), (1.0, 2.0)];
        let unit = LineChart { series: vec![Series::new("a", 0, points)], diagonal: None, ..roc() };
        let svg = unit.to_svg().unwrap();
        let line = elements(&svg, "polyline")
            .into_iter()
            .find(|line| attribute(line, "stroke") == "#0072B2")
            .unwrap();
        let Frame { left, top, right, bottom, .. } = Layout::of(&unit).unwrap().frame;
        assert_eq!(svg_parts::points(line), [(left, bottom), (left + 200.0, bottom - 100.0), (right, top)]);
    }

    #[test]
    fn series_of_one_name_share_a_row() {
        let seeds = vec![series("trial", &[1.0, 0.5]), series("trial", &[1.1, 0.4]), series("", &[1.0, 0.3])];
        let svg = chart(seeds).to_svg().unwrap();
        assert_eq!(texts(&svg).iter().filter(|text| *text == "trial").count(), 1);
        assert_eq!(elements(&svg, "circle").len(), 6 + 1);
    }

    #[test]
    fn a_long_curve_makes_a_small_file() {
        let noise =
            (0..100_000_u32).map(|index| (f64::from(index), f64::from(index * 7919 % 1000))).collect();
        let dashed = chart(vec![Series {
            style: Style { dash: Dash::Dashed, ..Style::nth(0) },
            ..Series::new("loss", 0, noise)
        }]);
        assert!(dashed.to_svg().unwrap().len() < 60_000);
    }

    #[test]
    fn a_mark_is_a_line_with_its_label_above() {
        for epoch in [1.0, 2.0, 3.0] {
            let chart = chart(vec![series("train", &[1.0, 0.5, 0.25])]).with_mark(epoch, "best: epoch");
            let svg = chart.to_svg().unwrap();
            Label::assert_apart(&svg);
            let frame = Layout::of(&chart).unwrap().frame;
            let label =
                svg_parts::labels(&svg).into_iter().find(|label| label.text == "best: epoch").unwrap();
            assert!(
                (label.x - frame.across(epoch).unwrap()).abs() <= 0.05 && label.y < frame.top,
                "{label:?}"
            );
        }
        let outside = chart(vec![series("train", &[1.0, 0.5])]).with_mark(9.0, "best: epoch");
        assert!(!outside.to_svg().unwrap().contains("best: epoch"));
    }

    #[test]
    fn a_logarithmic_axis_leaves_out_values_without_a_logarithm() {
        let chart = LineChart {
            y: Axis::logarithmic("loss"),
            ..chart(vec![series("train", &[10.0, 0.0, 1.0, 0.1])])
        };
        let frame = Layout::of(&chart).unwrap().frame;
        let heights = [10.0, 1.0, 0.1].map(|loss| frame.place((1.0, loss)).unwrap().1);
        assert!((heights[1] - f64::midpoint(heights[0], heights[2])).abs() < 1e-9, "{heights:?}");
        assert_eq!(frame.place((1.0, 0.0)), None);
        assert!(texts(&chart.to_svg().unwrap()).contains(&"0.1".to_owned()));
    }

    #[test]
    fn nothing_to_show_is_an_error() {
        let outside = LineChart { series: vec![Series::new("a", 0, vec![(2.0, 2.0)])], ..roc() };
        let nan = series("train", &[f64::NAN, f64::INFINITY]);
        for empty in [chart(vec![]), chart(vec![series("train", &[])]), chart(vec![nan]), outside] {
            assert!(
                matches!(empty.to_svg().unwrap_err(), PlotError::Nothing { title } if title == empty.title)
            );
            assert!(empty.to_png().is_err());
        }
        let fixed = LineChart { y: Axis::fixed("loss", 1.0, 0.0), ..chart(vec![series("train", &[1.0])]) };
        let message = fixed.to_svg().unwrap_err().to_string();
        assert_eq!(message, "axis 'loss' must run from a lower to a higher number, not from 1 to 0");
    }

    #[test]
    fn the_markup_characters_of_a_name_are_escaped() {
        let svg = chart(vec![series("<a> & \"b\"\u{1}", &[1.0])]).to_svg().unwrap();
        assert!(svg.contains("&lt;a&gt; &amp; &quot;b&quot;\u{fffd}"), "{svg}");
    }

    #[test]
    fn a_png_has_twice_the_pixels_and_shows_the_series() {
        let chart = roc();
        assert_eq!(chart.to_svg().unwrap(), chart.to_svg().unwrap());
        let png = chart.to_png().unwrap();
        let image = svg_parts::decoded_png(&png, &chart.to_svg().unwrap());
        assert_eq!(image.get_pixel(0, 0).0, [255; 3]);
        assert_eq!(png, chart.to_png().unwrap());
        for series in &chart.series[..6] {
            let Color(red, green, blue) = series.style.color;
            assert!(image.pixels().any(|pixel| pixel.0 == [red, green, blue]), "{}", series.name);
        }
    }

    fn titles(svg: &str) -> Vec<&str> {
        svg.split("<title>").skip(2).filter_map(|part| part.split("</title>").next()).collect()
    }

    #[test]
    fn every_epoch_has_a_tooltip_with_the_values_of_all_curves() {
        let series = vec![
            Series::new("train", 0, vec![(1.0, 0.5), (2.0, 0.000_25)]),
            Series::new("a < b", 1, vec![(1.0, 123_456.0), (2.0, f64::NAN)]),
        ];
        let chart = LineChart::new("Loss", Axis::whole_numbers("epoch"), Axis::values("loss"), series);
        let svg = chart.to_svg().unwrap();
        assert_eq!(titles(&svg), ["epoch 1\ntrain: 0.5000\na &lt; b: 1.23e5", "epoch 2\ntrain: 2.50e-4"]);
    }

    #[test]
    fn a_long_curve_has_a_limited_number_of_tooltips() {
        let points = (0..10_000).map(|step| (f64::from(step), 1.0)).collect();
        let series = vec![Series::new("loss", 0, points)];
        let chart = LineChart::new("Loss", Axis::whole_numbers("step"), Axis::values("loss"), series);
        let svg = chart.to_svg().unwrap();
        assert_eq!(titles(&svg).len(), MOST_COLUMNS);
    }
}

//! Error bars: means of repeated measurements, one row per trial.

use plotters::prelude::DrawingBackend;

use crate::axis::{Scale, can_be_shown};
use crate::canvas::{
    self, Anchor, Canvas, Chart, DrawResult, LABEL, Pen, SMALL, TITLE, shortened, text_width,
};
use crate::color::PALETTE;
use crate::{Axis, PlotError};

/// A chart with a row per trial, the first at the top: the mean over its seeds, one standard deviation to each side, the seeds,
/// and the mean as text.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorBarChart {
    /// The title above the rows.
    pub title: String,
    /// The label of the measured value, with its unit: `test accuracy`.
    pub value_label: String,
    /// The number of decimals of the means.
    pub decimals: usize,
    /// The rows. Only the first 200 are drawn; the chart then shows the total number.
    pub rows: Vec<ErrorBarRow>,
}

/// The measurements of one trial. Non-finite numbers are not drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorBarRow {
    /// The label on the left; a long one is shortened.
    pub label: String,
    /// The mean.
    pub mean: f64,
    /// The standard deviation, at least 0; absent with a single seed.
    pub deviation: Option<f64>,
    /// The value of each seed.
    pub seeds: Vec<f64>,
}

const TOP: f64 = 62.0;
const MARGIN: f64 = 16.0;
const ROW: f64 = 28.0;
const WIDTH: f64 = 480.0;
const WIDEST_LABEL: f64 = 300.0;
const GAP: f64 = 12.0;
/// Seeds are drawn below the mean, which would hide them.
const SEEDS_DROP: f64 = 9.0;
const MOST_ROWS: usize = 200;
const KEY: &str = "disc: mean, line: one standard deviation to each side, small points: seeds";

impl ErrorBarChart {
    /// The chart as SVG. Fails if no row has a finite mean or a finite seed.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        canvas::svg(&Layout::of(self)?)
    }

    /// The chart as PNG; fails like [`ErrorBarChart::to_svg`].
    pub fn to_png(&self) -> Result<Vec<u8>, PlotError> {
        canvas::png(&Layout::of(self)?)
    }
}

impl ErrorBarRow {
    /// The mean minus and plus one standard deviation.
    fn ends(&self) -> Option<[f64; 2]> {
        let ends = self.deviation.map(|deviation| [self.mean - deviation, self.mean + deviation]);
        ends.filter(|ends| ends.iter().all(|end| can_be_shown(*end)))
    }

    /// All values that the axis must include.
    fn values(&self) -> impl Iterator<Item = f64> {
        let ends = self.ends().into_iter().flatten();
        self.seeds.iter().copied().chain([self.mean]).chain(ends)
    }
}

/// The layout of a chart.
struct Layout<'a> {
    chart: &'a ErrorBarChart,
    /// The rows that are shown.
    rows: &'a [ErrorBarRow],
    x: Scale,
    labels: Vec<String>,
    means: Vec<String>,
    left: f64,
}

impl<'a> Layout<'a> {
    fn of(chart: &'a ErrorBarChart) -> Result<Self, PlotError> {
        let rows = &chart.rows[..chart.rows.len().min(MOST_ROWS)];
        let values = rows.iter().flat_map(ErrorBarRow::values);
        let x = Scale::of_axis(&Axis::values(&chart.value_label), values, 8)?
            .ok_or_else(|| PlotError::Nothing { title: chart.title.clone() })?;
        let label = |row: &ErrorBarRow| shortened(&row.label, LABEL, WIDEST_LABEL);
        let labels: Vec<String> = rows.iter().map(label).collect();
        let means = rows.iter().map(|row| mean_text(row, chart.decimals)).collect();
        let left = (MARGIN + widest(&labels) + GAP).ceil();
        Ok(Self { chart, rows, x, labels, means, left })
    }

    fn bottom(&self) -> f64 {
        TOP + self.labels.len() as f64 * ROW
    }

    /// The explanation below the title.
    fn key(&self) -> String {
        let (shown, all) = (self.rows.len(), self.chart.rows.len());
        if shown < all { format!("{KEY}; the first {shown} of {all} rows") } else { KEY.to_owned() }
    }

    fn place(&self, value: f64) -> Option<f64> {
        self.x.share(value).map(|share| self.left + share * WIDTH)
    }

    fn draw_axis<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> DrawResult {
        let (bottom, right) = (self.bottom(), self.left + WIDTH);
        let grid = Pen { opacity: 0.22, ..Pen::new(canvas.ink, 1.0) };
        for (value, name) in self.x.ticks() {
            let x = self.place(value).unwrap_or(self.left);
            canvas.line(&[(x, TOP), (x, bottom)], grid)?;
            canvas.line(&[(x, bottom), (x, bottom + 5.0)], Pen::new(canvas.ink, 1.0))?;
            canvas.text(&name, (x, bottom + 14.0), canvas.label_style(SMALL, Anchor::Middle))?;
        }
        canvas.line(&[(self.left, bottom), (right, bottom)], Pen::new(canvas.ink, 1.0))?;
        let middle = f64::midpoint(self.left, right);
        let label_style = canvas.label_style(LABEL, Anchor::Middle);
        canvas.text(&self.chart.value_label, (middle, bottom + 34.0), label_style)
    }

    fn draw_row<B: DrawingBackend>(&self, canvas: &Canvas<B>, index: usize) -> DrawResult {
        let (row, y) = (&self.rows[index], TOP + (index as f64 + 0.5) * ROW - 2.0);
        canvas.text(&self.labels[index], (self.left - GAP, y), canvas.label_style(LABEL, Anchor::End))?;
        let right = (self.left + WIDTH + GAP, y);
        canvas.text(&self.means[index], right, canvas.label_style(LABEL, Anchor::Start))?;
        if let Some([Some(low), Some(high)]) = row.ends().map(|ends| ends.map(|end| self.place(end))) {
            canvas.line(&[(low, y), (high, y)], Pen::new(PALETTE[0], 3.0))?;
        }
        if let Some(mean) = self.place(row.mean) {
            canvas.disc((mean, y), 5.0, PALETTE[0])?;
        }
        let mut seeds = row.seeds.iter().filter_map(|seed| self.place(*seed));
        seeds.try_for_each(|seed| canvas.disc((seed, y + SEEDS_DROP), 2.5, canvas.ink))
    }
}

impl Chart for Layout<'_> {
    fn title(&self) -> &str {
        &self.chart.title
    }

    fn size(&self) -> (f64, f64) {
        let right = self.left + WIDTH + GAP + widest(&self.means) + MARGIN;
        (right.ceil(), self.bottom() + 48.0)
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> DrawResult {
        let title = shortened(self.title(), TITLE, self.size().0 - 2.0 * MARGIN);
        canvas.text(&title, (MARGIN, 20.0), canvas.label_style(TITLE, Anchor::Start))?;
        canvas.text(&self.key(), (MARGIN, 42.0), canvas.label_style(SMALL, Anchor::Start))?;
        self.draw_axis(canvas)?;
        (0..self.labels.len()).try_for_each(|index| self.draw_row(canvas, index))
    }
}

fn mean_text(row: &ErrorBarRow, decimals: usize) -> String {
    if row.mean.is_finite() { format!("{:.decimals$}", row.mean) } else { "–".to_owned() }
}

fn widest(texts: &[String]) -> f64 {
    texts.iter().map(|text| text_width(text, LABEL)).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canvas::svg_parts::{
        self, Label, attribute, decoded_png, elements, labels, number, size, texts,
    };

    fn row(label: &str, mean: f64, deviation: Option<f64>, seeds: &[f64]) -> ErrorBarRow {
        ErrorBarRow { label: label.to_owned(), mean, deviation, seeds: seeds.to_vec() }
    }

    fn chart() -> ErrorBarChart {
        ErrorBarChart {
            title: "Test accuracy by trial".to_owned(),
            value_label: "test accuracy".to_owned(),
            decimals: 4,
            rows: vec![
                row("1  02-relu-nll-rmsprop", 0.98, Some(0.01), &[0.97, 0.98, 0.99]),
                row("2  one-seed", 0.95, None, &[0.95]),
                row("failed", f64::NAN, Some(f64::NAN), &[f64::NAN]),
            ],
        }
    }

    #[test]
    fn every_row_has_its_label_and_its_mean() {
        let svg = chart().to_svg().unwrap();
        let texts = texts(&svg);
        for text in [
            "Test accuracy by trial",
            "test accuracy",
            "1\u{a0} 02-relu-nll-rmsprop",
            "0.9800",
            "0.9500",
            "failed",
            "–",
        ] {
            assert!(texts.iter().any(|found| found == text), "{text} in {texts:?}");
        }
        Label::assert_apart(&svg);
    }

    #[test]
    fn means_seeds_and_deviations_are_drawn_if_present() {
        let svg = chart().to_svg().unwrap();
        let discs = |radius: &str| {
            elements(&svg, "circle").iter().filter(|disc| attribute(disc, "r") == radius).count()
        };
        assert_eq!((discs("50"), discs("25")), (2, 4), "means and seeds");
        let bar: Vec<&str> = elements(&svg, "polyline")
            .into_iter()
            .filter(|line| attribute(line, "stroke-width") == "30")
            .collect();
        assert_eq!(bar.len(), 1);
        let seeds: Vec<f64> = elements(&svg, "circle")
            .iter()
            .filter(|disc| attribute(disc, "r") == "25")
            .map(|disc| number(disc, "cx") / 10.0)
            .collect();
        let ends = svg_parts::points(bar[0]);
        assert_eq!((ends[0].0, ends[1].0), (seeds[0], seeds[2]), "one deviation is 0.01 to each side");
    }

    #[test]
    fn the_chart_grows_with_rows_and_long_labels_are_shortened() {
        let many = ErrorBarChart { rows: vec![row(&"label ".repeat(30), 0.5, None, &[]); 40], ..chart() };
        let svg = many.to_svg().unwrap();
        assert_eq!(size(&svg).1 - size(&chart().to_svg().unwrap()).1, 37.0 * ROW);
        assert_eq!(labels(&svg).iter().filter(|label| label.text.ends_with('…')).count(), 40);
        Label::assert_apart(&svg);
    }

    #[test]
    fn rows_without_room_are_counted() {
        let svg = ErrorBarChart { rows: vec![row("a", 0.5, None, &[]); 1000], ..chart() }.to_svg().unwrap();
        assert_eq!(texts(&svg).iter().filter(|text| *text == "a").count(), 200);
        assert!(svg.contains("the first 200 of 1000 rows"));
    }

    #[test]
    fn nothing_to_show_is_an_error() {
        for rows in [vec![], vec![chart().rows[2].clone()]] {
            let empty = ErrorBarChart { rows, ..chart() };
            assert!(matches!(empty.to_svg().unwrap_err(), PlotError::Nothing { .. }));
            assert!(empty.to_png().is_err());
        }
    }

    #[test]
    fn a_png_has_twice_the_pixels_and_shows_the_means() {
        let png = chart().to_png().unwrap();
        let image = decoded_png(&png, &chart().to_svg().unwrap());
        let crate::Color(red, green, blue) = PALETTE[0];
        assert!(image.pixels().filter(|pixel| pixel.0 == [red, green, blue]).count() > 500);
        assert_eq!(png, chart().to_png().unwrap());
    }
}

//! What an SVG says of the place under the pointer.

use std::fmt::Write as _;

use crate::{AxisRange, LineChart, frame::Frame, render::escaped};

/// A rectangle of a picture, in pixels of the layout, and what it shows there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hover {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) text: String,
}

/// Columns of a chart that say something; more would make a large file of a long curve.
const MOST_COLUMNS: usize = 60;
/// Series that a column names.
const MOST_LINES: usize = 12;

/// Columns over the area of `chart`, each with the values of the curves there.
pub(crate) fn columns(chart: &LineChart, frame: &Frame) -> Vec<Hover> {
    let places = chart.series.iter().flat_map(|series| &series.points);
    let mut places: Vec<f64> =
        places.filter(|point| frame.place(**point).is_some()).map(|(x, _)| *x).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let chunk = places.len().div_ceil(MOST_COLUMNS).max(1);
    let columns: Vec<&[f64]> = places.chunks(chunk).collect();
    let at = |x: f64| frame.across(x).unwrap_or(frame.left);
    let border = |left: &[f64], right: &[f64]| f64::midpoint(at(left[left.len() - 1]), at(right[0]));
    let hover = |(index, column): (usize, &&[f64])| {
        let left = if index == 0 { frame.left } else { border(columns[index - 1], column) };
        let right = columns.get(index + 1).map_or(frame.right, |next| border(column, next));
        let (top, height) = (frame.top, frame.bottom - frame.top);
        Hover { left, top, width: right - left, height, text: text(chart, frame, column) }
    };
    columns.iter().enumerate().map(hover).collect()
}

/// The first x of a column, and a line for each curve that has a point in it.
fn text(chart: &LineChart, frame: &Frame, column: &[f64]) -> String {
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

/// Four digits that mean something.
pub(crate) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e5).contains(&value.abs()) {
        return format!("{value:.2e}");
    }
    let decimals = (3.0 - value.abs().log10().floor()).max(0.0) as usize;
    format!("{value:.decimals$}")
}

/// The rectangles as one group of an SVG that counts in `scale` parts of a pixel. They are not seen; a page may show the one
/// under the pointer.
pub(crate) fn group(hovers: &[Hover], scale: f64) -> String {
    if hovers.is_empty() {
        return String::new();
    }
    let mut svg = "<g class=\"hover\" fill=\"none\" pointer-events=\"all\">".to_owned();
    for Hover { left, top, width, height, text } in hovers {
        let [left, top, width, height] = [left, top, width, height].map(|length| (length * scale).round());
        let text = text.split('\n').map(escaped).collect::<Vec<_>>().join("\n");
        let _ = write!(
            svg,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"><title>{text}</title></rect>"
        );
    }
    svg + "</g>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Axis, Series};

    fn titles(svg: &str) -> Vec<&str> {
        svg.split("<title>").skip(2).filter_map(|part| part.split("</title>").next()).collect()
    }

    #[test]
    fn every_epoch_tells_the_values_of_all_curves() {
        let series = vec![
            Series::new("train", 0, vec![(1.0, 0.5), (2.0, 0.000_25)]),
            Series::new("a < b", 1, vec![(1.0, 123_456.0), (2.0, f64::NAN)]),
        ];
        let chart = LineChart::new("Loss", Axis::whole_numbers("epoch"), Axis::values("loss"), series);
        let svg = chart.to_svg().unwrap();
        assert_eq!(titles(&svg), ["epoch 1\ntrain: 0.5000\na &lt; b: 1.23e5", "epoch 2\ntrain: 2.50e-4"]);
    }

    #[test]
    fn a_long_curve_has_no_more_columns_than_a_pointer_can_tell_apart() {
        let points = (0..10_000).map(|step| (f64::from(step), 1.0)).collect();
        let series = vec![Series::new("loss", 0, points)];
        let chart = LineChart::new("Loss", Axis::whole_numbers("step"), Axis::values("loss"), series);
        let svg = chart.to_svg().unwrap();
        assert_eq!(titles(&svg).len(), MOST_COLUMNS);
    }
}

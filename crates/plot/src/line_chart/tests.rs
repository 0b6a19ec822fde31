use super::*;
use crate::{
    Color, Dash,
    svg_parts::{self, Label, attribute, elements, texts},
};

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
        (0..=100).map(|part| (f64::from(part) / 100.0, (f64::from(part) / 100.0).powf(1.0 / bend))).collect()
    };
    let names = (0..12).map(|index| format!("a long name of class {index} (AUC 0.9987)"));
    let series = names.enumerate().map(|(index, name)| Series::new(name, index, curve(index))).collect();
    LineChart::new("ROC", Axis::unit("false positive rate"), Axis::unit("true positive rate"), series)
        .square()
        .with_diagonal("chance")
}

#[test]
fn has_title_axes_legend_and_whole_epochs() {
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
fn the_legend_is_below_the_axes_and_whole() {
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
fn the_picture_grows_with_the_legend() {
    let many = (0..30).map(|index| Series::new(format!("series {index}"), index, vec![(1.0, 0.0)])).collect();
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
    let chart = LineChart { title: "title ".repeat(60), ..chart(vec![series(&"name ".repeat(60), &[1.0])]) };
    let svg = chart.to_svg().unwrap();
    assert_eq!(texts(&svg).iter().filter(|text| text.ends_with('…')).count(), 2);
    Label::assert_apart(&svg);
}

#[test]
fn the_area_is_square_where_it_shall_be() {
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
    assert_eq!(elements(&svg, "circle").len(), 1, "it would not be seen without");
}

#[test]
fn what_is_not_finite_is_a_gap() {
    let svg = chart(vec![series("train", &[1.0, 0.9, f64::NAN, 0.8, 0.7])]).to_svg().unwrap();
    let lines = elements(&svg, "polyline").into_iter().filter(|line| attribute(line, "stroke") == "#0072B2");
    assert_eq!(lines.count(), 2 + 1, "before the gap, after it, and the legend's");
}

#[test]
fn points_stand_where_the_axes_say() {
    let points = vec![(0.0, 0.0), (0.5, 0.25), (1.0, 1.0), (1.0, 2.0)];
    let unit = LineChart { series: vec![Series::new("a", 0, points)], diagonal: None, ..roc() };
    let svg = unit.to_svg().unwrap();
    let line =
        elements(&svg, "polyline").into_iter().find(|line| attribute(line, "stroke") == "#0072B2").unwrap();
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
fn a_long_curve_is_no_large_file() {
    let noise = (0..100_000_u32).map(|index| (f64::from(index), f64::from(index * 7919 % 1000))).collect();
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
        let label = svg_parts::labels(&svg).into_iter().find(|label| label.text == "best: epoch").unwrap();
        assert!((label.x - frame.across(epoch).unwrap()).abs() <= 0.05 && label.y < frame.top, "{label:?}");
    }
    let outside = chart(vec![series("train", &[1.0, 0.5])]).with_mark(9.0, "best: epoch");
    assert!(!outside.to_svg().unwrap().contains("best: epoch"));
}

#[test]
fn a_logarithmic_axis_leaves_out_what_has_no_logarithm() {
    let chart =
        LineChart { y: Axis::logarithmic("loss"), ..chart(vec![series("train", &[10.0, 0.0, 1.0, 0.1])]) };
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
        assert!(matches!(empty.to_svg().unwrap_err(), PlotError::Nothing { title } if title == empty.title));
        assert!(empty.to_png().is_err());
    }
    let fixed = LineChart { y: Axis::fixed("loss", 1.0, 0.0), ..chart(vec![series("train", &[1.0])]) };
    let message = fixed.to_svg().unwrap_err().to_string();
    assert_eq!(message, "axis 'loss' must run from a lower to a higher number, not from 1 to 0");
}

#[test]
fn names_cannot_break_the_file() {
    let svg = chart(vec![series("<a> & \"b\"\u{1}", &[1.0])]).to_svg().unwrap();
    assert!(svg.contains("&lt;a&gt; &amp; &quot;b&quot;\u{fffd}"), "{svg}");
}

#[test]
fn a_png_has_twice_the_pixels_and_shows_the_series() {
    let chart = roc();
    assert_eq!(chart.to_svg().unwrap(), chart.to_svg().unwrap());
    let png = chart.to_png().unwrap();
    let image = image::load_from_memory(&png).unwrap().into_rgb8();
    let (width, height) = svg_parts::size(&chart.to_svg().unwrap());
    assert_eq!((f64::from(image.width()), f64::from(image.height())), (2.0 * width, 2.0 * height));
    assert_eq!(image.get_pixel(0, 0).0, [255; 3]);
    assert_eq!(png, chart.to_png().unwrap());
    for series in &chart.series[..6] {
        let Color(red, green, blue) = series.style.color;
        assert!(image.pixels().any(|pixel| pixel.0 == [red, green, blue]), "{}", series.name);
    }
}

use super::*;
use crate::{
    Color,
    svg_parts::{Label, attribute, elements, number, size, texts},
};

fn bin(lower: f64, upper: f64, examples: u64, confidence: f64, accuracy: f64) -> ReliabilityBin {
    ReliabilityBin { lower, upper, examples, confidence: Some(confidence), accuracy: Some(accuracy) }
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
    for (text, count) in [("Reliability", 1), ("confidence", 2), ("accuracy", 2), ("share of examples", 1)] {
        assert_eq!(texts.iter().filter(|found| *found == text).count(), count, "{text}");
    }
    assert!(["mean confidence", "calibrated"].iter().all(|name| texts.contains(&(*name).to_owned())));
    Label::assert_apart(&svg);
}

#[test]
fn bars_are_as_high_as_accuracy_and_share() {
    let svg = reliability().to_svg().unwrap();
    let heights: Vec<f64> = elements(&svg, "rect").iter().map(|bar| number(bar, "height") / 10.0).collect();
    let share = |share: f64| ((share / (0.75 * 1.08)) * LOWER_HEIGHT * 10.0).round() / 10.0;
    let legend = 12.0;
    assert_eq!(heights, [SIDE / 2.0, share(0.25), SIDE, share(0.75), legend], "none for the empty bin");
}

#[test]
fn marks_stand_at_mean_confidence_and_accuracy() {
    let svg = reliability().to_svg().unwrap();
    let marks = elements(&svg, "polygon");
    assert_eq!(marks.len(), 2 + 1, "of two bins, and the legend's");
    let frame = Layout::of(&reliability()).unwrap().upper;
    let first = attribute(marks[0], "points").split(' ').next().unwrap();
    let expected = (frame.left + 0.6 * SIDE, frame.top + 0.5 * SIDE - 5.0);
    assert_eq!(first, format!("{:.0},{:.0}", expected.0 * 10.0, expected.1 * 10.0));
}

#[test]
fn no_examples_and_wrong_numbers_are_errors() {
    let message =
        |bins: Vec<ReliabilityBin>| Reliability { bins, ..reliability() }.to_svg().unwrap_err().to_string();
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
    let Color(red, green, blue) = PALETTE[0];
    let blue = image.pixels().filter(|pixel| pixel.0 == [red, green, blue]).count() as f64;
    let area = 4.0 * 0.25 * SIDE * (1.5 * SIDE + LOWER_HEIGHT * (4.0 / 3.0) / 1.08);
    assert!((blue / area - 1.0).abs() < 0.05, "{blue} of {area}: diagonal and marks hide some");
    assert_eq!(png, reliability().to_png().unwrap());
}

use super::*;
use crate::{
    color::WHITE,
    svg_parts::{Label, elements, number, size, texts},
};

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
    let heights: Vec<f64> = elements(&svg, "rect").iter().map(|bar| number(bar, "height") / 10.0).collect();
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
    let filled = WHITE.toward(PALETTE[0], FILL_OPACITY);
    let is_filled = |pixel: &image::Rgb<u8>| {
        [filled.0, filled.1, filled.2].iter().zip(pixel.0).all(|(wanted, found)| wanted.abs_diff(found) <= 1)
    };
    let bars = image.pixels().filter(|pixel| is_filled(pixel)).count() as f64;
    let area = 4.0 * 0.25 * SIDE * (1.5 * SIDE + LOWER_HEIGHT * (4.0 / 3.0) / COUNT_ROOM);
    assert!(
        (0.9..=1.0).contains(&(bars / area)),
        "{bars} of {area}: outlines, diagonal and intervals hide some"
    );
    assert_eq!(png, reliability().to_png().unwrap());
}

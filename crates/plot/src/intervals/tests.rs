use super::*;
use crate::svg_parts::{Label, attribute, elements, labels, number, size, texts};

fn row(label: &str, mean: f64, deviation: Option<f64>, seeds: &[f64]) -> IntervalRow {
    IntervalRow { label: label.to_owned(), mean, deviation, seeds: seeds.to_vec() }
}

fn intervals() -> Intervals {
    Intervals {
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
    let svg = intervals().to_svg().unwrap();
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
fn means_seeds_and_deviations_are_drawn_where_there_are_some() {
    let svg = intervals().to_svg().unwrap();
    let discs =
        |radius: &str| elements(&svg, "circle").iter().filter(|disc| attribute(disc, "r") == radius).count();
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
    let ends = crate::svg_parts::points(bar[0]);
    assert_eq!((ends[0].0, ends[1].0), (seeds[0], seeds[2]), "one deviation is 0.01 to each side");
}

#[test]
fn the_picture_grows_with_rows_and_long_labels_are_shortened() {
    let many = Intervals { rows: vec![row(&"label ".repeat(30), 0.5, None, &[]); 40], ..intervals() };
    let svg = many.to_svg().unwrap();
    assert_eq!(size(&svg).1 - size(&intervals().to_svg().unwrap()).1, 37.0 * ROW);
    assert_eq!(labels(&svg).iter().filter(|label| label.text.ends_with('…')).count(), 40);
    Label::assert_apart(&svg);
}

#[test]
fn rows_without_room_are_counted() {
    let svg = Intervals { rows: vec![row("a", 0.5, None, &[]); 1000], ..intervals() }.to_svg().unwrap();
    assert_eq!(texts(&svg).iter().filter(|text| *text == "a").count(), 200);
    assert!(svg.contains("the first 200 of 1000 rows"));
}

#[test]
fn nothing_to_show_is_an_error() {
    for rows in [vec![], vec![intervals().rows[2].clone()]] {
        let empty = Intervals { rows, ..intervals() };
        assert!(matches!(empty.to_svg().unwrap_err(), PlotError::Nothing { .. }));
        assert!(empty.to_png().is_err());
    }
}

#[test]
fn a_png_has_twice_the_pixels_and_the_means() {
    let png = intervals().to_png().unwrap();
    let image = image::load_from_memory(&png).unwrap().into_rgb8();
    let (width, height) = size(&intervals().to_svg().unwrap());
    assert_eq!((f64::from(image.width()), f64::from(image.height())), (2.0 * width, 2.0 * height));
    let crate::Color(red, green, blue) = PALETTE[0];
    assert!(image.pixels().filter(|pixel| pixel.0 == [red, green, blue]).count() > 500);
    assert_eq!(png, intervals().to_png().unwrap());
}

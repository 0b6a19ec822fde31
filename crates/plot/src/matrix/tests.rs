use super::*;
use crate::{
    Color,
    svg_parts::{Label, attribute, elements, labels, size, texts},
};

fn matrix(classes: usize) -> Matrix {
    let cell = |row: usize, column: usize| {
        if row == column { 1130.0 - row as f64 } else { (row * column % 7) as f64 }
    };
    Matrix {
        title: "Confusion matrix".to_owned(),
        row_label: "true class".to_owned(),
        column_label: "predicted class".to_owned(),
        names: (0..classes).map(|class| format!("class {class}")).collect(),
        cells: (0..classes).map(|row| (0..classes).map(|column| cell(row, column)).collect()).collect(),
        format: CellFormat::Count,
    }
}

fn rates() -> Matrix {
    let names = vec!["cat".to_owned(), "dog".to_owned()];
    let cells = vec![vec![0.975, 0.025], vec![f64::NAN, f64::NAN]];
    Matrix { names, cells, format: CellFormat::Rate, ..matrix(0) }
}

#[test]
fn both_axes_name_every_class_apart_from_the_others() {
    for classes in [1, 2, 10, 20, 21, 40, 100] {
        let svg = matrix(classes).to_svg().unwrap();
        Label::assert_apart(&svg);
        let texts = texts(&svg);
        for class in 0..classes {
            assert_eq!(texts.iter().filter(|text| **text == format!("class {class}")).count(), 2);
        }
        for label in ["Confusion matrix", "true class", "predicted class"] {
            assert!(texts.iter().any(|text| text == label), "{label}");
        }
    }
}

#[test]
fn up_to_twenty_classes_have_numbers() {
    for (classes, count) in [(2, 1), (20, 1), (21, 0)] {
        let svg = matrix(classes).to_svg().unwrap();
        assert_eq!(texts(&svg).iter().filter(|text| *text == "1129").count(), count, "{classes}");
    }
}

#[test]
fn a_number_stands_in_its_cell_and_is_legible() {
    let svg = matrix(10).to_svg().unwrap();
    let number = labels(&svg).into_iter().find(|label| label.text == "1129").unwrap();
    let (left, top, right, bottom) = number.edges();
    let is_around = |rectangle: &&str| {
        let [x, y, width, height] = ["x", "y", "width", "height"]
            .map(|name| attribute(rectangle, name).parse::<f64>().unwrap() / 10.0);
        x <= left && y <= top && right <= x + width && bottom <= y + height
    };
    let cell = elements(&svg, "rect").into_iter().find(is_around).unwrap();
    assert_eq!(attribute(cell, "fill"), "#08306B", "the darkest, but for rounding");
    let text = svg.lines().zip(svg.lines().skip(1)).find(|(_, line)| *line == "1129").unwrap().0;
    assert_eq!(attribute(text, "fill"), "#FFFFFF");
}

#[test]
fn rates_have_two_decimals_and_no_rate_is_a_blank() {
    let svg = rates().to_svg().unwrap();
    let texts = texts(&svg);
    assert!(["0.97", "0.03"].iter().all(|text| texts.contains(&(*text).to_owned())), "{texts:?}");
    assert_eq!(texts.iter().filter(|text| *text == "–").count(), 2);
    let bar = 64;
    assert_eq!(elements(&svg, "rect").len(), 2 + bar);
}

#[test]
fn long_names_and_great_numbers_fit() {
    let names = (0..12).map(|class| format!("{class} {}", "very long name of a class ".repeat(5))).collect();
    let svg = Matrix { names, ..matrix(12) }.to_svg().unwrap();
    assert_eq!(texts(&svg).iter().filter(|text| text.ends_with('…')).count(), 24);
    Label::assert_apart(&svg);
    let cells = vec![vec![123_456_789.0; 20]; 20];
    Label::assert_apart(&Matrix { cells, ..matrix(20) }.to_svg().unwrap());
}

#[test]
fn all_zero_is_a_picture() {
    let svg = Matrix { cells: vec![vec![0.0; 3]; 3], ..matrix(3) }.to_svg().unwrap();
    assert!(texts(&svg).iter().filter(|text| *text == "0").count() >= 9);
}

#[test]
fn what_is_no_matrix_is_an_error() {
    let message = |matrix: Matrix| matrix.to_svg().unwrap_err().to_string();
    assert!(message(matrix(0)).contains("nothing to show"));
    assert!(message(Matrix { cells: vec![vec![f64::NAN; 2]; 2], ..matrix(2) }).contains("nothing to show"));
    let short = vec![vec![1.0, 2.0], vec![1.0]];
    assert_eq!(
        message(Matrix { cells: short, ..matrix(2) }),
        "'Confusion matrix' must have 2 rows of 2 cells, not 1 cells in row 2"
    );
    assert!(message(Matrix { names: vec![], ..matrix(2) }).contains("not 2 cells in row 1"));
    assert!(message(Matrix { cells: vec![], ..matrix(2) }).contains("not 0 rows"));
    assert!(message(matrix(101)).contains("101 classes, more than the 100"));
    assert!(message(Matrix { cells: vec![vec![1e16]], ..matrix(1) }).contains("not in [0, 1e15]"));
    assert!(message(Matrix { cells: vec![vec![-1.0]], ..matrix(1) }).contains("the cell -1"));
    assert!(message(Matrix { format: CellFormat::Rate, ..matrix(2) }).contains("not in [0, 1]"));
    assert!(matrix(0).to_png().is_err());
}

#[test]
fn a_png_has_twice_the_pixels_and_every_color() {
    let png = rates().to_png().unwrap();
    let image = image::load_from_memory(&png).unwrap().into_rgb8();
    let (width, height) = size(&rates().to_svg().unwrap());
    assert_eq!((f64::from(image.width()), f64::from(image.height())), (2.0 * width, 2.0 * height));
    for rate in [0.975_f64, 0.025] {
        let Color(red, green, blue) = crate::heat::Heat::color(rate.sqrt());
        assert!(image.pixels().filter(|pixel| pixel.0 == [red, green, blue]).count() > 1000, "{rate}");
    }
    assert_eq!(png, rates().to_png().unwrap());
}

#[test]
fn a_hundred_classes_are_no_large_file() {
    let svg = matrix(100).to_svg().unwrap();
    assert!(svg.len() < 1_200_000, "{}", svg.len());
    assert_eq!(svg, matrix(100).to_svg().unwrap());
}

//! Confusion matrices.

use plotters::prelude::DrawingBackend;

use crate::axis::Scale;
use crate::canvas::{
    self, Anchor, Canvas, Chart, DrawResult, LABEL, LabelStyle, Pen, SMALL, TITLE, shortened, text_width,
};
use crate::{Axis, Color, PlotError};

/// A confusion matrix: numbers by true and predicted class, shown as colours and, for up to 20 classes, also as text.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// The title above the matrix.
    pub title: String,
    /// The label of the rows: `true class`.
    pub row_label: String,
    /// The label of the columns: `predicted class`.
    pub column_label: String,
    /// The names of the classes, at most 100. Long ones are shortened.
    pub names: Vec<String>,
    /// Numbers of at least 0, in rows and columns in the order of the names. A cell with a non-finite number, such as the rate of
    /// a class without examples, has no colour.
    pub cells: Vec<Vec<f64>>,
    /// The format of the numbers.
    pub format: CellFormat,
}

/// The format of the numbers of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellFormat {
    /// Whole numbers up to 1e15. The greatest number has the darkest colour.
    Count,
    /// Shares in [0, 1], with two decimals except for `0`. A share of 1 has the darkest colour.
    Rate,
}

/// With more classes than this, rows are too low for names.
const MOST_CLASSES: usize = 100;

impl Matrix {
    /// The chart as SVG. Fails if no number is finite, a number is negative or too great, the numbers of rows and columns do not
    /// match the names, or there are more than 100 classes.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        self.check()?;
        canvas::svg(&Layout::of(self))
    }

    /// The chart as PNG; fails like [`Matrix::to_svg`].
    pub fn to_png(&self) -> Result<Vec<u8>, PlotError> {
        self.check()?;
        canvas::png(&Layout::of(self))
    }

    fn check(&self) -> Result<(), PlotError> {
        let (title, names) = (self.title.clone(), self.names.len());
        let short_row = self.cells.iter().position(|row| row.len() != names);
        if let Some(found) = self.wrong_value() {
            Err(found)
        } else if let Some(row) = short_row {
            let found = format!("{} cells in row {}", self.cells[row].len(), row + 1);
            Err(PlotError::MatrixShape { title, names, found })
        } else if self.cells.len() != names {
            Err(PlotError::MatrixShape { title, names, found: format!("{} rows", self.cells.len()) })
        } else if names > MOST_CLASSES {
            Err(PlotError::TooManyClasses { title, found: names, most: MOST_CLASSES })
        } else if self.finite_cells().next().is_none() {
            Err(PlotError::Nothing { title })
        } else {
            Ok(())
        }
    }

    fn wrong_value(&self) -> Option<PlotError> {
        let (most, range) = match self.format {
            // Floats do not represent greater counts exactly.
            CellFormat::Count => (1e15, "[0, 1e15]"),
            // Rates have rounding errors.
            CellFormat::Rate => (1.0 + 1e-6, "[0, 1]"),
        };
        let value = self.finite_cells().find(|value| *value < 0.0 || *value > most)?;
        Some(PlotError::OutOfRange { title: self.title.clone(), what: "the cell", value, range })
    }

    fn finite_cells(&self) -> impl Iterator<Item = f64> {
        self.cells.iter().flatten().copied().filter(|value| value.is_finite())
    }
}

impl CellFormat {
    fn text(self, value: f64) -> String {
        match self {
            _ if !value.is_finite() => "–".to_owned(),
            Self::Rate if value != 0.0 => format!("{value:.2}"),
            _ => format!("{value:.0}"),
        }
    }
}

const HEADER: f64 = 44.0;
const MARGIN: f64 = 16.0;
/// The height of an axis label.
const AXIS_LABEL: f64 = 24.0;
const GAP: f64 = 6.0;
/// A longer class name is shortened.
const WIDEST_NAME: f64 = 130.0;
/// A longer title is shortened, unless the matrix is wider.
const WIDEST_TITLE: f64 = 640.0;
/// With more classes than this, cells are too small for numbers.
const MOST_NUMBERED: usize = 20;
/// The width of the colour bar.
const BAR_WIDTH: f64 = 14.0;
const BAR_STEPS: u32 = 64;
const LEAST_BAR: f64 = 120.0;

/// The layout of a matrix.
struct Layout<'a> {
    matrix: &'a Matrix,
    color_map: ColorMap,
    /// The width and height of a cell.
    cell: f64,
    /// The text size of the class names.
    name_size: f64,
    /// The text size of the numbers; the widest fits into a cell.
    number_size: f64,
    names: Vec<String>,
    /// The width of the widest name.
    names_width: f64,
    left: f64,
}

impl<'a> Layout<'a> {
    /// The layout of a valid `matrix`.
    fn of(matrix: &'a Matrix) -> Self {
        let cell = cell_side(matrix);
        let name_size = (cell - 1.0).clamp(9.0, SMALL + 1.0);
        let names: Vec<String> =
            matrix.names.iter().map(|name| shortened(name, name_size, WIDEST_NAME)).collect();
        let names_width = names.iter().map(|name| text_width(name, name_size)).fold(0.0, f64::max).ceil();
        let greatest = match matrix.format {
            CellFormat::Count => matrix.finite_cells().fold(1.0, f64::max),
            CellFormat::Rate => 1.0,
        };
        let fitting = (cell - 5.0) / widest_number(matrix, 1.0);
        let number_size = fitting.min((cell * 0.3).clamp(SMALL, LABEL));
        let left = MARGIN + AXIS_LABEL + names_width + GAP;
        Self {
            matrix,
            color_map: ColorMap { greatest },
            cell,
            name_size,
            number_size,
            names,
            names_width,
            left,
        }
    }

    fn side(&self) -> f64 {
        self.cell * self.names.len() as f64
    }

    fn right(&self) -> f64 {
        self.left + self.side()
    }

    fn bottom(&self) -> f64 {
        HEADER + self.side()
    }

    /// Whether the column names are wider than the columns and therefore read from bottom to top.
    fn has_turned_names(&self) -> bool {
        self.names_width > self.cell - 4.0
    }

    fn column_names_height(&self) -> f64 {
        if self.has_turned_names() { self.names_width } else { self.name_size * 1.3 }
    }

    fn bar_height(&self) -> f64 {
        self.side().max(LEAST_BAR)
    }

    /// The ticks of the colour bar.
    fn bar_ticks(&self) -> Vec<(f64, String)> {
        let axis = Axis::fixed("", 0.0, self.color_map.greatest);
        let room = (self.bar_height() / 40.0).min(7.0);
        let is_count = self.matrix.format == CellFormat::Count;
        let most_ticks = if is_count { room.min(self.color_map.greatest) } else { room };
        let scale = Scale::of_axis(&axis, std::iter::empty(), most_ticks as u32);
        scale.ok().flatten().map(|scale| scale.ticks()).unwrap_or_default()
    }

    fn draw_cells<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> DrawResult {
        // Gaps between small cells would hide them.
        let is_gapped = self.matrix.names.len() <= MOST_NUMBERED;
        for (index, row) in self.matrix.cells.iter().enumerate() {
            let top = HEADER + index as f64 * self.cell;
            let shares: Vec<Option<f64>> =
                row.iter().map(|value| value.is_finite().then(|| self.color_map.share(*value))).collect();
            let mut start = 0;
            // Neighbours of the same colour share a rectangle, to keep the files of large matrices small.
            for same in shares.chunk_by(|one, other| !is_gapped && one == other) {
                let gap = if is_gapped { 1.0 } else { 0.0 };
                let left = self.left + start as f64 * self.cell;
                let right = left + same.len() as f64 * self.cell - gap;
                if let Some(share) = same[0] {
                    canvas.rectangle((left, top), (right, top + self.cell - gap), ColorMap::color(share))?;
                }
                start += same.len();
            }
        }
        Ok(())
    }

    fn draw_numbers<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> DrawResult {
        for (row, values) in self.matrix.cells.iter().enumerate() {
            for (column, value) in values.iter().enumerate() {
                let text = self.matrix.format.text(*value);
                let color = if value.is_finite() {
                    ColorMap::color(self.color_map.share(*value)).ink()
                } else {
                    canvas.ink
                };
                let label_style =
                    LabelStyle { color, ..canvas.label_style(self.number_size, Anchor::Middle) };
                canvas.text(&text, self.center(row, column), label_style)?;
            }
        }
        Ok(())
    }

    fn center(&self, row: usize, column: usize) -> (f64, f64) {
        let middle = |index: usize| (index as f64 + 0.5) * self.cell - 0.5;
        (self.left + middle(column), HEADER + middle(row))
    }

    fn draw_names<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> DrawResult {
        let is_turned = self.has_turned_names();
        for (index, name) in self.names.iter().enumerate() {
            let (x, y) = self.center(index, index);
            canvas.text(name, (self.left - GAP, y), canvas.label_style(self.name_size, Anchor::End))?;
            let anchor = if is_turned { Anchor::End } else { Anchor::Middle };
            let label_style = LabelStyle { is_turned, ..canvas.label_style(self.name_size, anchor) };
            let drop = if is_turned { GAP } else { GAP + self.name_size / 2.0 };
            canvas.text(name, (x, self.bottom() + drop), label_style)?;
        }
        self.draw_axis_labels(canvas)
    }

    fn draw_axis_labels<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> DrawResult {
        let half = self.side() / 2.0;
        let below = self.bottom() + GAP + self.column_names_height() + AXIS_LABEL / 2.0;
        let label_style = canvas.label_style(LABEL, Anchor::Middle);
        canvas.text(&self.matrix.column_label, (self.left + half, below), label_style)?;
        let place = (MARGIN + LABEL / 2.0, HEADER + half);
        canvas.text(&self.matrix.row_label, place, LabelStyle { is_turned: true, ..label_style })
    }

    fn draw_bar<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> DrawResult {
        let (left, height) = (self.right() + 20.0, self.bar_height());
        let place = |share: f64| HEADER + (1.0 - share) * height;
        // Each step covers the lower part of the step above; adjacent rectangles would have visible seams.
        for step in (1..=BAR_STEPS).rev() {
            let share = f64::from(step) / f64::from(BAR_STEPS);
            let color = ColorMap::color(share - 0.5 / f64::from(BAR_STEPS));
            canvas.rectangle((left, place(share)), (left + BAR_WIDTH, place(0.0)), color)?;
        }
        for (value, name) in self.bar_ticks() {
            let (x, y) = (left + BAR_WIDTH, place(self.color_map.share(value)));
            canvas.line(&[(x, y), (x + 4.0, y)], Pen::new(canvas.ink, 1.0))?;
            canvas.text(&name, (x + 8.0, y), canvas.label_style(SMALL, Anchor::Start))?;
        }
        Ok(())
    }
}

impl Chart for Layout<'_> {
    fn title(&self) -> &str {
        &self.matrix.title
    }

    fn size(&self) -> (f64, f64) {
        let ticks = self.bar_ticks().iter().map(|(_, name)| text_width(name, SMALL)).fold(0.0, f64::max);
        let width = self.right() + 20.0 + BAR_WIDTH + 8.0 + ticks + MARGIN;
        let labels = GAP + self.column_names_height() + AXIS_LABEL + 4.0;
        let height = (self.bottom() + labels).max(HEADER + self.bar_height() + MARGIN);
        let title = text_width(self.title(), TITLE).min(WIDEST_TITLE) + 2.0 * MARGIN;
        (width.max(title).ceil(), height.ceil())
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> DrawResult {
        let title = shortened(self.title(), TITLE, self.size().0 - 2.0 * MARGIN);
        canvas.text(&title, (MARGIN, 20.0), canvas.label_style(TITLE, Anchor::Start))?;
        self.draw_cells(canvas)?;
        if self.names.len() <= MOST_NUMBERED {
            self.draw_numbers(canvas)?;
        }
        self.draw_names(canvas)?;
        self.draw_bar(canvas)
    }
}

/// The width and height of a cell: enough for the widest number if there are numbers.
fn cell_side(matrix: &Matrix) -> f64 {
    let classes = matrix.names.len() as f64;
    if matrix.names.len() <= MOST_NUMBERED {
        let number = widest_number(matrix, SMALL) + 6.0;
        (460.0 / classes).clamp(34.0, 72.0).max(number.min(72.0)).floor()
    } else {
        (720.0 / classes).clamp(10.0, 22.0).floor()
    }
}

fn widest_number(matrix: &Matrix, size: f64) -> f64 {
    let texts = matrix.cells.iter().flatten().map(|value| matrix.format.text(*value));
    texts.map(|text| text_width(&text, size)).fold(0.0, f64::max)
}

const LOW: Color = Color(0xf1, 0xf5, 0xfa);
const MIDDLE: Color = Color(0x6b, 0xae, 0xd6);
const HIGH: Color = Color(0x08, 0x30, 0x6b);

/// Maps numbers to colours: light for 0, dark blue for the greatest value.
#[derive(Clone, Copy, Debug, PartialEq)]
struct ColorMap {
    /// The greatest value, above 0.
    greatest: f64,
}

impl ColorMap {
    /// The square root of `value` as a share of the greatest, in [0, 1]. Without the root, few errors would be invisible next to
    /// many correct predictions.
    fn share(self, value: f64) -> f64 {
        (value / self.greatest).clamp(0.0, 1.0).sqrt()
    }

    /// The colour of a share in [0, 1].
    fn color(share: f64) -> Color {
        if share < 0.5 {
            LOW.toward(MIDDLE, share * 2.0)
        } else {
            MIDDLE.toward(HIGH, share.mul_add(2.0, -1.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canvas::svg_parts::{Label, attribute, decoded_png, elements, labels, texts};

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
    fn the_class_names_on_both_axes_do_not_overlap() {
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
        assert_eq!(attribute(cell, "fill"), "#08306B", "the darkest colour, up to rounding");
        let text = svg.lines().zip(svg.lines().skip(1)).find(|(_, line)| *line == "1129").unwrap().0;
        assert_eq!(attribute(text, "fill"), "#FFFFFF");
    }

    #[test]
    fn rates_have_two_decimals_and_an_undefined_rate_has_no_colour() {
        let svg = rates().to_svg().unwrap();
        let texts = texts(&svg);
        assert!(["0.97", "0.03"].iter().all(|text| texts.contains(&(*text).to_owned())), "{texts:?}");
        assert_eq!(texts.iter().filter(|text| *text == "–").count(), 2);
        let bar = 64;
        assert_eq!(elements(&svg, "rect").len(), 2 + bar);
    }

    #[test]
    fn long_names_and_great_numbers_fit() {
        let names =
            (0..12).map(|class| format!("{class} {}", "very long name of a class ".repeat(5))).collect();
        let svg = Matrix { names, ..matrix(12) }.to_svg().unwrap();
        assert_eq!(texts(&svg).iter().filter(|text| text.ends_with('…')).count(), 24);
        Label::assert_apart(&svg);
        let cells = vec![vec![123_456_789.0; 20]; 20];
        Label::assert_apart(&Matrix { cells, ..matrix(20) }.to_svg().unwrap());
    }

    #[test]
    fn a_matrix_of_zeros_can_be_drawn() {
        let svg = Matrix { cells: vec![vec![0.0; 3]; 3], ..matrix(3) }.to_svg().unwrap();
        assert!(texts(&svg).iter().filter(|text| *text == "0").count() >= 9);
    }

    #[test]
    fn invalid_matrices_are_errors() {
        let message = |matrix: Matrix| matrix.to_svg().unwrap_err().to_string();
        assert!(message(matrix(0)).contains("nothing to show"));
        assert!(
            message(Matrix { cells: vec![vec![f64::NAN; 2]; 2], ..matrix(2) }).contains("nothing to show")
        );
        let short = vec![vec![1.0, 2.0], vec![1.0]];
        assert_eq!(
            message(Matrix { cells: short, ..matrix(2) }),
            "'Confusion matrix' must have 2 rows of 2 cells, not 1 cells in row 2"
        );
        assert!(message(Matrix { names: vec![], ..matrix(2) }).contains("not 2 cells in row 1"));
        assert!(message(Matrix { cells: vec![], ..matrix(2) }).contains("not 0 rows"));
        assert!(message(matrix(101)).contains("101 classes, but at most 100"));
        assert!(message(Matrix { cells: vec![vec![1e16]], ..matrix(1) }).contains("not in [0, 1e15]"));
        assert!(message(Matrix { cells: vec![vec![-1.0]], ..matrix(1) }).contains("the cell is -1"));
        assert!(message(Matrix { format: CellFormat::Rate, ..matrix(2) }).contains("not in [0, 1]"));
        assert!(matrix(0).to_png().is_err());
    }

    #[test]
    fn a_png_has_twice_the_pixels_and_shows_every_colour() {
        let png = rates().to_png().unwrap();
        let image = decoded_png(&png, &rates().to_svg().unwrap());
        for rate in [0.975_f64, 0.025] {
            let Color(red, green, blue) = ColorMap::color(rate.sqrt());
            assert!(image.pixels().filter(|pixel| pixel.0 == [red, green, blue]).count() > 1000, "{rate}");
        }
        assert_eq!(png, rates().to_png().unwrap());
    }

    #[test]
    fn a_hundred_classes_make_a_small_file() {
        let svg = matrix(100).to_svg().unwrap();
        assert!(svg.len() < 1_200_000, "{}", svg.len());
        assert_eq!(svg, matrix(100).to_svg().unwrap());
    }

    #[test]
    fn numbers_are_legible_on_every_colour() {
        for part in 0..=1000 {
            let color = ColorMap::color(f64::from(part) / 1000.0);
            assert!(color.contrast(color.ink()) >= 4.5, "{color:?}");
        }
    }

    #[test]
    fn greater_values_are_darker() {
        let color_map = ColorMap { greatest: 1130.0 };
        assert_eq!([0.0, 282.5, 1130.0].map(|value| color_map.share(value)), [0.0, 0.5, 1.0]);
        let colors: Vec<Color> = (0..=10).map(|part| ColorMap::color(f64::from(part) / 10.0)).collect();
        let from_white = |color: &Color| color.contrast(Color(255, 255, 255));
        assert!(colors.windows(2).all(|pair| from_white(&pair[0]) < from_white(&pair[1])));
        assert_eq!((colors[0], colors[10]), (LOW, HIGH));
    }
}

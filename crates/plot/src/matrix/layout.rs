//! Where the parts of a matrix stand.

use plotters::prelude::DrawingBackend;

use super::{CellFormat, Matrix};
use crate::{
    Axis,
    canvas::{Anchor, Canvas, Drawn, Lettering, Pen},
    heat::Heat,
    render::Picture,
    scale::Scale,
    text::{LABEL, SMALL, TITLE, shortened, text_width},
};

const HEADER: f64 = 44.0;
const MARGIN: f64 = 16.0;
/// Room for the label of an axis.
const AXIS_LABEL: f64 = 24.0;
const GAP: f64 = 6.0;
/// A longer class name is shortened.
const WIDEST_NAME: f64 = 130.0;
/// A longer title is shortened, unless the matrix is wider.
const WIDEST_TITLE: f64 = 640.0;
/// More classes than this have cells too small for a number.
const MOST_NUMBERED: usize = 20;
/// The scale of colours.
const BAR_WIDTH: f64 = 14.0;
const BAR_STEPS: u32 = 64;
const LEAST_BAR: f64 = 120.0;

/// A matrix whose parts have their places.
pub(super) struct Layout<'a> {
    matrix: &'a Matrix,
    heat: Heat,
    /// The side of a cell.
    cell: f64,
    /// The size of the class names.
    name_size: f64,
    /// The size of the numbers, at which the widest fits into a cell.
    number_size: f64,
    names: Vec<String>,
    /// The width of the widest name.
    names_width: f64,
    left: f64,
}

impl<'a> Layout<'a> {
    /// `matrix` has passed its check.
    pub(super) fn of(matrix: &'a Matrix) -> Self {
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
        Self { matrix, heat: Heat { greatest }, cell, name_size, number_size, names, names_width, left }
    }

    fn side(&self) -> f64 {
        self.cell * self.names.len() as f64
    }

    fn right(&self) -> f64 {
        self.left + self.side()
    }

    pub(super) fn bottom(&self) -> f64 {
        HEADER + self.side()
    }

    /// Whether the names of the columns are wider than the columns, and read from bottom to top.
    fn has_turned_names(&self) -> bool {
        self.names_width > self.cell - 4.0
    }

    fn column_names_height(&self) -> f64 {
        if self.has_turned_names() { self.names_width } else { self.name_size * 1.3 }
    }

    fn bar_height(&self) -> f64 {
        self.side().max(LEAST_BAR)
    }

    /// The values that the scale of colours names.
    fn bar_ticks(&self) -> Vec<(f64, String)> {
        let axis = Axis::fixed("", 0.0, self.heat.greatest);
        let room = (self.bar_height() / 40.0).min(7.0);
        let is_count = self.matrix.format == CellFormat::Count;
        let most_ticks = if is_count { room.min(self.heat.greatest) } else { room };
        let scale = Scale::of_axis(&axis, std::iter::empty(), most_ticks as u32);
        scale.ok().flatten().map(|scale| scale.ticks()).unwrap_or_default()
    }

    fn draw_cells<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Drawn {
        // Lines between small cells would hide them.
        let is_gapped = self.matrix.names.len() <= MOST_NUMBERED;
        for (index, row) in self.matrix.cells.iter().enumerate() {
            let top = HEADER + index as f64 * self.cell;
            let shares: Vec<Option<f64>> =
                row.iter().map(|value| value.is_finite().then(|| self.heat.share(*value))).collect();
            let mut start = 0;
            // Neighbours of one colour are one rectangle, which keeps large matrices in small files.
            for same in shares.chunk_by(|one, other| !is_gapped && one == other) {
                let gap = if is_gapped { 1.0 } else { 0.0 };
                let left = self.left + start as f64 * self.cell;
                let right = left + same.len() as f64 * self.cell - gap;
                if let Some(share) = same[0] {
                    canvas.rectangle((left, top), (right, top + self.cell - gap), Heat::color(share))?;
                }
                start += same.len();
            }
        }
        Ok(())
    }

    fn draw_numbers<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Drawn {
        for (row, values) in self.matrix.cells.iter().enumerate() {
            for (column, value) in values.iter().enumerate() {
                let text = self.matrix.format.text(*value);
                let color =
                    if value.is_finite() { Heat::color(self.heat.share(*value)).ink() } else { canvas.ink };
                let lettering = Lettering { color, ..canvas.lettering(self.number_size, Anchor::Middle) };
                canvas.text(&text, self.center(row, column), lettering)?;
            }
        }
        Ok(())
    }

    fn center(&self, row: usize, column: usize) -> (f64, f64) {
        let middle = |index: usize| (index as f64 + 0.5) * self.cell - 0.5;
        (self.left + middle(column), HEADER + middle(row))
    }

    fn draw_names<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Drawn {
        let is_turned = self.has_turned_names();
        for (index, name) in self.names.iter().enumerate() {
            let (x, y) = self.center(index, index);
            canvas.text(name, (self.left - GAP, y), canvas.lettering(self.name_size, Anchor::End))?;
            let anchor = if is_turned { Anchor::End } else { Anchor::Middle };
            let lettering = Lettering { is_turned, ..canvas.lettering(self.name_size, anchor) };
            let drop = if is_turned { GAP } else { GAP + self.name_size / 2.0 };
            canvas.text(name, (x, self.bottom() + drop), lettering)?;
        }
        self.draw_axis_labels(canvas)
    }

    fn draw_axis_labels<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Drawn {
        let half = self.side() / 2.0;
        let below = self.bottom() + GAP + self.column_names_height() + AXIS_LABEL / 2.0;
        let lettering = canvas.lettering(LABEL, Anchor::Middle);
        canvas.text(&self.matrix.column_label, (self.left + half, below), lettering)?;
        let place = (MARGIN + LABEL / 2.0, HEADER + half);
        canvas.text(&self.matrix.row_label, place, Lettering { is_turned: true, ..lettering })
    }

    fn draw_bar<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Drawn {
        let (left, height) = (self.right() + 20.0, self.bar_height());
        let place = |share: f64| HEADER + (1.0 - share) * height;
        // Each step covers the lower end of those above it: side by side they would have seams.
        for step in (1..=BAR_STEPS).rev() {
            let share = f64::from(step) / f64::from(BAR_STEPS);
            let color = Heat::color(share - 0.5 / f64::from(BAR_STEPS));
            canvas.rectangle((left, place(share)), (left + BAR_WIDTH, place(0.0)), color)?;
        }
        for (value, name) in self.bar_ticks() {
            let (x, y) = (left + BAR_WIDTH, place(self.heat.share(value)));
            canvas.line(&[(x, y), (x + 4.0, y)], Pen::new(canvas.ink, 1.0))?;
            canvas.text(&name, (x + 8.0, y), canvas.lettering(SMALL, Anchor::Start))?;
        }
        Ok(())
    }
}

impl Picture for Layout<'_> {
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

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Drawn {
        let title = shortened(self.title(), TITLE, self.size().0 - 2.0 * MARGIN);
        canvas.text(&title, (MARGIN, 20.0), canvas.lettering(TITLE, Anchor::Start))?;
        self.draw_cells(canvas)?;
        if self.names.len() <= MOST_NUMBERED {
            self.draw_numbers(canvas)?;
        }
        self.draw_names(canvas)?;
        self.draw_bar(canvas)
    }
}

/// The side of a cell: room for the widest number where there are numbers.
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

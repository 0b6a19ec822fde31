//! Matrices in panels of 32 columns.

/// Columns of a panel: two vectors of the widest kind.
pub(crate) const WIDTH: usize = 32;

/// One row of a panel.
pub(crate) type Row = [f32; WIDTH];

/// A matrix of shape [rows, columns] whose columns lie in panels: all rows of columns 0 to 31, then all rows of
/// columns 32 to 63, and so on. The last panel is filled up with zeros.
#[derive(Clone, Debug, Default)]
pub(crate) struct Panels {
    rows: usize,
    columns: usize,
    values: Vec<Row>,
}

impl Panels {
    /// Zeros of shape [rows, columns].
    pub(crate) fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![[0.0; WIDTH]; rows * columns.div_ceil(WIDTH)] }
    }

    /// The matrix whose rows follow each other in `values`.
    pub(crate) fn from_rows(values: &[f32], columns: usize) -> Self {
        let mut panels = Self::zeros(values.len() / columns, columns);
        panels.copy_from_rows(values);
        panels
    }

    /// Takes the rows that follow each other in `values`.
    pub(crate) fn copy_from_rows(&mut self, values: &[f32]) {
        let columns = self.columns;
        for (panel, rows) in self.values.chunks_mut(self.rows.max(1)).enumerate() {
            let first = panel * WIDTH;
            let width = WIDTH.min(columns - first);
            for (row, values) in rows.iter_mut().zip(values.chunks_exact(columns)) {
                row[..width].copy_from_slice(&values[first..first + width]);
            }
        }
    }

    /// The rows, one after the other, without the filling.
    pub(crate) fn to_rows(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.rows * self.columns];
        for (panel, rows) in self.panels().enumerate() {
            let first = panel * WIDTH;
            let width = WIDTH.min(self.columns - first);
            for (row, values) in rows.iter().zip(values.chunks_exact_mut(self.columns)) {
                values[first..first + width].copy_from_slice(&row[..width]);
            }
        }
        values
    }

    /// Gives the matrix another shape; what its values are is not said.
    pub(crate) fn resize(&mut self, rows: usize, columns: usize) {
        if (self.rows, self.columns) != (rows, columns) {
            *self = Self::zeros(rows, columns);
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// All panels, each a slice of all rows.
    pub(crate) fn panels(&self) -> impl Iterator<Item = &[Row]> {
        self.values.chunks(self.rows.max(1))
    }

    /// Panel number `panel`.
    pub(crate) fn panel(&self, panel: usize) -> &[Row] {
        &self.values[panel * self.rows..(panel + 1) * self.rows]
    }

    /// Every row of every panel, in the order of memory.
    pub(crate) fn values(&self) -> &[Row] {
        &self.values
    }

    /// The matrix cut into blocks of at most `height` rows of a panel, in the order of memory.
    pub(crate) fn blocks_mut(&mut self, height: usize) -> impl Iterator<Item = (Place, &mut [Row])> {
        let panels = self.values.chunks_mut(self.rows.max(1)).enumerate();
        panels.flat_map(move |(panel, rows)| {
            let blocks = rows.chunks_mut(height).enumerate();
            blocks.map(move |(block, rows)| (Place { panel, row: block * height }, rows))
        })
    }
}

/// Where a block begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The panel.
    pub(crate) panel: usize,
    /// The first row.
    pub(crate) row: usize,
}

/// Writes into `out` panel number `panel` of the transpose of `matrix`: its rows are columns of `matrix`.
pub(crate) fn transpose_panel(matrix: &Panels, panel: usize, out: &mut [Row]) {
    let first = panel * WIDTH;
    let height = WIDTH.min(matrix.rows - first);
    for (columns, out) in matrix.panels().zip(out.chunks_mut(WIDTH)) {
        let block = &columns[first..first + height];
        for (column, out) in out.iter_mut().enumerate() {
            for (value, row) in out.iter_mut().zip(block) {
                *value = row[column];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(rows: usize, columns: usize) -> Vec<f32> {
        (0..rows * columns).map(|at| at as f32 + 1.0).collect()
    }

    #[test]
    fn rows_come_back_and_the_filling_is_zero() {
        for (rows, columns) in [(1, 1), (3, 31), (5, 32), (7, 33), (2, 100)] {
            let values = numbered(rows, columns);
            let panels = Panels::from_rows(&values, columns);
            assert_eq!(panels.to_rows(), values);
            let filled = panels.values().as_flattened().iter().filter(|value| **value != 0.0).count();
            assert_eq!(filled, values.len());
        }
    }

    #[test]
    fn a_transpose_has_the_columns_as_rows() {
        let (rows, columns) = (37, 70);
        let values = numbered(rows, columns);
        let matrix = Panels::from_rows(&values, columns);
        let mut transpose = Panels::zeros(columns, rows);
        for (Place { panel, .. }, out) in transpose.blocks_mut(columns) {
            transpose_panel(&matrix, panel, out);
        }
        let expected: Vec<f32> = (0..columns)
            .flat_map(|column| (0..rows).map(move |row| (row * columns + column) as f32 + 1.0))
            .collect();
        assert_eq!(transpose.to_rows(), expected);
    }
}

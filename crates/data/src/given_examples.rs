//! Examples that come as values from a program, to be predicted: the pixels of pictures, and the rows of tables.

use std::sync::Arc;

use kiln_table::{Blocks, Preparation, Remarks, RowValue, ValueFault};

use crate::storage::Storage;
use crate::{DataError, Fault, Profile, Split};

/// The examples whose pixels follow each other in `pixels`: plane by plane and row by row, at the levels of the training
/// pictures. Their labels are all 0 and mean nothing.
///
/// # Errors
/// Where they are not whole pictures, a pixel is above the greatest level, or the network takes no pictures.
pub fn examples_of_pixels(pixels: Vec<u8>, profile: &Profile) -> Result<Split, DataError> {
    let (width, place) = (profile.shape.features(), "the pixels");
    if profile.image_size().is_none() {
        let fault = Fault::new(place, "the columns of a table, on which the network was trained", "pixels");
        return Err(DataError::unfit("unreadable picture", fault));
    }
    if pixels.is_empty() || !pixels.len().is_multiple_of(width) {
        let fault =
            Fault::new(place, format!("{width} for each picture"), format!("{} in all", pixels.len()));
        return Err(DataError::unfit("unreadable picture", fault));
    }
    let greatest = profile.greatest_pixel.unwrap_or(u8::MAX);
    if let Some(at) = pixels.iter().position(|&pixel| pixel > greatest) {
        let fault = Fault::new(place, format!("levels from 0 to {greatest}"), pixels[at].to_string());
        return Err(DataError::unfit("unreadable picture", fault.place(format!("pixel {at}"))));
    }
    let labels = vec![0; pixels.len() / width];
    Ok(Split::new(Storage::bytes(width, pixels, greatest), labels))
}

/// Rows of a table that come one by one.
pub struct GivenRows {
    preparation: Arc<Preparation>,
    cells: Blocks<f64>,
    remarks: Remarks,
}

impl GivenRows {
    /// No rows yet, for a network that was trained on tables with this `preparation` ([`Profile::row_preparation`]).
    #[must_use]
    pub fn new(preparation: &Arc<Preparation>) -> Self {
        let cells = Blocks::new(preparation.raw_width());
        Self { preparation: Arc::clone(preparation), cells, remarks: Remarks::default() }
    }

    /// Adds a row: `value` gives the value of a used column, by its number among them. Gives what is not known of it, a text
    /// for each column, in the words of [`Preparation::remark`].
    ///
    /// # Errors
    /// The first value that is not what its column holds; the row is then not there.
    pub fn push<'a>(&mut self, value: impl Fn(usize) -> RowValue<'a>) -> Result<Vec<String>, ValueFault> {
        let Self { preparation, cells, remarks } = self;
        cells.push_row(|raw| preparation.row(&value, raw))?;
        let text = |used: usize| value(used).text().into_owned().into();
        Ok(preparation.notes(cells.row(cells.rows() - 1), text, remarks))
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.rows()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows, whose labels are all 0 and mean nothing, and what is remarkable about them.
    #[must_use]
    pub fn finish(self) -> (Split, Remarks) {
        let count = self.len();
        let lines = (1..=count as u32).collect();
        (Split::new(Storage::cells(self.cells, self.preparation, lines), vec![0; count]), self.remarks)
    }
}

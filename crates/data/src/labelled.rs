//! Other labelled data of the shape that a network was trained on.

use std::path::Path;

use kiln_config::{Data, DataSource};

use crate::source::{csv, idx_folder, image_folder, published};
use crate::{DataError, Fault, Profile, Shape, Split};

/// Reads the labelled examples at `path` to test a network on: for a network on tables a csv file with the
/// columns of its training data; for one on images a folder with `t10k-images-idx3-ubyte` and
/// `t10k-labels-idx1-ubyte`, or a folder with a folder of pictures per class.
///
/// `data` is the experiment's own section: it names the label column, and the source whose classes the numbers
/// in IDX files mean.
///
/// # Errors
/// Where there is no such data at `path`, it is damaged, or its columns, image size or classes are not those of
/// `profile`.
pub fn labelled(path: &Path, data: &Data, profile: &Profile) -> Result<Split, DataError> {
    match &profile.shape {
        Shape::Columns(columns) if is_generated(data.source) => Err(generated(path, columns)),
        Shape::Columns(columns) => csv::labelled(path, &data.label_column, columns, &profile.classes),
        Shape::Image { height, width } => {
            let size = (*height, *width);
            if let Some(files) = idx_folder::find_test(path) {
                let names = published(data.source).map(|set| set.classes.as_slice());
                return idx_folder::labelled(files, size, names, profile);
            }
            image_folder::labelled(path, size, profile)
        }
    }
}

fn is_generated(source: DataSource) -> bool {
    crate::source::generated_name(source).is_some()
}

fn generated(path: &Path, columns: &[String]) -> DataError {
    let fault = Fault::new(path, "data from a file", format!("a run on generated {}", columns.join(", ")));
    DataError::unfit("missing data", fault.remedy("another seed of the experiment generates other examples"))
}

//! Other labelled data of the shape that a network was trained on.

use std::path::Path;

use kiln_config::Data;

use crate::source::reader;
use crate::{DataError, Profile, Split};

/// Reads the labelled examples at `path` to test a network on: for a network on tables a csv file with the
/// columns of its training data; for one on images a folder with `t10k-images-idx3-ubyte` and
/// `t10k-labels-idx1-ubyte` (or under another usual name, or one of these files), or a folder with a folder of pictures
/// per class.
///
/// `data` is the experiment's own section: it names the label column, and the source whose classes the numbers
/// in IDX files mean.
///
/// # Errors
/// Where there is no such data at `path`, it is damaged, or its columns, image size or classes are not those of
/// `profile`.
pub fn labelled(path: &Path, data: &Data, profile: &Profile) -> Result<Split, DataError> {
    reader(data.source).labelled(path, data, profile)
}

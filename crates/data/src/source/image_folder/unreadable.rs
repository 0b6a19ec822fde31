//! Pictures that cannot be read.

use std::path::{Path, PathBuf};

use kiln_config::Unreadable as Policy;
use kiln_table::{counted, escaped, listed, quoted};

use crate::{DataError, Fault};

/// So many are named in an error.
const MOST_NAMED: usize = 20;
/// So many are named in a notice.
const MOST_LEFT_OUT: usize = 5;

/// Pictures that could not be read, each with what was wrong.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    pictures: Vec<(PathBuf, DataError)>,
}

impl Unreadable {
    pub(super) fn push(&mut self, path: &Path, error: DataError) {
        self.pictures.push((path.to_owned(), error));
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.pictures.extend(other.pictures);
    }

    /// What `policy` makes of them: an error that names them, or a notice. Names count from `root`.
    pub(super) fn settle(mut self, root: &Path, policy: Policy) -> Result<Option<String>, DataError> {
        let count = self.pictures.len();
        let name =
            |(path, _): &(PathBuf, DataError)| path.strip_prefix(root).unwrap_or(path).display().to_string();
        match policy {
            _ if count == 0 => Ok(None),
            Policy::Skip => {
                let all: Vec<String> = self.pictures.iter().map(name).collect();
                let named = listed(all.iter().map(String::as_str), MOST_LEFT_OUT);
                Ok(Some(format!("left out {}, for they cannot be read: {named}", counted(count, "picture"))))
            }
            Policy::Error if count == 1 => Err(or_left_out(self.pictures.remove(0).1)),
            Policy::Error => {
                let told = |picture| format!("{} ({})", quoted(&name(picture)), reason(&picture.1));
                let mut found: Vec<String> = self.pictures.iter().take(MOST_NAMED).map(told).collect();
                if count > MOST_NAMED {
                    found.push(format!("and {} more", count - MOST_NAMED));
                }
                let found = found.join(", ");
                let fault =
                    Fault::new(root, "pictures that can be read", format!("{count} that cannot: {found}"));
                let remedy = "save them again as PNG, take them away, or set data.unreadable to \"skip\" to leave \
                              them out";
                Err(DataError::unfit("unreadable pictures", fault.remedy(remedy)))
            }
        }
    }
}

/// The error of a single picture, with what else can be done where it is one of many.
fn or_left_out(mut error: DataError) -> DataError {
    if let DataError::Unfit { fault, .. } = &mut error {
        fault.remedy += ", or set data.unreadable to \"skip\" to leave it out";
    }
    error
}

fn reason(error: &DataError) -> String {
    match error {
        DataError::Unfit { fault, .. } => escaped(&fault.found),
        DataError::Read { source, .. } => source.to_string(),
        other => escaped(&other.to_string()),
    }
}

//! What the user says of a table, where the file does not say it.

use std::fmt;

use crate::{Separator, words::quoted};

/// How to read a table; what is not set is found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The column that holds the class.
    pub label: Option<ColumnRef>,
    /// Whether the first row names the columns.
    pub header: Option<bool>,
    /// Names for the columns, from left to right.
    pub names: Vec<String>,
    /// Names that a header would have; without them, what a header is is found out.
    pub known: Vec<String>,
    /// What stands between cells.
    pub separator: Option<Separator>,
    /// A label of the WHATWG encoding standard, such as `windows-1252`.
    pub encoding: Option<String>,
    /// What stands for a missing value, besides what always does.
    pub missing: Vec<String>,
    /// Columns whose cells are kept as they are written, even where they are numbers. `*` means every column.
    pub as_text: Vec<String>,
}

/// A column, by name or place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnRef {
    /// The name in the header.
    Name(String),
    /// 1 is the first column, -1 the last.
    Place(i64),
}

impl ColumnRef {
    /// Where it is among `names`. A place is taken as a name first where there is such a name.
    #[must_use]
    pub fn find(&self, names: &[String]) -> Option<usize> {
        match self {
            Self::Name(name) => names.iter().position(|other| other == name).or_else(|| {
                let mut alike = (0..names.len()).filter(|&at| names[at].eq_ignore_ascii_case(name.trim()));
                alike.next().filter(|_| alike.next().is_none())
            }),
            Self::Place(place) => {
                let name = place.to_string();
                let count = i64::try_from(names.len()).unwrap_or(i64::MAX);
                names.iter().position(|other| *other == name).or_else(|| match *place {
                    place @ 1.. if place <= count => Some((place - 1) as usize),
                    place @ ..=-1 if place >= -count => Some((count + place) as usize),
                    _ => None,
                })
            }
        }
    }

    /// True if one of `cells` is its name.
    pub(crate) fn is_named_in<'a>(&self, mut cells: impl Iterator<Item = &'a str>) -> bool {
        match self {
            Self::Name(name) => cells.any(|cell| cell.trim().eq_ignore_ascii_case(name.trim())),
            Self::Place(_) => false,
        }
    }
}

impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(&quoted(name)),
            Self::Place(place) => write!(f, "number {place}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_by_place() {
        let names = ["id", "Class", "class", "-1", "Weight"].map(str::to_owned);
        let name = |text: &str| ColumnRef::Name(text.to_owned()).find(&names);
        assert_eq!(
            (name("class"), name("Class"), name("weight "), name("CLASS")),
            (Some(2), Some(1), Some(4), None)
        );
        let place = |place: i64| ColumnRef::Place(place).find(&names);
        assert_eq!((place(1), place(5), place(-5), place(-1)), (Some(0), Some(4), Some(0), Some(3)));
        for out in [0, 6, -6, i64::MAX, i64::MIN] {
            assert_eq!(place(out), None, "{out}");
        }
    }
}

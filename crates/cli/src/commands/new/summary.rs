//! What was seen, in words.

use std::fmt::Write as _;

use kiln_data::{DataSet, Shape, Split};
use kiln_table::{escaped, listed};

use super::look::Seen;
use crate::commands::data::columns;
use crate::output::table;

/// Classes that are listed one by one.
const MOST_CLASSES: usize = 30;

/// The examples of each class in all splits together.
pub(super) fn counts(set: &DataSet) -> Vec<(&str, usize)> {
    let mut counts = vec![0; set.class_count()];
    for split in [Some(&set.train), set.held_out(), Some(&set.test)].into_iter().flatten() {
        for (count, more) in counts.iter_mut().zip(split.counts(set.class_count())) {
            *count += more;
        }
    }
    set.classes.iter().map(String::as_str).zip(counts).collect()
}

/// The examples in all splits together.
pub(super) fn examples(set: &DataSet) -> usize {
    set.train.len() + set.held_out().map_or(0, Split::len) + set.test.len()
}

pub(super) fn summary(Seen { set, leaks, .. }: &Seen) -> String {
    let what = match &set.shape {
        Shape::Image { height, width, channels } => {
            let colour = if *channels == 1 { "grey" } else { "red, green and blue" };
            format!("{height}x{width} pixels, {colour}")
        }
        Shape::Columns(names) => format!("{} features", names.len()),
    };
    let mut text = format!("{} examples of {what}\n\n", examples(set));
    let head = ["class", "examples"].map(str::to_owned).to_vec();
    let counts = counts(set);
    let rows = counts.iter().take(MOST_CLASSES).map(|(class, count)| vec![escaped(class), count.to_string()]);
    text += &table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    if counts.len() > MOST_CLASSES {
        let _ = write!(text, "\nand {} more", counts.len() - MOST_CLASSES);
    }
    let found = super::columns(set);
    if !found.is_empty() {
        let _ = write!(text, "\n\n{}", columns(found));
    }
    if !leaks.is_empty() {
        let names = listed(leaks.iter().map(String::as_str), 8);
        let _ = write!(
            text,
            "\n\nnote: {names} tells the class of every row, and is left out: keep it only if it is known before the class is"
        );
    }
    for notice in &set.notices {
        let _ = write!(text, "\n\nnote: {notice}");
    }
    text
}

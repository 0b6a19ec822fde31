//! Texts from files and names of files, as messages show them.

use kiln_table::escaped;

/// Longer texts are cut.
const MOST_CHARACTERS: usize = 100;
/// More names than these are counted.
const MOST_NAMES: usize = 5;

/// `text` without control characters, and not longer than a message can bear.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((cut, _)) => format!("{}...", escaped(&text[..cut])),
        None => escaped(text),
    }
}

/// The first of `count` names, and how many there are where not all are named.
pub(crate) fn names<'a>(all: impl Iterator<Item = &'a str>, count: usize) -> String {
    named(all, count, MOST_NAMES)
}

/// The same, with `most` of them.
pub(crate) fn named<'a>(all: impl Iterator<Item = &'a str>, count: usize, most: usize) -> String {
    let first: Vec<String> = all.take(most).map(shown).collect();
    if count > first.len() {
        format!("{} and {} more", first.join(", "), count - first.len())
    } else {
        first.join(", ")
    }
}

/// "1 picture" or "2 pictures".
pub(crate) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_what_is_long_is_cut() {
        assert_eq!(shown("cat\u{1b}[31m\n"), "cat\\u{1b}[31m\\n");
        assert_eq!(shown(&"ä".repeat(101)), format!("{}...", "ä".repeat(100)));
    }

    #[test]
    fn names_beyond_the_first_are_counted() {
        assert_eq!(names(["a", "b"].into_iter(), 2), "a, b");
        assert_eq!(names(["a", "b", "c", "d", "e", "f", "g"].into_iter(), 7), "a, b, c, d, e and 2 more");
    }
}

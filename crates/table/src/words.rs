//! Text from files, as messages show it.

/// The most characters of a text from a file that a message shows.
const SHOWN: usize = 80;

/// `text` without control characters, which a terminal would obey.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// `text` in quotes, shortened, with control characters written out: no byte of a file reaches a terminal as it is.
#[must_use]
pub fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN).collect();
    let mut shown = escaped(&cut);
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

/// `names` in quotes, the first `most` of them and how many more there are.
#[must_use]
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>, most: usize) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let mut words: Vec<String> = names.iter().take(most).map(|name| quoted(name)).collect();
    if names.len() > most {
        words.push(format!("and {} more", names.len() - most));
    }
    words.join(", ")
}

/// "1 picture" or "2 pictures".
#[must_use]
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped_and_what_is_long_is_cut() {
        assert_eq!(quoted("cat\u{1b}[31m\n"), "\"cat\\u{1b}[31m\\n\"");
        assert_eq!(quoted(&"ä".repeat(81)), format!("\"{}…\"", "ä".repeat(80)));
    }

    #[test]
    fn names_beyond_the_first_are_counted() {
        assert_eq!(listed(["a", "b"], 2), "\"a\", \"b\"");
        assert_eq!(listed(["a", "b", "c", "d"], 2), "\"a\", \"b\", and 2 more");
    }
}

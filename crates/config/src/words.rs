//! Several things in one sentence.

/// `a`, `a or b`, `a, b or c`, where `conjunction` is `or`.
#[must_use]
pub fn listed(words: impl IntoIterator<Item = String>, conjunction: &str) -> String {
    let mut words: Vec<String> = words.into_iter().collect();
    let Some(last) = words.pop() else { return String::new() };
    if words.is_empty() { last } else { format!("{} {conjunction} {last}", words.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_are_joined_by_the_conjunction_and_the_others_by_commas() {
        let of = |words: &[&str]| listed(words.iter().map(ToString::to_string), "or");
        assert_eq!(
            [of(&[]), of(&["a"]), of(&["a", "b"]), of(&["a", "b", "c"])],
            ["", "a", "a or b", "a, b or c"]
        );
    }
}

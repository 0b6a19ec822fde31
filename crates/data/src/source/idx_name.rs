//! The names under which IDX files are spread.

use super::idx::Content;

/// What the name of a file says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// What stands before the split, such as `emnist-letters`; empty for MNIST's own names.
    pub(super) family: String,
    pub(super) role: Role,
    pub(super) content: Content,
}

/// Which split a file is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Train,
    Test,
}

impl Name {
    /// What a name such as `emnist-letters-train-images-idx3-ubyte.gz` says; none where it is no such name.
    pub(super) fn read(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".gzip")).unwrap_or(&name);
        let words: Vec<&str> = name.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
        let format = words.iter().position(|word| is_format(word))?;
        let is_type = |word: &str| matches!(word, "ubyte" | "byte" | "short" | "int" | "float" | "double");
        let at = words.iter().position(|word| role(word).is_some())?;
        if !words[format + 1..].iter().all(|word| is_type(word)) || at > format {
            return None;
        }
        let content = match words[at + 1..format] {
            ["images" | "image"] => Content::Images,
            ["labels" | "label"] => Content::Labels,
            _ => return None,
        };
        Some(Self { family: words[..at].join("-"), role: role(words[at])?, content })
    }
}

fn is_format(word: &str) -> bool {
    word.strip_prefix("idx")
        .is_some_and(|rank| rank.len() <= 1 && rank.bytes().all(|byte| byte.is_ascii_digit()))
}

fn role(word: &str) -> Option<Role> {
    match word {
        "train" | "training" => Some(Role::Train),
        "t10k" | "test" | "testing" => Some(Role::Test),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_set_split_and_content() {
        let read = |name| Name::read(name).map(|name| (name.family, name.role, name.content));
        let some = |family: &str, role, content| Some((family.to_owned(), role, content));
        for (name, expected) in [
            ("train-images-idx3-ubyte", some("", Role::Train, Content::Images)),
            ("train-labels.idx1-ubyte.gz", some("", Role::Train, Content::Labels)),
            ("t10k-images-idx3-ubyte", some("", Role::Test, Content::Images)),
            ("Test-Labels-idx1-ubyte", some("", Role::Test, Content::Labels)),
            ("emnist-letters-test-images-idx3-ubyte.gz", some("emnist-letters", Role::Test, Content::Images)),
            ("qmnist-train-labels-idx2-int.gz", some("qmnist", Role::Train, Content::Labels)),
            ("train_images.idx", some("", Role::Train, Content::Images)),
            ("train-images-idx3-ubyte.sha256", None),
            ("train-images.zip", None),
            ("README", None),
        ] {
            assert_eq!(read(name), expected, "{name}");
        }
    }
}

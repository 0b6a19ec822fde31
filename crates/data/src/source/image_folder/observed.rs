//! What is odd about pictures that can all be read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use kiln_table::listed;

use super::super::picture::Decoded;

/// Pictures that show nothing, and those of which there are copies.
#[derive(Debug, Default)]
pub(super) struct Observed {
    blank: Vec<PathBuf>,
    /// Each picture's class and path, in their order.
    pictures: Vec<(u32, PathBuf)>,
    /// The first picture of each content, by SHA-256.
    first: HashMap<String, usize>,
    /// Each picture that repeats an earlier one, with that one.
    copies: Vec<(usize, usize)>,
}

impl Observed {
    /// Notes a picture of `class`, of `plane` pixels.
    pub(super) fn note(&mut self, path: &Path, class: u32, decoded: &Decoded, plane: usize) {
        let is_even = |levels: &[u8]| levels.iter().all(|level| *level == levels[0]);
        if decoded.planes.chunks(plane).all(is_even) {
            self.blank.push(path.to_owned());
        }
        let at = self.pictures.len();
        self.pictures.push((class, path.to_owned()));
        let first = *self.first.entry(decoded.sha256.clone()).or_insert(at);
        if first != at {
            self.copies.push((at, first));
        }
    }

    /// What to tell of the split called `role`; names count from `root`.
    pub(super) fn notices(&self, role: &str, root: &Path) -> Vec<String> {
        let name = |path: &PathBuf| path.strip_prefix(root).unwrap_or(path).display().to_string();
        let mut notices = Vec::new();
        if !self.blank.is_empty() {
            let blank: Vec<String> = self.blank.iter().map(name).collect();
            notices.push(format!(
                "{role} pictures of one colour all over: {} of {} ({})",
                blank.len(),
                self.pictures.len(),
                listed(blank.iter().map(String::as_str), 5)
            ));
        }
        let (same, other): (Vec<_>, Vec<_>) =
            self.copies.iter().partition(|(copy, first)| self.pictures[*copy].0 == self.pictures[*first].0);
        for (copies, kind) in [(same, "within a class"), (other, "under another class")] {
            if !copies.is_empty() {
                let pair = |&(copy, first): &(usize, usize)| {
                    format!("{} = {}", name(&self.pictures[copy].1), name(&self.pictures[first].1))
                };
                let pairs: Vec<String> = copies.iter().map(pair).collect();
                let named = listed(pairs.iter().map(String::as_str), 3);
                notices.push(format!("copies among the {role} pictures, {kind}: {} ({named})", copies.len()));
            }
        }
        notices
    }

    /// What to tell of pictures that are among the training pictures too.
    pub(super) fn shared(&self, training: &Self, role: &str) -> Option<String> {
        let is_shared = |content: &&String| training.first.contains_key(*content);
        let count = self.first.keys().filter(is_shared).count();
        (count > 0).then(|| format!("different {role} pictures that are in training too: {count}"))
    }
}

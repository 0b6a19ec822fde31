//! The state of the git checkout that a run was started in.

use std::{
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most of a diff that is kept, in bytes; source changes are far smaller, checked-in data is not.
const DIFF_LIMIT: u64 = 4 * 1024 * 1024;

/// Which source a run was started from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GitState {
    /// The commit, in full.
    pub commit: String,
    /// Whether files differed from it, or were unknown to git.
    pub dirty: bool,
    /// Whether `git.diff` ends early because there were more than 4 MiB of changes.
    #[serde(default)]
    pub diff_truncated: bool,
}

/// The state of the checkout that `folder` belongs to, and its uncommitted changes as a diff. `None` outside
/// a checkout, before its first commit, or without git.
pub(crate) fn state_of(folder: &Path) -> Option<(GitState, Vec<u8>)> {
    let commit = String::from_utf8(output(folder, &["rev-parse", "HEAD"], 1024)?).ok()?.trim().to_owned();
    let dirty = !output(folder, &["status", "--porcelain"], 1)?.is_empty();
    let arguments = ["diff", "HEAD", "--no-color", "--no-ext-diff"];
    let mut diff = if dirty { output(folder, &arguments, DIFF_LIMIT + 1)? } else { Vec::new() };
    let diff_truncated = diff.len() as u64 > DIFF_LIMIT;
    diff.truncate(DIFF_LIMIT as usize);
    Some((GitState { commit, dirty, diff_truncated }, diff))
}

/// The first `limit` bytes that git prints, or nothing when it fails.
fn output(folder: &Path, arguments: &[&str], limit: u64) -> Option<Vec<u8>> {
    let mut child = Command::new("git")
        .current_dir(folder)
        .args(arguments)
        // Looking must not lock the index against the user's own git.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut bytes = Vec::new();
    let read = child.stdout.take()?.take(limit).read_to_end(&mut bytes);
    // The pipe is closed by now: a git with more to say ends by that, and its exit status means nothing.
    let cut_short = bytes.len() as u64 == limit;
    let status = child.wait().ok()?;
    (read.is_ok() && (status.success() || cut_short)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn git(folder: &Path, arguments: &[&str]) {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"];
        let status =
            Command::new("git").current_dir(folder).args(identity).args(arguments).output().unwrap().status;
        assert!(status.success(), "git {arguments:?}");
    }

    fn checkout() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "one\n").unwrap();
        git(folder.path(), &["init"]);
        git(folder.path(), &["add", "."]);
        git(folder.path(), &["commit", "-m", "first"]);
        folder
    }

    #[test]
    fn a_clean_checkout_has_no_diff() {
        let folder = checkout();
        let (state, diff) = state_of(folder.path()).unwrap();
        assert_eq!((state.commit.len(), state.dirty, diff.len()), (40, false, 0));
    }

    #[test]
    fn a_change_is_in_the_diff() {
        let folder = checkout();
        fs::write(folder.path().join("file"), "two\n").unwrap();
        let (state, diff) = state_of(folder.path()).unwrap();
        assert!(state.dirty && !state.diff_truncated);
        assert!(String::from_utf8(diff).unwrap().ends_with("-one\n+two\n"));
    }

    #[test]
    fn a_huge_diff_is_cut() {
        let folder = checkout();
        fs::write(folder.path().join("file"), "a line of text\n".repeat(500_000)).unwrap();
        let (state, diff) = state_of(folder.path()).unwrap();
        assert!(state.diff_truncated);
        assert_eq!(diff.len() as u64, DIFF_LIMIT);
    }

    #[test]
    fn outside_a_checkout_there_is_no_state() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(state_of(folder.path()), None);
    }
}

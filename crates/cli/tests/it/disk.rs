//! Disks that are read-only, full or gone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::experiments::{COSINE, ENDLESS};
use crate::program::{Workplace, skip};

/// A file system in memory of its own, unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    /// Mounts it at `path`; none, with a visible note, where that is not permitted.
    fn new(path: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mount = Self(path.to_owned());
        if mount.call("mount", &["-t", "tmpfs", "-o", options, "tmpfs"]) {
            return Some(mount);
        }
        skip("mounting a file system is not permitted here");
        std::mem::forget(mount);
        None
    }

    fn remount(&self, options: &str) {
        assert!(self.call("mount", &["-o", &format!("remount,{options}")]));
    }

    fn call(&self, program: &str, arguments: &[&str]) -> bool {
        let output = Command::new(program).args(arguments).arg(&self.0).output();
        output.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a process that was killed may not be gone yet.
        self.call("umount", &["-l"]);
    }
}

#[test]
fn a_read_only_folder_is_told_before_anything_is_trained() {
    let workplace = Workplace::new(COSINE);
    let Some(_mount) = Mount::new(&workplace.artifacts(), "size=1m,ro") else { return };
    let ended = workplace.start_training(&[]).wait().expect(1);
    ended.says(&["artifacts", "Read-only file system", "--artifacts DIR", "KILN_ARTIFACTS"]);
}

#[test]
fn a_disk_that_fills_up_while_training_leaves_good_checkpoints_to_go_on_from() {
    let undisturbed = Workplace::new(COSINE).train(&["training.epochs=60"]).result();
    for size in ["size=140k", "size=180k", "size=220k"] {
        let workplace = Workplace::new(COSINE);
        let Some(mount) = Mount::new(&workplace.artifacts(), size) else { return };
        let process = workplace.start_training(&["training.epochs=60"]);
        process.wait().expect(1).says(&["no space is left", "kiln resume"]);
        let run = workplace.only_run();
        let list = workplace.run(&["runs", "list"]).expect(0);
        assert!(!list.stdout.contains("running"), "{}", list.stdout);
        mount.remount("size=64m");
        workplace.run(&["resume", run.text()]).expect(0);
        run.result().expect_same(&undisturbed);
    }
}

#[test]
fn a_disk_without_room_for_a_run_gets_none() {
    let workplace = Workplace::new(COSINE);
    let Some(_mount) = Mount::new(&workplace.artifacts(), "size=8k") else { return };
    workplace.start_training(&[]).wait().expect(1).says(&["no space is left"]);
    assert!(workplace.runs().is_empty());
}

#[test]
fn a_run_folder_that_is_deleted_while_training_ends_the_run_with_a_clear_error() {
    let workplace = Workplace::new(ENDLESS);
    let earlier = workplace.train(&["training.epochs=1"]);
    let before = earlier.snapshot();
    let process = workplace.start_training(&[]);
    let is_new = |run: &crate::run_folder::RunFolder| run.path() != earlier.path();
    let run = crate::program::wait_for("the second run", || workplace.runs().into_iter().find(is_new));
    run.wait_for_checkpoint(50);
    fs::rename(run.path(), workplace.path().join("moved")).unwrap();
    let ended = process.wait().expect(1);
    ended.says(&["error: cannot ", "its folder was removed or renamed"]);
    assert!(!run.path().exists(), "a removed run does not come back in pieces");
    earlier.expect_unchanged(&before);
    // Put back, it goes on.
    fs::rename(workplace.path().join("moved"), run.path()).unwrap();
    let last = run.checkpoints().last().copied().unwrap();
    let mut process = workplace.start(&["resume", run.text(), "--ui", "plain", "--no-report"]);
    process.wait_for_stderr(&format!("after step {last}"));
    process.signal("INT");
    process.wait().expect(130);
}

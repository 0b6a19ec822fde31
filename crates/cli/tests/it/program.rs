//! The `kiln` program with an artifacts folder of its own: started, watched, signalled, waited for.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::run_folder::RunFolder;

/// Longer than anything here takes on a loaded machine; who waits longer waits in vain.
pub(crate) const DEADLINE: Duration = Duration::from_mins(3);
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// A folder to work in, with `experiment.toml` and `artifacts/`.
pub(crate) struct Workplace {
    folder: TempDir,
    outputs: AtomicUsize,
}

/// A `kiln` that runs. Dropped, it is killed.
pub(crate) struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// A `kiln` that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Workplace {
    /// A new folder with this experiment file.
    pub(crate) fn new(experiment: &str) -> Self {
        let folder = tempfile::tempdir_in(base()).unwrap();
        fs::write(folder.path().join("experiment.toml"), experiment).unwrap();
        Self { folder, outputs: AtomicUsize::new(0) }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.path().join("artifacts")
    }

    /// `kiln` with these arguments, in this folder, with nothing of the caller's own settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        self.settle(&mut command);
        command.args(arguments);
        command
    }

    fn settle(&self, command: &mut Command) {
        without_own_settings(command);
        command.current_dir(self.path()).env("HOME", self.path()).stdin(Stdio::null());
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Process {
        self.spawn(self.command(arguments))
    }

    /// Starts `kiln` as `nohup` does: with SIGHUP ignored.
    pub(crate) fn start_without_hangup(&self, arguments: &[&str]) -> Process {
        let kiln = self.command(arguments);
        let mut shell = Command::new("sh");
        self.settle(&mut shell);
        shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(kiln.get_program()).args(kiln.get_args());
        self.spawn(shell)
    }

    fn spawn(&self, mut command: Command) -> Process {
        let number = self.outputs.fetch_add(1, Ordering::Relaxed);
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| self.path().join(format!("{name}-{number}")));
        let child = command
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        Process { child, stdout, stderr }
    }

    /// Runs `kiln` to its end, whatever that is.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).wait()
    }

    /// As [`Workplace::run`], with another working directory.
    pub(crate) fn run_in(&self, folder: &Path, arguments: &[&str]) -> Ended {
        let mut command = self.command(arguments);
        command.current_dir(folder);
        self.spawn(command).wait()
    }

    /// Trains the experiment with `overrides` to its end, without pictures and report.
    pub(crate) fn train(&self, overrides: &[&str]) -> RunFolder {
        self.train_with_report(&[&["--no-report"], overrides].concat())
    }

    /// Trains the experiment with `overrides` to its end.
    pub(crate) fn train_with_report(&self, overrides: &[&str]) -> RunFolder {
        let arguments = [&["train", "experiment.toml", "--ui", "plain"], overrides].concat();
        self.run(&arguments).expect(0).run_folder(self)
    }

    pub(crate) fn start_training(&self, overrides: &[&str]) -> Process {
        self.start(&[&["train", "experiment.toml", "--ui", "plain", "--no-report"], overrides].concat())
    }

    /// The one run that there is, once it is there.
    pub(crate) fn only_run(&self) -> RunFolder {
        wait_for("a run folder", || self.runs().pop())
    }

    pub(crate) fn runs(&self) -> Vec<RunFolder> {
        let names = fs::read_dir(self.artifacts()).into_iter().flatten();
        let runs = names.flat_map(|name| fs::read_dir(name.unwrap().path()).unwrap());
        let folders = runs.map(|run| run.unwrap().path());
        let is_whole = |folder: &PathBuf| !folder.file_name().unwrap().to_string_lossy().starts_with('.');
        folders.filter(is_whole).map(RunFolder::new).collect()
    }
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        send(name, &self.id().to_string());
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until `text` stands on stderr.
    pub(crate) fn wait_for_stderr(&mut self, text: &str) {
        wait_for(text, || {
            let is_running = self.is_running();
            let stderr = self.stderr();
            assert!(is_running || stderr.contains(text), "ended without {text:?}: {stderr}");
            stderr.contains(text).then_some(())
        });
    }

    /// Waits for the end; past the deadline the process is killed and the test fails.
    pub(crate) fn wait(mut self) -> Ended {
        let status = wait_for("the end of the process", || self.child.try_wait().unwrap());
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let (stdout, stderr) = (read(&self.stdout), read(&self.stderr));
        Ended { status, stdout, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended, and been waited for, long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Holds the exit code to `code`, and stderr to the absence of a panic.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        let last = self.stderr.lines().rev().take(20).collect::<Vec<_>>();
        let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        assert_eq!(self.status.code(), Some(code), "the end of stderr:\n{last}");
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The run folder in the last line of stdout.
    #[track_caller]
    pub(crate) fn run_folder(&self, workplace: &Workplace) -> RunFolder {
        let last = self.stdout.lines().next_back().unwrap_or_else(|| panic!("nothing on stdout: {self:#?}"));
        RunFolder::new(workplace.path().join(last))
    }

    /// Holds stderr to each of `texts`.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is missing in: {}", self.stderr);
        }
        self
    }
}

/// Sends a signal, by its name without `SIG`, to the process of this id.
pub(crate) fn send(name: &str, id: &str) {
    // The shell's own `kill`: there is one in every container.
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status().unwrap();
    assert!(sent.success(), "the process is still there: nobody has waited for it");
}

/// Where workplaces are made: `TMPDIR`, or memory, as a disk that others keep busy can hold up one write for
/// a minute. What a killed process leaves behind is the same on both.
fn base() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if std::env::var_os("TMPDIR").is_none() && memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// Takes the caller's own settings for `kiln` out of a command's environment.
pub(crate) fn without_own_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KILN_") {
            command.env_remove(name);
        }
    }
}

/// Polls until `look` finds something.
///
/// # Panics
/// Past the deadline, with `what` was waited for.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {DEADLINE:?} in vain for {what}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// Says on the test's own stderr why it shows nothing here.
#[expect(clippy::print_stderr, reason = "a test that did not look must not look as if it had")]
pub(crate) fn skip(reason: &str) {
    let thread = thread::current();
    eprintln!("SKIPPED {}: {reason}", thread.name().unwrap_or_default());
}

/// The Python of `PEERS_PYTHON`, or the one on the path, where it has these packages.
pub(crate) fn python_with(packages: &str) -> Option<String> {
    let python = std::env::var("PEERS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(&python).args(["-c", &format!("import {packages}")]).output();
    if output.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    skip(&format!("no Python with {packages} (PEERS_PYTHON)"));
    None
}

/// The JSON that `text` is.
#[track_caller]
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

//! The `kiln` program with an artifacts folder of its own, and the run folders that it writes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longer than any wait on a loaded machine. A longer wait fails.
pub(crate) const DEADLINE: Duration = Duration::from_mins(10);
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// A temporary folder with `experiment.toml` and `artifacts/`.
pub(crate) struct TestFolder {
    folder: TempDir,
    outputs: AtomicUsize,
}

/// A running `kiln`. Drop kills it.
pub(crate) struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// A `kiln` process that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl TestFolder {
    /// A new folder with this experiment file.
    pub(crate) fn new(experiment: &str) -> Self {
        let folder = tempfile::tempdir_in(base()).unwrap();
        fs::write(folder.path().join("experiment.toml"), experiment).unwrap();
        Self { folder, outputs: AtomicUsize::new(0) }
    }

    /// A new folder with this experiment file and this `study.toml`.
    pub(crate) fn with_study(experiment: &str, study: &str) -> Self {
        let test_folder = Self::new(experiment);
        fs::write(test_folder.path().join("study.toml"), study).unwrap();
        test_folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.path().join("artifacts")
    }

    /// `kiln` with these arguments in this folder, without the `KILN_` variables and the home folder of the caller.
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

    /// Runs `kiln` until it ends, with any exit code.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).wait()
    }

    /// Runs the study of `study.toml` until it ends, with lines on stderr.
    pub(crate) fn run_study(&self, arguments: &[&str]) -> Ended {
        self.run(&[&["study", "study.toml", "--ui", "plain"], arguments].concat())
    }

    /// Like [`TestFolder::run`], in another working directory.
    pub(crate) fn run_in(&self, folder: &Path, arguments: &[&str]) -> Ended {
        let mut command = self.command(arguments);
        command.current_dir(folder);
        self.spawn(command).wait()
    }

    /// Trains the experiment with `overrides` until it ends, without plots and report.
    pub(crate) fn train(&self, overrides: &[&str]) -> RunFolder {
        self.train_with_report(&[&["--no-report"], overrides].concat())
    }

    /// Trains the experiment with `overrides` until it ends.
    pub(crate) fn train_with_report(&self, overrides: &[&str]) -> RunFolder {
        let arguments = [&["train", "experiment.toml", "--ui", "plain"], overrides].concat();
        self.run(&arguments).expect(0).run_folder(self)
    }

    pub(crate) fn start_training(&self, overrides: &[&str]) -> Process {
        self.start(&[&["train", "experiment.toml", "--ui", "plain", "--no-report"], overrides].concat())
    }

    /// Waits for a run folder to appear, and returns it.
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

    /// Waits until stderr contains `text`.
    pub(crate) fn wait_for_stderr(&mut self, text: &str) {
        wait_for(text, || {
            let is_running = self.is_running();
            let stderr = self.stderr();
            assert!(is_running || stderr.contains(text), "ended without {text:?}: {stderr}");
            stderr.contains(text).then_some(())
        });
    }

    /// Waits for the end. Past the deadline, kills the process and fails the test.
    pub(crate) fn wait(mut self) -> Ended {
        let status = wait_for("the end of the process", || self.child.try_wait().unwrap());
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let (stdout, stderr) = (read(&self.stdout), read(&self.stderr));
        Ended { status, stdout, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Best-effort: the process may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Checks that the exit code is `code`, and that stderr shows no panic.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        let last = self.stderr.lines().rev().take(20).collect::<Vec<_>>();
        let last = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        assert_eq!(self.status.code(), Some(code), "the end of stderr:\n{last}");
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The run folder that the last line of stdout names.
    #[track_caller]
    pub(crate) fn run_folder(&self, test_folder: &TestFolder) -> RunFolder {
        let last = self.stdout.lines().next_back().unwrap_or_else(|| panic!("nothing on stdout: {self:#?}"));
        RunFolder::new(test_folder.path().join(last))
    }

    /// Checks that stderr contains each of `texts`.
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
    // The `kill` of the shell exists in every container.
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status().unwrap();
    assert!(sent.success(), "the process still exists: nothing has waited for it");
}

/// The parent of test folders: `TMPDIR`, or memory, because a busy disk can delay one write for a minute. A killed process
/// leaves the same files on both.
fn base() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if std::env::var_os("TMPDIR").is_none() && memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// Removes the caller's `KILN_` variables from the environment of a command.
pub(crate) fn without_own_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KILN_") {
            command.env_remove(name);
        }
    }
}

/// Polls until `look` returns a value. Panics past the deadline.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {DEADLINE:?} for {what}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// Prints on the test's stderr why the test is skipped here.
#[expect(clippy::print_stderr, reason = "a skipped test must not pass silently")]
pub(crate) fn skip(reason: &str) {
    let thread = thread::current();
    eprintln!("SKIPPED {}: {reason}", thread.name().unwrap_or_default());
}

/// The Python of `PEERS_PYTHON`, or the one on the path, if it has these packages. Otherwise skips.
pub(crate) fn python_with(packages: &str) -> Option<String> {
    let python = std::env::var("PEERS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(&python).args(["-c", &format!("import {packages}")]).output();
    if output.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    skip(&format!("no Python with {packages} (PEERS_PYTHON)"));
    None
}

/// Parses `text` as JSON.
#[track_caller]
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A run folder on disk. These methods change nothing in it.
#[derive(Clone, Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
}

/// The part of a run that must be the same however often it was stopped and resumed.
#[derive(Debug, PartialEq)]
pub(crate) struct RunResult {
    weights_sha256: String,
    metrics: String,
    metrics_csv: String,
    /// State, stop reason, epochs, steps, best and test figures.
    status: BTreeMap<&'static str, Value>,
    best: String,
    last: String,
    /// Files left by interrupted writes: there must be none.
    leftovers: Vec<PathBuf>,
    /// Weights and optimizer state of the last checkpoint.
    checkpoint: BTreeMap<&'static str, Vec<u8>>,
}

impl RunFolder {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path as an argument.
    pub(crate) fn text(&self) -> &str {
        self.path.to_str().unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.read("status.json")).unwrap()
    }

    #[track_caller]
    pub(crate) fn expect_state(&self, state: &str) {
        assert_eq!(self.status()["state"], state, "{:#}", self.status());
    }

    /// The steps that have a checkpoint, oldest first.
    pub(crate) fn checkpoints(&self) -> Vec<u64> {
        let entries = fs::read_dir(self.file("checkpoints")).into_iter().flatten();
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut steps: Vec<u64> =
            names.filter_map(|name| name.strip_prefix("step-").and_then(|step| step.parse().ok())).collect();
        steps.sort_unstable();
        steps
    }

    /// Waits until there is a checkpoint of `step` or later.
    pub(crate) fn wait_for_checkpoint(&self, step: u64) {
        wait_for(&format!("a checkpoint of step {step}"), || {
            self.checkpoints().last().is_some_and(|&last| last >= step).then_some(())
        });
    }

    /// Weights and optimizer state of the last checkpoint.
    #[track_caller]
    pub(crate) fn weights_and_moments(&self) -> BTreeMap<&'static str, Vec<u8>> {
        let last = self.read("checkpoints/last");
        let folder = self.file("checkpoints").join(last.trim_end());
        let files = ["model.safetensors", "optimizer.safetensors"];
        files.into_iter().map(|name| (name, fs::read(folder.join(name)).unwrap())).collect()
    }

    #[track_caller]
    pub(crate) fn result(&self) -> RunResult {
        let status = self.status();
        let kept = ["state", "stop_reason", "epoch", "epochs", "step", "steps", "best", "test"];
        RunResult {
            weights_sha256: status["weights_sha256"]
                .as_str()
                .unwrap_or_else(|| panic!("{status:#}"))
                .to_owned(),
            metrics: self.read("metrics.jsonl"),
            metrics_csv: self.read("metrics.csv"),
            status: kept.into_iter().map(|key| (key, status[key].clone())).collect(),
            best: self.read("checkpoints/best"),
            last: self.read("checkpoints/last"),
            leftovers: self.leftovers(),
            checkpoint: self.weights_and_moments(),
        }
    }

    /// Files and folders whose names begin with a dot.
    fn leftovers(&self) -> Vec<PathBuf> {
        let folders = [self.path.clone(), self.file("checkpoints")];
        let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with('.')).collect()
    }

    /// Every file with its content, to compare the folder with later. Without the lock file, whose content is only a note
    /// for other processes.
    pub(crate) fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect_files(&self.path, &mut files);
        files.remove(&self.file("lock"));
        files
    }

    /// Checks that the folder equals a snapshot of it.
    #[track_caller]
    pub(crate) fn expect_unchanged(&self, before: &BTreeMap<PathBuf, Vec<u8>>) {
        let now = self.snapshot();
        let mut names: Vec<&PathBuf> = before.keys().chain(now.keys()).collect();
        names.retain(|name| before.get(*name) != now.get(*name));
        assert!(names.is_empty(), "changed: {names:?}");
    }
}

impl RunResult {
    /// Compares in an order that gives the clearest message first.
    #[track_caller]
    pub(crate) fn expect_same(&self, other: &Self) {
        assert_eq!(self.metrics, other.metrics);
        assert_eq!(self.status, other.status);
        assert_eq!(self.weights_sha256, other.weights_sha256);
        assert_eq!((&self.best, &self.last), (&other.best, &other.last));
        assert!(self.leftovers.is_empty(), "{:?}", self.leftovers);
        assert!(self.checkpoint == other.checkpoint, "the last checkpoint's files differ");
        assert!(self == other, "{self:#?}\n{other:#?}");
    }

    pub(crate) fn weights(&self) -> &str {
        &self.weights_sha256
    }

    pub(crate) fn metrics(&self) -> &str {
        &self.metrics
    }
}

fn collect_files(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_files(&path, files);
        } else {
            let content = fs::read(&path).unwrap();
            files.insert(path, content);
        }
    }
}

/// Random numbers from a fixed seed: SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number in [0, 1).
    pub(crate) fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

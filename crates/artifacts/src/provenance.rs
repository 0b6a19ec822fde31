//! `run.json`: the program, source, machine, data and processes that a run came from.

use std::{
    env, fs,
    io::Read as _,
    path::Path,
    process::{self, Command, Stdio},
    sync::OnceLock,
    thread,
};

use jiff::Timestamp;
use kiln_files::json_text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ArtifactError, Run, error::read_json, replace_file, status::now};

/// Maximum length of a diff in bytes. Changes of source code are far smaller; changes of data may be larger.
const DIFF_LIMIT: u64 = 4 * 1024 * 1024;

/// The content of `run.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// The versions of the program that started the run.
    pub build: Build,
    /// The git checkout that the run was started in, if any. Its changes are in `git.diff`.
    pub git: Option<GitState>,
    /// The machine that the run was started on.
    pub machine: Machine,
    /// The backend's name.
    pub backend: String,
    /// The name of the GPU or adapter.
    pub adapter: Option<String>,
    /// Number of computing threads.
    pub threads: usize,
    /// The data set.
    pub dataset: DatasetProvenance,
    /// The seed of every random stream.
    pub seed: u64,
    /// The processes that trained the run, in order.
    pub sessions: Vec<TrainingSession>,
    /// The changes that [`Provenance::write`] writes to `git.diff`.
    #[serde(skip)]
    diff: Vec<u8>,
}

/// The part of the provenance that the caller of [`Provenance::collect`] knows.
#[derive(Clone, Debug)]
pub struct ProvenanceInputs {
    /// The versions that the program was built with.
    pub build: Build,
    /// The backend's name, such as `flex`.
    pub backend: String,
    /// The name of the GPU or adapter, if there is one.
    pub adapter: Option<String>,
    /// Number of computing threads.
    pub threads: usize,
    /// The data set.
    pub dataset: DatasetProvenance,
    /// The seed of every random stream.
    pub seed: u64,
}

/// A process that trained the run: the first one started it, the others resumed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrainingSession {
    /// When it started or resumed the run.
    #[schemars(with = "String")]
    pub started: Timestamp,
    /// Its command line.
    pub command_line: Vec<String>,
    /// Its machine's name.
    pub hostname: String,
    /// Its process id.
    pub pid: u32,
    /// The versions that it was built with.
    pub build: Build,
}

/// The versions that the program was built with; the caller compiles them in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Build {
    /// Kiln's version.
    pub kiln: String,
    /// Burn's version.
    pub burn: String,
    /// The compiler's version.
    pub rustc: String,
    /// SHA-256 of `Cargo.lock`.
    pub cargo_lock_sha256: String,
}

/// The data set that a run was trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Dataset")]
pub struct DatasetProvenance {
    /// Its name, such as `mnist`.
    pub name: String,
    /// SHA-256 of the whole data set.
    pub sha256: String,
    /// The files of the data set; empty if it is embedded in the program.
    #[serde(default)]
    pub files: Vec<DataFile>,
}

/// A file of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DataFile {
    /// Its name, or its path below the data set's folder.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// The state of a git checkout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GitState {
    /// The full hash of the commit.
    pub commit: String,
    /// Whether files differ from the commit, or are unknown to git.
    pub dirty: bool,
    /// Whether `git.diff` was cut off at 4 MiB.
    #[serde(default)]
    pub diff_truncated: bool,
}

/// A machine. Values that the system does not provide are null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Its network name.
    pub hostname: String,
    /// The processor, such as `AMD EPYC 7763 64-Core Processor`.
    pub cpu: Option<String>,
    /// Processors that this process may use, including hyper-threads.
    pub cores: Option<usize>,
    /// Main memory in bytes.
    pub memory_bytes: Option<u64>,
    /// The operating system, such as `Debian GNU/Linux 13 (trixie)`, or `linux`.
    pub os: String,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// The processor's architecture, such as `x86_64`.
    pub architecture: String,
}

impl Provenance {
    /// The provenance of a run that this process starts now. Runs git and reads system files, which takes some
    /// hundredths of a second.
    #[must_use]
    pub fn collect(inputs: ProvenanceInputs) -> Self {
        let (git, diff) = git_state(Path::new(".")).unzip();
        let ProvenanceInputs { build, backend, adapter, threads, dataset, seed } = inputs;
        Self {
            sessions: vec![TrainingSession::current(build.clone())],
            build,
            git,
            machine: Machine::detect(),
            backend,
            adapter,
            threads,
            dataset,
            seed,
            diff: diff.unwrap_or_default(),
        }
    }

    /// Adds a session: this process resumes the run.
    pub fn add_session(&mut self, build: Build) {
        self.sessions.push(TrainingSession::current(build));
    }

    /// Writes `run.json`, and `git.diff` if there are uncommitted changes.
    pub fn write(&self, run: &Run) -> Result<(), ArtifactError> {
        if !self.diff.is_empty() {
            replace_file(&run.git_diff(), &self.diff)?;
        }
        replace_file(&run.run_json(), &json_text(self))
    }

    /// Reads `run.json`. The diff stays in its file.
    pub fn read(run: &Run) -> Result<Self, ArtifactError> {
        read_json(&run.run_json())
    }
}

impl TrainingSession {
    fn current(build: Build) -> Self {
        Self {
            started: now(),
            command_line: env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
            hostname: hostname().to_owned(),
            pid: process::id(),
            build,
        }
    }
}

impl Machine {
    /// Reads the facts from the operating system.
    #[must_use]
    pub fn detect() -> Self {
        Self {
            hostname: hostname().to_owned(),
            cpu: line_value("/proc/cpuinfo", "model name", ':')
                .or_else(|| command("sysctl", &["-n", "machdep.cpu.brand_string"])),
            cores: thread::available_parallelism().ok().map(Into::into),
            memory_bytes: memory_bytes(),
            os: line_value("/etc/os-release", "PRETTY_NAME", '=')
                .unwrap_or_else(|| env::consts::OS.to_owned()),
            kernel: file("/proc/sys/kernel/osrelease").or_else(|| command("uname", &["-r"])),
            architecture: env::consts::ARCH.to_owned(),
        }
    }
}

/// The machine's network name, or `unknown`.
#[must_use]
pub fn hostname() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        file("/proc/sys/kernel/hostname")
            .or_else(|| command("hostname", &[]))
            .or_else(|| env::var("COMPUTERNAME").ok())
            .unwrap_or_else(|| "unknown".to_owned())
    })
}

fn memory_bytes() -> Option<u64> {
    let from_proc = line_value("/proc/meminfo", "MemTotal", ':')
        .and_then(|text| text.trim_end_matches("kB").trim().parse::<u64>().ok())
        .map(|kibibytes| kibibytes * 1024);
    from_proc.or_else(|| command("sysctl", &["-n", "hw.memsize"])?.parse().ok())
}

/// The value of the first line `key<separator>value` of a file.
fn line_value(path: &str, key: &str, separator: char) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(separator)?;
        (name.trim() == key).then_some(value)
    });
    value.and_then(non_empty)
}

fn file(path: &str) -> Option<String> {
    non_empty(&fs::read_to_string(path).ok()?)
}

fn command(program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    non_empty(&String::from_utf8(output.stdout).ok()?)
}

fn non_empty(text: &str) -> Option<String> {
    let text = text.trim().trim_matches('"');
    (!text.is_empty()).then(|| text.to_owned())
}

/// The state of the checkout that `folder` belongs to, and its uncommitted changes as a diff. `None` outside of a
/// checkout, before its first commit, or without git.
fn git_state(folder: &Path) -> Option<(GitState, Vec<u8>)> {
    let commit = String::from_utf8(output(folder, &["rev-parse", "HEAD"], 1024)?).ok()?.trim().to_owned();
    let dirty = !output(folder, &["status", "--porcelain"], 1)?.is_empty();
    let arguments = ["diff", "HEAD", "--no-color", "--no-ext-diff"];
    let mut diff = if dirty { output(folder, &arguments, DIFF_LIMIT + 1)? } else { Vec::new() };
    let diff_truncated = diff.len() as u64 > DIFF_LIMIT;
    diff.truncate(DIFF_LIMIT as usize);
    Some((GitState { commit, dirty, diff_truncated }, diff))
}

/// The first `limit` bytes of git's output, or `None` if git fails.
fn output(folder: &Path, arguments: &[&str], limit: u64) -> Option<Vec<u8>> {
    let mut child = Command::new("git")
        .current_dir(folder)
        .args(arguments)
        // The status must not lock the index against the user's own git.
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut bytes = Vec::new();
    let read = child.stdout.take()?.take(limit).read_to_end(&mut bytes);
    // The pipe is closed now. If the output was longer, this ends git, and its exit status means nothing.
    let cut_short = bytes.len() as u64 == limit;
    let status = child.wait().ok()?;
    (read.is_ok() && (status.success() || cut_short)).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_run::TestRun;

    fn build() -> Build {
        let version = "0.1.0".to_owned();
        let cargo_lock_sha256 = "ab".repeat(32);
        Build { kiln: version.clone(), burn: version.clone(), rustc: version, cargo_lock_sha256 }
    }

    fn inputs() -> ProvenanceInputs {
        let file = DataFile { name: "train.csv".to_owned(), bytes: 3, sha256: "cd".repeat(32) };
        let dataset =
            DatasetProvenance { name: "digits".to_owned(), sha256: "ef".repeat(32), files: vec![file] };
        ProvenanceInputs {
            build: build(),
            backend: "flex".to_owned(),
            adapter: None,
            threads: 2,
            dataset,
            seed: 42,
        }
    }

    #[test]
    fn the_provenance_reads_back_and_counts_sessions() {
        let run = TestRun::new();
        let provenance = Provenance { diff: Vec::new(), ..Provenance::collect(inputs()) };
        provenance.write(&run).unwrap();
        let mut read = run.provenance().unwrap();
        assert_eq!(read, provenance);
        read.add_session(build());
        read.write(&run).unwrap();
        let sessions = run.provenance().unwrap().sessions;
        assert_eq!((sessions.len(), sessions[1].pid), (2, process::id()));
        assert!(!sessions[0].command_line.is_empty());
    }

    #[test]
    fn a_diff_has_its_own_file_and_survives_a_resume() {
        let run = TestRun::new();
        Provenance { diff: b"+ changed".to_vec(), ..Provenance::collect(inputs()) }.write(&run).unwrap();
        run.provenance().unwrap().write(&run).unwrap();
        assert_eq!(fs::read(run.git_diff()).unwrap(), b"+ changed");
        assert!(!fs::read_to_string(run.run_json()).unwrap().contains("changed"));
    }

    #[test]
    fn a_value_in_a_file_of_the_system_is_found_by_its_key() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "NAME=x\nPRETTY_NAME=\"Some OS 1\"\nmodel name\t: A CPU\nempty=\n").unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(line_value(path, "PRETTY_NAME", '='), Some("Some OS 1".to_owned()));
        assert_eq!(line_value(path, "model name", ':'), Some("A CPU".to_owned()));
        assert_eq!(line_value(path, "empty", '='), None);
        assert_eq!(line_value(path, "absent", '='), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_memory_and_the_kernel_are_found_on_linux() {
        let machine = Machine::detect();
        assert!(machine.memory_bytes.unwrap() > 64 << 20, "{machine:?}");
        assert!(machine.kernel.is_some() && machine.cores.unwrap() > 0, "{machine:?}");
    }

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
        let (state, diff) = git_state(folder.path()).unwrap();
        assert_eq!((state.commit.len(), state.dirty, diff.len()), (40, false, 0));
    }

    #[test]
    fn a_change_is_in_the_diff() {
        let folder = checkout();
        fs::write(folder.path().join("file"), "two\n").unwrap();
        let (state, diff) = git_state(folder.path()).unwrap();
        assert!(state.dirty && !state.diff_truncated);
        assert!(String::from_utf8(diff).unwrap().ends_with("-one\n+two\n"));
    }

    #[test]
    fn a_huge_diff_is_cut_off() {
        let folder = checkout();
        fs::write(folder.path().join("file"), "a line of text\n".repeat(500_000)).unwrap();
        let (state, diff) = git_state(folder.path()).unwrap();
        assert!(state.diff_truncated);
        assert_eq!(diff.len() as u64, DIFF_LIMIT);
    }

    #[test]
    fn outside_of_a_checkout_there_is_no_git_state() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(git_state(folder.path()), None);
    }
}

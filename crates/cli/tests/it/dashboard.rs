//! Burn's dashboard in a terminal: while `kiln train` runs, and with `kiln watch`.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::program::{Process, RunFolder, TestFolder, skip, wait_for, without_own_settings};
use crate::{COSINE, ENDLESS};

/// The number of terminals opened so far.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A shell in a tmux terminal of a given size. Its variable `$PROGRAM` is the path of `kiln`.
struct Terminal {
    socket: PathBuf,
    columns: usize,
}

impl Terminal {
    /// Opens a terminal in the test folder. Skips if tmux is not installed.
    fn open(test_folder: &TestFolder, columns: usize, rows: usize) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            skip("tmux is not installed");
            return None;
        }
        // A tmux server that is about to exit still answers on its socket, so each terminal gets its own socket.
        let socket = format!("tmux-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let terminal = Self { socket: test_folder.path().join(socket), columns };
        let variables = [
            format!("PROGRAM={}", env!("CARGO_BIN_EXE_kiln")),
            format!("HOME={}", test_folder.path().display()),
        ];
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut arguments = vec!["new-session", "-d", "-x", &columns, "-y", &rows];
        arguments.extend(["-c", test_folder.path().to_str().unwrap()]);
        arguments.extend(variables.iter().flat_map(|variable| ["-e", variable]));
        arguments.push("sh");
        terminal.tmux(&arguments);
        // Written in two parts, so that the echo of this line does not count as the prompt.
        terminal.enter("PS1='rea''dy> '");
        terminal.wait_for("ready>");
        Some(terminal)
    }

    /// Types a line and presses Enter.
    fn enter(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.press("Enter");
    }

    /// Starts `kiln` with these arguments. [`Terminal::wait_for_exit`] checks its exit code.
    fn start(&self, arguments: &str) {
        self.enter(&format!("clear; \"$PROGRAM\" {arguments}; echo \"left with $?.\""));
    }

    /// Waits until the started program has exited with this code. Returns the screen that it leaves.
    #[track_caller]
    fn wait_for_exit(&self, code: i32) -> String {
        let screen =
            self.wait_for_any(&(0..=255).map(|code| format!("left with {code}.")).collect::<Vec<_>>());
        assert!(screen.contains(&format!("left with {code}.")), "{screen}");
        assert!(!screen.contains("panicked"), "{screen}");
        screen
    }

    /// Presses a key, such as `q`, `Enter` or `C-c`.
    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// The visible text, with wrapped lines joined.
    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J"])
    }

    #[track_caller]
    fn wait_for(&self, text: &str) -> String {
        self.wait_for_any(&[text.to_owned()])
    }

    #[track_caller]
    fn wait_for_any(&self, texts: &[String]) -> String {
        let mut last = String::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for("the screen", || {
                last = self.screen();
                texts.iter().any(|text| last.contains(text)).then_some(())
            });
        }));
        assert!(found.is_ok(), "{} did not appear; the screen shows:\n{last}", texts[0]);
        last
    }

    /// Checks that the terminal is in the state that a shell needs.
    #[track_caller]
    fn expect_restored(&self) {
        let format = "#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{mouse_sgr_flag}";
        let state = self.tmux(&["display-message", "-p", format]);
        assert_eq!(state.trim(), "0 1 0 0", "alternate screen, cursor, mouse, mouse in SGR");
        self.enter("clear; stty -a");
        let settings = self.wait_for(" echo ");
        for setting in ["icanon", "isig", "opost", "icrnl"] {
            assert!(settings.split_whitespace().any(|word| word == setting), "{setting} is off: {settings}");
        }
    }

    /// Checks that the screen shows Burn's dashboard, complete and intact. A capture can fall into the drawing of a frame, so one
    /// intact capture of several is enough.
    #[track_caller]
    fn expect_dashboard(&self) {
        const LOOKS: usize = 5;
        let faults: Vec<String> =
            (0..LOOKS).map_while(|_| self.fault_of_dashboard(&self.wait_for("Progress"))).collect();
        assert!(faults.len() < LOOKS, "{}", faults.join("\n\n"));
    }

    fn fault_of_dashboard(&self, screen: &str) -> Option<String> {
        for title in ["Controls", "Plots", "Metrics", "Status", "Progress", "Loss", "Accuracy"] {
            if !screen.contains(title) {
                return Some(format!("{title} is missing:\n{screen}"));
            }
        }
        for line in screen.lines().filter(|line| !line.is_empty()) {
            if line.chars().count() != self.columns {
                return Some(format!("not the full width: {line:?}\n{screen}"));
            }
            let ends = [line.chars().next(), line.chars().last()];
            if !ends.iter().flatten().all(|end| "┌┐└┘│".contains(*end)) {
                return Some(format!("a broken frame: {line:?}\n{screen}"));
            }
        }
        let count = |corner: char| screen.matches(corner).count();
        let corners = ['┌', '┐', '└', '┘'].map(count);
        // Plot legends have frames of their own, and the axes of a plot meet in one more corner.
        let whole = [corners[0], corners[1], corners[3]] == [corners[0]; 3];
        (!whole).then(|| format!("corners that do not match:\n{screen}"))
    }

    #[track_caller]
    fn tmux(&self, arguments: &[&str]) -> String {
        // `-f`: ignore the user's tmux settings.
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(["-f", "/dev/null"]).args(arguments).env_remove("TMUX");
        without_own_settings(&mut command);
        let Output { status, stdout, stderr } = command.output().unwrap();
        assert!(status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8_lossy(&stdout).into_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        // Best-effort: the server may be gone. The shell and its programs end with the server.
        let _ = command.arg("-S").arg(&self.socket).arg("kill-server").env_remove("TMUX").output();
    }
}

const TRAIN: &str = "train experiment.toml --ui tui";

#[test]
fn the_dashboard_fits_a_small_and_a_large_window() {
    for (columns, rows) in [(80, 24), (200, 60)] {
        let test_folder = TestFolder::new(ENDLESS);
        let Some(terminal) = Terminal::open(&test_folder, columns, rows) else { return };
        terminal.start(TRAIN);
        test_folder.only_run().wait_for_checkpoint(100);
        terminal.wait_for("Valid epoch");
        terminal.expect_dashboard();
        terminal.press("C-c");
        terminal.wait_for_exit(130);
    }
}

#[test]
fn ctrl_c_stops_the_run_and_gives_the_terminal_back() {
    stopped_with(&["C-c"]);
}

#[test]
fn ctrl_z_does_not_hand_the_screen_to_the_shell_and_the_best_epoch_is_named() {
    let test_folder = TestFolder::new(ENDLESS);
    let Some(terminal) = Terminal::open(&test_folder, 120, 40) else { return };
    let run = start_and_press(&test_folder, &terminal, &["C-z"]);
    terminal.wait_for(" - best ");
    let last = run.checkpoints().last().copied().unwrap();
    run.wait_for_checkpoint(last + 1);
    terminal.expect_dashboard();
    terminal.press("C-c");
    terminal.wait_for_exit(130);
    terminal.expect_restored();
}

#[test]
fn the_stop_key_of_the_dashboard_does_the_same_as_ctrl_c() {
    stopped_with(&["q", "s"]);
}

fn stopped_with(keys: &[&str]) {
    let test_folder = TestFolder::new(ENDLESS);
    let Some(terminal) = Terminal::open(&test_folder, 100, 30) else { return };
    let run = start_and_press(&test_folder, &terminal, keys);
    let screen = terminal.wait_for_exit(130);
    assert!(screen.contains("`kiln resume"), "{screen}");
    terminal.expect_restored();
    run.expect_state("interrupted");
    assert_eq!(run.status()["stop_reason"], "ctrl_c");
    expect_same_as_undisturbed(&test_folder, &run);
}

fn start_and_press(test_folder: &TestFolder, terminal: &Terminal, keys: &[&str]) -> RunFolder {
    terminal.start(TRAIN);
    let run = test_folder.only_run();
    run.wait_for_checkpoint(41);
    terminal.wait_for("Progress");
    for key in keys {
        terminal.press(key);
        if *key == "q" {
            terminal.wait_for("[k] Stop the training immediately.");
        }
    }
    run
}

/// Resumes the run, stops it again some steps later, and compares it with a run that never stopped.
fn expect_same_as_undisturbed(test_folder: &TestFolder, run: &RunFolder) {
    let first = run.checkpoints().last().copied().unwrap();
    let process = test_folder.start(&["resume", run.text(), "--ui", "plain", "--no-report"]);
    run.wait_for_checkpoint(first + 100);
    process.signal("INT");
    process.wait().expect(130);
    let last = run.checkpoints().last().copied().unwrap();
    let reference = TestFolder::new(ENDLESS);
    let undisturbed = reference.train(&[&format!("training.max_steps={last}")]);
    assert_eq!(run.weights_and_moments(), undisturbed.weights_and_moments());
    let (metrics, expected) = (run.read("metrics.jsonl"), undisturbed.read("metrics.jsonl"));
    assert!(expected.starts_with(&metrics), "the logs differ");
}

#[test]
fn the_kill_key_of_the_dashboard_ends_training_at_once_with_a_message_and_restores_the_terminal() {
    let test_folder = TestFolder::new(ENDLESS);
    // Narrow enough for the message to wrap: earlier output of Burn must not show below it.
    let Some(terminal) = Terminal::open(&test_folder, 80, 24) else { return };
    let run = start_and_press(&test_folder, &terminal, &["q", "k"]);
    let screen = terminal.wait_for_exit(130);
    let message =
        "training was killed from the dashboard; `kiln resume` continues from the last checkpoint\n";
    assert!(screen.contains(message), "{screen}");
    terminal.expect_restored();
    run.expect_state("interrupted");
    expect_same_as_undisturbed(&test_folder, &run);
}

#[test]
fn the_dashboard_closes_when_training_is_done() {
    let test_folder = TestFolder::new(COSINE);
    let Some(terminal) = Terminal::open(&test_folder, 100, 30) else { return };
    terminal.start(TRAIN);
    let screen = terminal.wait_for_exit(0);
    assert!(screen.contains("test loss"), "{screen}");
    terminal.expect_restored();
    let run = test_folder.only_run();
    run.result().expect_same(&TestFolder::new(COSINE).train(&[]).result());
}

#[test]
fn the_dashboard_restores_the_terminal_and_shows_the_error_there() {
    let test_folder = TestFolder::new(COSINE);
    let Some(terminal) = Terminal::open(&test_folder, 100, 30) else { return };
    terminal.start(&format!("{TRAIN} 'optimizer.name=\"sgd\"' optimizer.lr=1e9"));
    let screen = terminal.wait_for_exit(1);
    assert!(screen.contains("error: ") && screen.contains("optimizer.lr"), "{screen}");
    terminal.expect_restored();
    test_folder.only_run().expect_state("failed");
}

#[test]
fn the_dashboard_needs_a_terminal() {
    let test_folder = TestFolder::new(COSINE);
    test_folder
        .run(&["train", "experiment.toml", "--ui", "tui"])
        .expect(2)
        .says(&["needs a terminal", "--ui plain"]);
    assert!(test_folder.runs().is_empty(), "refused before anything is made");
}

/// A training that is paused with SIGSTOP: it counts as running, and leaves the processor to the watcher.
fn paused(test_folder: &TestFolder) -> (Process, RunFolder) {
    let process = test_folder.start_training(&[]);
    let run = test_folder.only_run();
    run.wait_for_checkpoint(100);
    process.signal("STOP");
    // The signal needs a moment to reach every thread.
    wait_for("the run to stand still", || {
        thread::sleep(Duration::from_millis(100));
        let before = run.snapshot();
        thread::sleep(Duration::from_millis(50));
        (run.snapshot() == before).then_some(())
    });
    (process, run)
}

/// Checks that a paused training continues in spite of its watchers, and stops it.
fn expect_continues(mut process: Process, run: &RunFolder) {
    assert!(process.is_running());
    run.expect_state("running");
    let last = run.checkpoints().last().copied().unwrap();
    process.signal("CONT");
    run.wait_for_checkpoint(last + 1);
    process.signal("INT");
    process.wait().expect(130);
}

#[test]
fn a_watching_dashboard_shows_the_run_of_another_process_and_changes_nothing() {
    let test_folder = TestFolder::new(ENDLESS);
    let (process, run) = paused(&test_folder);
    let before = run.snapshot();
    for (columns, rows) in [(80, 24), (200, 60)] {
        let Some(terminal) = Terminal::open(&test_folder, columns, rows) else { return };
        terminal.start("watch");
        terminal.wait_for("Valid ");
        terminal.expect_dashboard();
        terminal.press("C-c");
        terminal.wait_for_exit(0);
        terminal.expect_restored();
    }
    run.expect_unchanged(&before);
    expect_continues(process, &run);
}

#[test]
fn the_keys_of_a_watching_dashboard_do_not_stop_the_training() {
    let test_folder = TestFolder::new(ENDLESS);
    let (process, run) = paused(&test_folder);
    for key in ["s", "k"] {
        let Some(terminal) = Terminal::open(&test_folder, 100, 30) else { return };
        terminal.start("watch");
        terminal.wait_for("Valid ");
        terminal.press("q");
        terminal.wait_for("[k] Stop the training immediately.");
        terminal.press(key);
        terminal.wait_for_exit(0);
        terminal.expect_restored();
    }
    expect_continues(process, &run);
}

#[test]
fn a_watching_dashboard_shows_a_finished_run_until_the_user_closes_it() {
    let test_folder = TestFolder::new(COSINE);
    let run = test_folder.train(&[]);
    let before = run.snapshot();
    let Some(terminal) = Terminal::open(&test_folder, 100, 30) else { return };
    terminal.start("watch latest");
    terminal.wait_for("Status: finished, q s: leave");
    terminal.wait_for("Evaluation");
    let screen = terminal.wait_for("Test ");
    assert!(!screen.contains("Training is done"), "{screen}");
    let epochs = run.status()["epochs"].clone();
    assert!(
        screen.contains("Accuracy")
            && !screen.contains(&format!("{}/{epochs}", epochs.as_u64().unwrap() + 1)),
        "{screen}"
    );
    terminal.expect_dashboard();
    terminal.press("q");
    terminal.wait_for("[s] Stop the training.");
    terminal.press("s");
    terminal.wait_for_exit(0);
    terminal.expect_restored();
    run.expect_unchanged(&before);
}

#[test]
fn a_watching_dashboard_follows_a_run_to_its_end() {
    let test_folder = TestFolder::new(ENDLESS);
    let (process, run) = paused(&test_folder);
    let Some(terminal) = Terminal::open(&test_folder, 100, 30) else { return };
    terminal.start(&format!("watch {}", run.text()));
    let first = terminal.wait_for("Valid ");
    process.signal("CONT");
    wait_for("another figure", || (terminal.screen() != first).then_some(()));
    process.signal("KILL");
    process.wait();
    terminal.wait_for("Status: interrupted");
    terminal.press("C-c");
    terminal.wait_for_exit(0);
    terminal.expect_restored();
}

#[test]
fn watch_without_a_terminal_names_another_command() {
    let test_folder = TestFolder::new(COSINE);
    test_folder.train(&["training.epochs=1"]);
    test_folder.run(&["watch"]).expect(2).says(&["needs a terminal", "kiln runs show latest"]);
}

//! A terminal of a given size, played by tmux.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::program::{Workplace, skip, wait_for, without_own_settings};

/// Terminals opened so far.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A shell in a terminal; `$PROGRAM` in it is `kiln`.
pub(crate) struct Terminal {
    socket: PathBuf,
    columns: usize,
}

impl Terminal {
    /// Opens a terminal in the workplace; none, with a visible note, where there is no tmux.
    pub(crate) fn open(workplace: &Workplace, columns: usize, rows: usize) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            skip("tmux is not installed");
            return None;
        }
        // A server that is about to leave still answers on its socket: each terminal has one of its own.
        let socket = format!("tmux-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let terminal = Self { socket: workplace.path().join(socket), columns };
        let variables = [
            format!("PROGRAM={}", env!("CARGO_BIN_EXE_kiln")),
            format!("HOME={}", workplace.path().display()),
        ];
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut arguments = vec!["new-session", "-d", "-x", &columns, "-y", &rows];
        arguments.extend(["-c", workplace.path().to_str().unwrap()]);
        arguments.extend(variables.iter().flat_map(|variable| ["-e", variable]));
        arguments.push("sh");
        terminal.tmux(&arguments);
        // A shell sets its prompt itself. Written in two parts, so that the echo of the line is not taken for it.
        terminal.enter("PS1='rea''dy> '");
        terminal.wait_for("ready>");
        Some(terminal)
    }

    /// Types a line and presses Enter.
    pub(crate) fn enter(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.press("Enter");
    }

    /// Starts `kiln` with these arguments; [`Terminal::wait_for_exit`] then gives its exit code.
    pub(crate) fn start(&self, arguments: &str) {
        self.enter(&format!("clear; \"$PROGRAM\" {arguments}; echo \"left with $?.\""));
    }

    /// Waits until the program that was started has left with this exit code; gives the screen it left behind.
    #[track_caller]
    pub(crate) fn wait_for_exit(&self, code: i32) -> String {
        let screen =
            self.wait_for_any(&(0..=255).map(|code| format!("left with {code}.")).collect::<Vec<_>>());
        assert!(screen.contains(&format!("left with {code}.")), "{screen}");
        assert!(!screen.contains("panicked"), "{screen}");
        screen
    }

    /// Presses a key, such as `q`, `Enter` or `C-c`.
    pub(crate) fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// What is to be seen; lines that the terminal has wrapped are whole again.
    pub(crate) fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-J"])
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
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
        assert!(found.is_ok(), "{} did not come; the screen shows:\n{last}", texts[0]);
        last
    }

    /// Holds the terminal to the state that a shell needs.
    #[track_caller]
    pub(crate) fn expect_restored(&self) {
        let format = "#{alternate_on} #{cursor_flag} #{mouse_any_flag} #{mouse_sgr_flag}";
        let state = self.tmux(&["display-message", "-p", format]);
        assert_eq!(state.trim(), "0 1 0 0", "alternate screen, cursor, mouse, mouse in SGR");
        self.enter("clear; stty -a");
        let settings = self.wait_for(" echo ");
        for setting in ["icanon", "isig", "opost", "icrnl"] {
            assert!(settings.split_whitespace().any(|word| word == setting), "{setting} is off: {settings}");
        }
    }

    /// Holds the screen to Burn's dashboard, whole and undisturbed. A look can fall into the drawing of a frame: one of
    /// several has to be whole.
    #[track_caller]
    pub(crate) fn expect_dashboard(&self) {
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
        // The legend of a plot has a frame of its own, and its axes meet in one more corner.
        let whole = [corners[0], corners[1], corners[3]] == [corners[0]; 3];
        (!whole).then(|| format!("corners that do not match:\n{screen}"))
    }

    #[track_caller]
    fn tmux(&self, arguments: &[&str]) -> String {
        // `-f`: not with the user's own settings.
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
        // The server may be gone; the shell and what runs in it go with it.
        let _ = command.arg("-S").arg(&self.socket).arg("kill-server").env_remove("TMUX").output();
    }
}

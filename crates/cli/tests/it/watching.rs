//! `kiln watch`: the dashboard of a run that another process trains, or that has ended.

use std::thread;
use std::time::Duration;

use crate::experiments::{COSINE, ENDLESS};
use crate::program::{Process, Workplace, wait_for};
use crate::run_folder::RunFolder;
use crate::terminal::Terminal;

/// A training that is held in the middle: it goes on being trained, and leaves the processor to the watcher.
fn held(workplace: &Workplace) -> (Process, RunFolder) {
    let process = workplace.start_training(&[]);
    let run = workplace.only_run();
    run.wait_for_checkpoint(100);
    process.signal("STOP");
    // The signal takes a moment to reach every thread.
    wait_for("the run to stand still", || {
        thread::sleep(Duration::from_millis(100));
        let before = run.snapshot();
        thread::sleep(Duration::from_millis(50));
        (run.snapshot() == before).then_some(())
    });
    (process, run)
}

/// Holds a training to having gone on in spite of its watchers.
fn goes_on(mut process: Process, run: &RunFolder) {
    assert!(process.is_running());
    run.expect_state("running");
    let last = run.checkpoints().last().copied().unwrap();
    process.signal("CONT");
    run.wait_for_checkpoint(last + 1);
    process.signal("INT");
    process.wait().expect(130);
}

#[test]
fn shows_a_run_that_another_process_trains_and_does_not_touch_it() {
    let workplace = Workplace::new(ENDLESS);
    let (process, run) = held(&workplace);
    let before = run.snapshot();
    for (columns, rows) in [(80, 24), (200, 60)] {
        let Some(terminal) = Terminal::open(&workplace, columns, rows) else { return };
        terminal.start("watch");
        terminal.wait_for("Valid ");
        terminal.expect_dashboard();
        terminal.press("C-c");
        terminal.wait_for_exit(0);
        terminal.expect_restored();
    }
    run.expect_unchanged(&before);
    goes_on(process, &run);
}

#[test]
fn its_quit_and_kill_keys_leave_the_training_alone() {
    let workplace = Workplace::new(ENDLESS);
    let (process, run) = held(&workplace);
    for key in ["s", "k"] {
        let Some(terminal) = Terminal::open(&workplace, 100, 30) else { return };
        terminal.start("watch");
        terminal.wait_for("Valid ");
        terminal.press("q");
        terminal.wait_for("[k] Stop the training immediately.");
        terminal.press(key);
        terminal.wait_for_exit(0);
        terminal.expect_restored();
    }
    goes_on(process, &run);
}

#[test]
fn shows_a_finished_run_until_it_is_closed() {
    let workplace = Workplace::new(COSINE);
    let run = workplace.train(&[]);
    let before = run.snapshot();
    let Some(terminal) = Terminal::open(&workplace, 100, 30) else { return };
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
fn follows_a_run_to_its_end() {
    let workplace = Workplace::new(ENDLESS);
    let (process, run) = held(&workplace);
    let Some(terminal) = Terminal::open(&workplace, 100, 30) else { return };
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
fn without_a_terminal_another_command_is_named() {
    let workplace = Workplace::new(COSINE);
    workplace.train(&["training.epochs=1"]);
    workplace.run(&["watch"]).expect(2).says(&["needs a terminal", "kiln runs show latest"]);
}

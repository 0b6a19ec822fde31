//! `kiln watch`: the dashboard of a run that another process trains, or that has ended.

use crate::experiments::{COSINE, ENDLESS};
use crate::program::Workplace;
use crate::terminal::Terminal;

#[test]
fn shows_a_run_that_another_process_trains_and_does_not_touch_it() {
    let workplace = Workplace::new(ENDLESS);
    let mut process = workplace.start_training(&[]);
    let run = workplace.only_run();
    run.wait_for_checkpoint(100);
    for (columns, rows) in [(80, 24), (200, 60)] {
        let Some(terminal) = Terminal::open(&workplace, columns, rows) else { return };
        terminal.start("watch");
        terminal.wait_for("Valid epoch");
        terminal.expect_dashboard();
        terminal.press("C-c");
        terminal.wait_for_exit(0);
        terminal.expect_restored();
    }
    assert!(process.is_running(), "the training goes on");
    run.expect_state("running");
    process.signal("INT");
    process.wait().expect(130);
}

#[test]
fn its_quit_and_kill_keys_leave_the_watcher_alone() {
    let workplace = Workplace::new(ENDLESS);
    let mut process = workplace.start_training(&[]);
    workplace.only_run().wait_for_checkpoint(100);
    for key in ["s", "k"] {
        let Some(terminal) = Terminal::open(&workplace, 100, 30) else { return };
        terminal.start("watch");
        terminal.wait_for("Valid epoch");
        terminal.press("q");
        terminal.wait_for("[k] Stop the training immediately.");
        terminal.press(key);
        terminal.wait_for_exit(0);
        terminal.expect_restored();
        assert!(process.is_running(), "the training goes on");
    }
    process.signal("INT");
    process.wait().expect(130);
}

#[test]
fn shows_a_finished_run_until_it_is_closed() {
    let workplace = Workplace::new(COSINE);
    let run = workplace.train(&[]);
    let before = run.snapshot();
    let Some(terminal) = Terminal::open(&workplace, 100, 30) else { return };
    terminal.start("watch latest");
    terminal.wait_for("Training is done");
    terminal.press("x");
    terminal.wait_for("Controls");
    terminal.expect_dashboard();
    terminal.press("q");
    terminal.wait_for_exit(0);
    terminal.expect_restored();
    run.expect_unchanged(&before);
}

#[test]
fn follows_a_run_to_its_end() {
    let workplace = Workplace::new(ENDLESS);
    let process = workplace.start_training(&[]);
    let run = workplace.only_run();
    run.wait_for_checkpoint(100);
    let Some(terminal) = Terminal::open(&workplace, 100, 30) else { return };
    terminal.start(&format!("watch {}", run.text()));
    terminal.wait_for("Valid epoch");
    process.signal("KILL");
    process.wait();
    terminal.wait_for("Training is done");
    terminal.press("x");
    terminal.wait_for("Controls");
    terminal.press("q");
    terminal.wait_for_exit(0);
    terminal.expect_restored();
}

#[test]
fn without_a_terminal_another_command_is_named() {
    let workplace = Workplace::new(COSINE);
    workplace.train(&["training.epochs=1"]);
    workplace.run(&["watch"]).expect(2).says(&["needs a terminal", "kiln runs show latest"]);
}

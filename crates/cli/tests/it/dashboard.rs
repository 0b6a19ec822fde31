//! Burn's dashboard: what it shows, how it is left, and what it leaves behind.

use crate::experiments::{COSINE, ENDLESS};
use crate::program::Workplace;
use crate::run_folder::RunFolder;
use crate::terminal::Terminal;

const TRAIN: &str = "train experiment.toml --ui tui";

#[test]
fn fits_a_small_and_a_large_window() {
    for (columns, rows) in [(80, 24), (200, 60)] {
        let workplace = Workplace::new(ENDLESS);
        let Some(terminal) = Terminal::open(&workplace, columns, rows) else { return };
        terminal.start(TRAIN);
        workplace.only_run().wait_for_checkpoint(100);
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
    let workplace = Workplace::new(ENDLESS);
    let Some(terminal) = Terminal::open(&workplace, 120, 40) else { return };
    let run = start_and_press(&workplace, &terminal, &["C-z"]);
    terminal.wait_for(" - best ");
    let last = run.checkpoints().last().copied().unwrap();
    run.wait_for_checkpoint(last + 1);
    terminal.expect_dashboard();
    terminal.press("C-c");
    terminal.wait_for_exit(130);
    terminal.expect_restored();
}

#[test]
fn its_stop_key_is_as_good_as_ctrl_c() {
    stopped_with(&["q", "s"]);
}

fn stopped_with(keys: &[&str]) {
    let workplace = Workplace::new(ENDLESS);
    let Some(terminal) = Terminal::open(&workplace, 100, 30) else { return };
    let run = start_and_press(&workplace, &terminal, keys);
    let screen = terminal.wait_for_exit(130);
    assert!(screen.contains("`kiln resume"), "{screen}");
    terminal.expect_restored();
    run.expect_state("interrupted");
    assert_eq!(run.status()["stop_reason"], "ctrl_c");
    goes_on_as_if_undisturbed(&workplace, &run);
}

fn start_and_press(workplace: &Workplace, terminal: &Terminal, keys: &[&str]) -> RunFolder {
    terminal.start(TRAIN);
    let run = workplace.only_run();
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

/// Resumes the run, stops it again some steps later, and holds it to one that was never stopped.
fn goes_on_as_if_undisturbed(workplace: &Workplace, run: &RunFolder) {
    let first = run.checkpoints().last().copied().unwrap();
    let process = workplace.start(&["resume", run.text(), "--ui", "plain", "--no-report"]);
    run.wait_for_checkpoint(first + 100);
    process.signal("INT");
    process.wait().expect(130);
    let last = run.checkpoints().last().copied().unwrap();
    let reference = Workplace::new(ENDLESS);
    let undisturbed = reference.train(&[&format!("training.max_steps={last}")]);
    assert_eq!(run.weights_and_moments(), undisturbed.weights_and_moments());
    let (metrics, expected) = (run.read("metrics.jsonl"), undisturbed.read("metrics.jsonl"));
    assert!(expected.starts_with(&metrics), "the logs differ");
}

#[test]
fn its_kill_key_leaves_at_once_with_a_word_and_a_terminal_that_works() {
    let workplace = Workplace::new(ENDLESS);
    // Narrow enough for the message to wrap: what Burn writes before must not show below its end.
    let Some(terminal) = Terminal::open(&workplace, 80, 24) else { return };
    let run = start_and_press(&workplace, &terminal, &["q", "k"]);
    let screen = terminal.wait_for_exit(130);
    let message = "training was killed from the dashboard; `kiln resume` goes on from the last checkpoint\n";
    assert!(screen.contains(message), "{screen}");
    terminal.expect_restored();
    run.expect_state("interrupted");
    goes_on_as_if_undisturbed(&workplace, &run);
}

#[test]
fn closes_by_itself_when_training_is_done() {
    let workplace = Workplace::new(COSINE);
    let Some(terminal) = Terminal::open(&workplace, 100, 30) else { return };
    terminal.start(TRAIN);
    let screen = terminal.wait_for_exit(0);
    assert!(screen.contains("test loss"), "{screen}");
    terminal.expect_restored();
    let run = workplace.only_run();
    run.result().expect_same(&Workplace::new(COSINE).train(&[]).result());
}

#[test]
fn shows_an_error_on_the_terminal_that_it_gives_back() {
    let workplace = Workplace::new(COSINE);
    let Some(terminal) = Terminal::open(&workplace, 100, 30) else { return };
    terminal.start(&format!("{TRAIN} 'optimizer.name=\"sgd\"' optimizer.lr=1e9"));
    let screen = terminal.wait_for_exit(1);
    assert!(screen.contains("error: ") && screen.contains("optimizer.lr"), "{screen}");
    terminal.expect_restored();
    workplace.only_run().expect_state("failed");
}

#[test]
fn needs_a_terminal() {
    let workplace = Workplace::new(COSINE);
    workplace
        .run(&["train", "experiment.toml", "--ui", "tui"])
        .expect(2)
        .says(&["needs a terminal", "--ui plain"]);
    assert!(workplace.runs().is_empty(), "refused before anything is made");
}

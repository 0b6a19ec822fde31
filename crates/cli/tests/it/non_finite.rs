//! Training that blows up says where, and what to try.

use crate::experiments::COSINE;
use crate::program::Workplace;

#[test]
fn a_gradient_that_is_not_finite_names_step_layer_and_remedies() {
    let workplace = Workplace::new(COSINE);
    let blow_up = ["optimizer.name=\"sgd\"", "optimizer.lr=1e9", "checkpoint.interval_steps=1"];
    let ended = workplace.start_training(&blow_up).wait().expect(1);
    let ended = ended.says(&["at step ", "layer", "optimizer.lr", "training.max_norm", "checkpoint of step"]);
    let run = workplace.only_run();
    run.expect_state("failed");
    let status = run.status();
    assert_eq!(status["stop_reason"], "error");
    assert!(ended.stderr.contains(status["error"].as_str().unwrap()), "{status:#}");
    let kept = run.checkpoints().last().copied().unwrap();
    assert!(ended.stderr.contains(&format!("checkpoint of step {kept} is kept")), "{}", ended.stderr);
    // Exactly the same again: the checkpoint is good, and nothing is random.
    let again = workplace.run(&["resume", run.text(), "--ui", "plain", "--no-report"]).expect(1);
    assert_eq!(again.stderr.lines().next_back(), ended.stderr.lines().next_back());
}

#[test]
fn without_a_checkpoint_the_message_says_so() {
    let workplace = Workplace::new(COSINE);
    let blow_up = ["optimizer.name=\"sgd\"", "optimizer.lr=1e9"];
    workplace.start_training(&blow_up).wait().expect(1).says(&["No checkpoint had been saved yet"]);
    assert!(workplace.only_run().checkpoints().is_empty());
}

/// Nothing comes after the last step that could find its weights out.
#[test]
fn weights_that_are_not_finite_after_the_last_step_are_a_failure() {
    let workplace = Workplace::new(COSINE);
    let changes = [
        "model.hidden=[]",
        "lr_scheduler.warmup_steps=0",
        "optimizer.name=\"adam\"",
        "optimizer.lr=1e38",
        "training.epochs=1",
        "training.batch_size=2000",
    ];
    workplace.start_training(&changes).wait().expect(1).says(&["weights became NaN at step 1", "layers.0."]);
    workplace.only_run().expect_state("failed");
}

/// The weights are finite, and no loss of the validation split is.
#[test]
fn a_run_without_a_finite_validation_loss_has_no_best_checkpoint_and_is_resumed() {
    let workplace = Workplace::new("name = \"large\"\n[model]\nhidden = []\n[loss]\nname = \"mse\"\n");
    let changes =
        ["optimizer.name=\"sgd\"", "optimizer.lr=1e19", "training.epochs=1", "training.batch_size=2000"];
    workplace.start_training(&changes).wait().expect(0);
    let run = workplace.only_run();
    run.expect_state("finished");
    assert!(run.status()["best"].is_null(), "{:#}", run.status());
    workplace.run(&["resume", run.text(), "--json"]).expect(0);
}

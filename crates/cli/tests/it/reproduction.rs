//! Same in, same out.

use crate::experiments::{ACCUMULATION, COSINE, MEMBERS, PLATEAU};
use crate::program::Workplace;

#[test]
fn the_same_experiment_gives_the_same_bytes() {
    for experiment in [COSINE, PLATEAU, ACCUMULATION, MEMBERS] {
        let workplace = Workplace::new(experiment);
        let [first, second] = [(); 2].map(|()| workplace.train(&[]));
        assert_ne!(first.path(), second.path());
        first.expect_state("finished");
        first.result().expect_same(&second.result());
    }
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    for experiment in [COSINE, MEMBERS] {
        let workplace = Workplace::new(experiment);
        let [alone, shared] =
            ["backend.threads=1", "backend.threads=3"].map(|threads| workplace.train(&[threads]).result());
        assert_eq!(alone.metrics(), shared.metrics());
        assert_eq!(alone.weights(), shared.weights());
    }
}

#[test]
fn another_seed_gives_other_weights() {
    let workplace = Workplace::new(COSINE);
    let [first, second] = ["seed=42", "seed=43"].map(|seed| workplace.train(&[seed]).result());
    assert_ne!(first.weights(), second.weights());
    assert_ne!(first.metrics(), second.metrics());
}

#[test]
fn where_and_how_often_checkpoints_are_saved_changes_no_figure() {
    let often = Workplace::new(COSINE).train(&["checkpoint.interval_steps=3"]).result();
    let seldom = Workplace::new(COSINE).train(&["checkpoint.interval=12"]).result();
    assert_eq!(often.metrics(), seldom.metrics());
    assert_eq!(often.weights(), seldom.weights());
}

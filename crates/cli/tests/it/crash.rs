//! A run that is killed again and again ends as one that was not.

use std::thread;
use std::time::{Duration, Instant};

use crate::experiments::{ACCUMULATION, COSINE, MEMBERS, PLATEAU};
use crate::program::{Ended, Workplace};
use crate::random::Random;
use crate::run_folder::RunFolder;

/// Kills per experiment; `E2E_KILLS` sets another number.
const KILLS: u32 = 8;

#[test]
fn killed_under_a_cosine_schedule_with_dropout() {
    survives_kills(COSINE, 1);
}

#[test]
fn killed_under_reduce_on_plateau() {
    survives_kills(PLATEAU, 2);
}

#[test]
fn killed_under_gradient_accumulation_and_early_stopping() {
    survives_kills(ACCUMULATION, 3);
}

#[test]
fn killed_with_members_that_leave_parts_out() {
    survives_kills(MEMBERS, 4);
}

fn survives_kills(experiment: &str, seed: u64) {
    let kills = std::env::var("E2E_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let workplace = Workplace::new(experiment);
    let started = Instant::now();
    let undisturbed = workplace.train(&[]).result();
    let whole = started.elapsed();
    let mut random = Random::new(seed);
    let mut done = 0;
    while done < kills {
        let workplace = Workplace::new(experiment);
        let (run, killed) = train_through_kills(&workplace, whole, &mut random);
        done += killed;
        run.expect_state("finished");
        run.result().expect_same(&undisturbed);
    }
}

/// A run that is not done after so many has stopped getting on.
const MOST_KILLS: u32 = 200;

/// Kills the training after moments that are random up to the time that it takes undisturbed, until it comes
/// to its end. Returns how often.
fn train_through_kills(workplace: &Workplace, whole: Duration, random: &mut Random) -> (RunFolder, u32) {
    let mut kills = 0;
    loop {
        assert!(kills < MOST_KILLS, "killed {kills} times, {} is no further", workplace.path().display());
        // Before the run folder is there, there is nothing to resume.
        let run = workplace.runs().pop();
        let process = match &run {
            Some(run) => workplace.start(&["resume", run.text(), "--ui", "plain", "--no-report"]),
            None => workplace.start_training(&[]),
        };
        thread::sleep(whole.mul_f64(random.fraction()));
        process.signal("KILL");
        let ended = process.wait();
        match ended.status.code() {
            None => kills += 1,
            Some(0) => return (finished(workplace, &ended), kills),
            Some(_) => panic!("{ended:#?}"),
        }
    }
}

fn finished(workplace: &Workplace, ended: &Ended) -> RunFolder {
    let run = ended.run_folder(workplace);
    assert_eq!(workplace.runs().len(), 1, "resuming makes no second run");
    run
}

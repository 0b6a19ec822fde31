//! Valid study files, and the messages for mistakes.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::Verdict;

const TRIAL: &str = "[[trial]]\nname = \"a\"\n";

fn read_with(text: &str, overrides: &[&str]) -> Result<Plan, String> {
    let folder: TempDir = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("base.toml"), "seed = 7\n[model]\nhidden = [8]\n").unwrap();
    let path = folder.path().join("study.toml");
    fs::write(&path, text).unwrap();
    let overrides = overrides.iter().map(|&text| text.to_owned()).collect();
    let request = PlanRequest { path: path.clone(), environment: Vec::new(), overrides };
    let home = format!("{}/", folder.path().display());
    Plan::read(&request).map_err(|error| error.to_string().replace(&home, ""))
}

fn read(text: &str) -> Result<Plan, String> {
    read_with(text, &[])
}

#[test]
fn layers_are_base_study_trial_and_command_line() {
    let text = "base = \"base.toml\"\nseeds = [1, 2]\n[experiment]\noptimizer.lr = 0.5\ntraining.epochs = 3\n\
                [[trial]]\nname = \"a\"\noverrides = { optimizer.lr = 0.25 }\n";
    let plan = read_with(text, &["training.epochs=2", "jobs=5"]).unwrap();
    let [trial] = &plan.trials[..] else { panic!() };
    assert_eq!((plan.jobs, plan.seeds.as_slice(), trial.experiments.len()), (Some(5), &[1, 2][..], 2));
    let experiment = &trial.experiments[1];
    assert_eq!((experiment.seed, experiment.name.as_str(), experiment.training.epochs), (2, "a", 2));
    assert_eq!((experiment.optimizer.lr, experiment.model.hidden.as_slice()), (0.25, &[8][..]));
    assert_eq!(experiment.backend.threads, Some(1));
    assert_eq!(trial.settings, [("optimizer.lr".to_owned(), "0.25".to_owned())]);
}

#[test]
fn without_seeds_the_base_has_one_and_the_command_line_may_give_others() {
    let text = format!("base = \"base.toml\"\n{TRIAL}");
    assert_eq!(read(&text).unwrap().seeds, [7]);
    assert_eq!(read_with(&text, &["seeds=[3, 4]"]).unwrap().seeds, [3, 4]);
}

#[test]
fn folds_are_counted_by_the_seeds() {
    let rows = "[experiment]\ndata.source = \"csv\"\ndata.path = \"rows.csv\"\n";
    let text = format!("folds = 5\nrepeats = 2\n{rows}{TRIAL}");
    let plan = read(&text).unwrap();
    assert_eq!((plan.folds, plan.seeds.clone()), (Some(5), (0..10).collect()));
    let folds = plan.trials[0].experiments.iter().map(|experiment| experiment.data.test_folds);
    assert_eq!(folds.collect::<Vec<_>>(), [5; 10]);
    let fewer = read_with(&text, &["folds=3", "repeats=1"]).unwrap();
    let other = read_with(&text, &["data.test_folds=2"]).unwrap_err();
    assert!(other.contains("`folds` = 5, but `data.test_folds` = 2"), "{other}");
    assert_eq!((fewer.seeds, fewer.trials[0].experiments[2].data.test_folds), (vec![0, 1, 2], 3));
}

#[test]
fn axes_span_a_grid() {
    let plan = read("[axes]\nmodel.hidden = [[4], [8, 4]]\noptimizer.lr = [0.1, 0.01]\n").unwrap();
    let names: Vec<&str> = plan.trials.iter().map(|trial| trial.name.as_str()).collect();
    assert_eq!(names, ["hidden-4_lr-0.1", "hidden-4_lr-0.01", "hidden-8-4_lr-0.1", "hidden-8-4_lr-0.01"]);
    assert_eq!(plan.trials[3].experiments[0].model.hidden, [8, 4]);
}

#[test]
fn an_expectation_may_name_several_things() {
    let text = format!(
        "{TRIAL}[[trial]]\nname = \"b\"\n[[expect]]\ntrial = \"a\"\nfigures = {{ test_accuracy = 0.9 }}\n\
         tolerance = 0.1\nverdict = [\"fit\", \"linear\"]\nbetter_than = \"b\"\nby = 0.05\nmust_hold = false\n"
    );
    let claims: Vec<Claim> = read(&text).unwrap().expectations.into_iter().map(|found| found.claim).collect();
    let expected = [
        Claim::Figure { name: "test_accuracy".into(), value: 0.9, tolerance: 0.1 },
        Claim::Verdict(Verdict::Fit),
        Claim::Verdict(Verdict::Linear),
        Claim::BetterThan { trial: "b".into(), by: 0.05 },
    ];
    assert_eq!(claims, expected);
}

#[test]
fn every_mistake_is_reported_with_its_place() {
    let expect = |rest: &str| format!("{TRIAL}[[expect]]\n{rest}");
    for (text, message) in [
        (format!("sedes = [1]\n{TRIAL}"), "study.toml:1: unknown key `sedes`; did you mean `seeds`?"),
        (
            format!("{TRIAL}[experimnt]\noptimizer.lr = 1.0\n"),
            "study.toml:3: unknown key `experimnt`; did you mean `experiment`?",
        ),
        (
            format!("{TRIAL}[xyzzy]\na = 1\n"),
            "study.toml:3: unknown section `[xyzzy]`; the sections are experiment, axes, search.confirm, search, rules",
        ),
        (String::new(), "study.toml:1: no trials: give [[trial]] tables, or [axes] for a grid"),
        (format!("{TRIAL}[axes]\nseed = [1]\n"), "study.toml:3: [[trial]] and [axes] exclude each other"),
        (format!("{TRIAL}{TRIAL}"), "study.toml:4: there are two trials with the name \"a\""),
        ("[[trial]]\n".to_owned(), "study.toml:1: `trial[0].name` is missing; it must be text in quotes"),
        ("[[trial]]\nname = \"a/b\"\n".to_owned(), "study.toml:2: `trial[0].name` = \"a/b\" is not allowed"),
        (format!("{TRIAL}overides = {{}}\n"), "study.toml:3: unknown key `trial[0].overides`; did you mean"),
        (
            format!("{TRIAL}overrides = {{ optimizer.lr = -1 }}\n"),
            "study.toml:3: `optimizer.lr` = -1 is not allowed; it must be above 0",
        ),
        (
            format!("{TRIAL}[experiment]\nmodel.hiden = [4]\n"),
            "study.toml:4: unknown key `model.hiden`; did you mean `model.hidden`?",
        ),
        (format!("seeds = []\n{TRIAL}"), "study.toml:1: `seeds` must be a list with at least one value"),
        (format!("seeds = [1, 1]\n{TRIAL}"), "study.toml:1: seed 1 is named twice"),
        (
            format!("seeds = [-1]\n{TRIAL}"),
            "study.toml:1: `seeds[0]` = -1 is not allowed; it must be at least 0",
        ),
        (format!("seeds = [1]\nfolds = 5\n{TRIAL}"), "study.toml:2: `seeds` and `folds` exclude each other"),
        (format!("repeats = 2\n{TRIAL}"), "study.toml:1: `repeats` has no effect without `folds`"),
        (
            format!("folds = 5\n[experiment]\ndata.source = \"mnist\"\n{TRIAL}"),
            "`folds`:1: `data.test_folds` = 5 has no effect with `data.source` = \"mnist\" (study.toml:3)",
        ),
        (format!("jobs = 0\n{TRIAL}"), "study.toml:1: `jobs` = 0 is not allowed; it must be at least 1"),
        (
            format!("base = \"bas.toml\"\n{TRIAL}"),
            "cannot read `bas.toml`: no such file; did you mean `base.toml`?",
        ),
        (expect("figures = {}\n"), "study.toml:3: `expect[0].trial` is missing"),
        (
            expect("trial = \"c\"\nverdict = \"fit\"\n"),
            "study.toml:4: `expect[0].trial` = \"c\" is not one of \"a\"",
        ),
        (expect("trial = \"a\"\n"), "study.toml:3: this expects nothing"),
        (
            expect("trial = \"a\"\ntolerance = 1\nfigures = { test_acuracy = 1 }\n"),
            "study.toml:6: `expect[0].figures` = \"test_acuracy\" is not one of",
        ),
        (expect("trial = \"a\"\nfigures = { seconds = 1 }\n"), "study.toml:5: `figures` need a `tolerance`"),
        (
            expect("trial = \"a\"\nverdict = \"overfitt\"\n"),
            "study.toml:5: `expect[0].verdict` = \"overfitt\" is not one of",
        ),
        (format!("{TRIAL}[rules]\ngap = 1\n"), "study.toml:4: unknown key `rules.gap`"),
        (format!("name = \"a b\"\n{TRIAL}"), "study.toml:1: `name` = \"a b\" is not allowed"),
        (format!("name = a\n{TRIAL}"), "study.toml:1: not valid TOML: text without quotes"),
    ] {
        let found = read(&text).expect_err(&text);
        assert!(found.starts_with(message), "{text}\n{found}\n{message}");
    }
}

#[test]
fn every_mistake_of_a_search_is_reported_with_its_place() {
    let lr = "optimizer.lr = { min = 1e-3, max = 0.1 }";
    for (settings, dimension, message) in [
        ("seed = 1", lr, "study.toml:1: a search needs an end: give `trials`, `epochs` or `seconds`"),
        ("trials = 3", "", "study.toml:1: nothing to search: give `[search.space]`"),
        ("trials = 0", lr, "study.toml:2: `search.trials` = 0 is not allowed; it must be at least 1"),
        (
            "trials = 3",
            "optimizer.lrr = { min = 1e-3, max = 0.1 }",
            "study.toml:4: unknown key `optimizer.lrr`; did you mean `optimizer.lr`?",
        ),
        (
            "trials = 3",
            "optimizer.lr = { min = -1, max = 0.1 }",
            "study.toml:4: `optimizer.lr` = -1.0 is not allowed; it must be above 0",
        ),
        (
            "trials = 3",
            "model.hidden = { choices = [[4], \"8\"] }",
            "study.toml:4: `model.hidden` must be a list of whole numbers, found",
        ),
        (
            "trials = 3",
            "training.epochs = { min = 1, max = 9 }",
            "study.toml:4: `training.epochs` cannot be searched",
        ),
        (
            "method = \"grid\"",
            "optimizer.lr = { min = 0.001, max = 0.1, step = 1e-300 }",
            "study.toml:1: the grid has more than 100000 points",
        ),
        ("trials = 3", "data.columns = { choices = [{ a = 1 }, 2] }", "study.toml:4"),
        (
            "trials = 3\nconfirm = { seeds = 0 }",
            lr,
            "study.toml:3: `search.confirm.seeds` = 0 is not allowed",
        ),
        ("trials = 3", "optimizer.lr = 0.1", "study.toml:4: `optimizer.lr` = 0.1: write `{ choices"),
        (
            "trials = 3",
            "optimizer.lr = { mim = 1, max = 2 }",
            "study.toml:4: unknown key `mim` in `optimizer.lr`; did you mean `min`?",
        ),
        (
            "trials = 3",
            "optimizer.lr = { min = 0.2, max = 0.1 }",
            "study.toml:4: `optimizer.lr`: `min` = 0.2 must be below `max` = 0.1",
        ),
        (
            "trials = 3",
            "optimizer.momentum = { min = 0.2, max = 0.9, when = { optimizer.name = \"sgd\" } }",
            "study.toml:4: `optimizer.momentum` depends on `optimizer.name`, which must come before it",
        ),
        (
            "trials = 3",
            "optimizer.momentum = { min = 0.2, max = 0.9 }",
            "study.toml:4: `optimizer.momentum` = 0.2 has no effect",
        ),
        ("method = \"grid\"", lr, "study.toml:1: a grid needs the values of `optimizer.lr`"),
        (
            "halving = { min_epochs = 500 }\ntrials = 3",
            lr,
            "study.toml:2: `search.halving.min_epochs` = 500 must be at least 1 and below `training.epochs`",
        ),
        (
            "trials = 3\n[[trial]]\nname = \"a\"",
            lr,
            "study.toml:3: `[search]` and `trial` exclude each other",
        ),
        (
            "trials = 3\n[experiment]\ndata.validation = 0",
            lr,
            "study.toml:1: the search compares a validation figure, but there is no validation split",
        ),
    ] {
        let text = format!("[search]\n{settings}\n[search.space]\n{dimension}\n");
        let found = read(&text).expect_err(&text);
        assert!(found.starts_with(message), "{text}\n{found}\n{message}");
    }
}

#[test]
fn the_command_line_sets_what_bounds_a_search_and_not_its_space() {
    let text = "[search]\ntrials = 3\n[search.space]\noptimizer.lr = { min = 1e-3, max = 0.1 }\n";
    let search = read_with(text, &["search.trials=5", "search.confirm.best=1"]).unwrap().search.unwrap();
    assert_eq!((search.trials, search.confirm.best, search.confirm.seeds), (Some(5), 1, 3));
    let both = read_with(text, &["optimizer.lr=0.5"]).unwrap_err();
    assert!(both.contains("`optimizer.lr` is in the search space: it cannot be set as well"), "{both}");
    let space = read_with(text, &["search.space={}"]).unwrap_err();
    assert!(space.contains("only the study file can set the space of a search"), "{space}");
    let listed = read_with(TRIAL, &["search.trials=5"]).unwrap_err();
    assert!(listed.contains("`search.trials` has no effect: the file has no `[search]`"), "{listed}");
    assert!(read(&format!("seeds = []\n{text}")).unwrap_err().contains("`seeds` must be a list"));
}

#[test]
fn long_choices_are_kept_whole() {
    let long = "a very long tag that is longer than any message would show it, by far";
    let text = format!(
        "[search]\ntrials = 3\n[search.space]\nmodel.name = {{ choices = [\"{long} 1\", \"{long} 2\"] }}\n"
    );
    let found = read(&text).unwrap().search.unwrap();
    let crate::Domain::Choices(choices) = &found.space[0].domain else { panic!() };
    assert_eq!(choices, &[format!("\"{long} 1\""), format!("\"{long} 2\"")]);
}

#[test]
fn a_file_whose_name_cannot_be_a_folder_needs_a_name() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let path = folder.path().join("my study.toml");
    fs::write(&path, TRIAL).unwrap();
    let request = PlanRequest { path, environment: Vec::new(), overrides: Vec::new() };
    let message = Plan::read(&request).unwrap_err().to_string();
    assert!(message.contains("\"my study\" cannot be a study's name: `name` must be 1 to 100"), "{message}");
}

#[test]
fn the_studies_that_come_with_the_program_are_valid() {
    let folder = Path::new("../../configs/studies");
    let mut count = 0;
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let plan = Plan::read(&PlanRequest { path, environment: Vec::new(), overrides: Vec::new() });
        let plan = plan.unwrap_or_else(|error| panic!("{error}"));
        assert!(
            plan.search.is_some() == plan.expectations.is_empty() && !plan.about.is_empty(),
            "{}",
            plan.name
        );
        count += 1;
    }
    assert_eq!(count, 7);
}

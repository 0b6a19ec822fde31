//! Every backend that the program was built with trains the digits to the same accuracy.

use serde_json::Value;

use crate::{experiments::MEMBERS, program::Workplace};

/// Small enough that a GPU interface on the CPU takes seconds.
const EXPERIMENT: &str = r#"
name = "backends"
[model]
hidden = [32]
[optimizer]
lr = 3e-3
[training]
epochs = 4
batch_size = 128
"#;

/// Backends compiled into the program under test that find a device here.
fn working(workplace: &Workplace) -> Vec<String> {
    let doctor = workplace.run(&["doctor", "--json"]).expect(0);
    let findings: Vec<Value> = serde_json::from_str(&doctor.stdout).unwrap();
    let works = |finding: &&Value| !finding["parity"].is_null();
    findings.iter().filter(works).map(|finding| finding["backend"].as_str().unwrap().to_owned()).collect()
}

/// Trains `experiment` on every backend here, and on flex in Burn's own operations, and asks that `figure` of
/// the test split differs by at most `within`.
fn agree(experiment: &str, figure: &str, within: f64) {
    let workplace = Workplace::new(experiment);
    let backends = working(&workplace);
    assert!(backends.contains(&"flex".to_owned()), "{backends:?}");
    let mut settings: Vec<_> = backends.iter().map(|backend| format!("backend.name={backend}")).collect();
    settings.push("backend.fused=false".to_owned());
    let figures: Vec<_> = settings
        .iter()
        .map(|setting| {
            workplace.train(&["backend.name=flex", setting]).status()["test"][figure].as_f64().unwrap()
        })
        .collect();
    let least = figures.iter().copied().fold(f64::NAN, f64::min);
    let most = figures.iter().copied().fold(f64::NAN, f64::max);
    assert!(most - least <= within, "{figure}: {settings:?}: {figures:?}");
}

#[test]
fn backends_agree_on_the_digits() {
    agree(EXPERIMENT, "accuracy", 0.01);
}

#[test]
fn backends_agree_on_members_and_waves() {
    agree(MEMBERS, "loss", 0.01);
}

#[test]
fn backends_that_are_missing_name_the_feature() {
    let workplace = Workplace::new(EXPERIMENT);
    for backend in ["rocm", "metal"] {
        let ended = workplace.run(&["train", "experiment.toml", &format!("backend.name={backend}")]);
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        assert!(ended.stderr.contains(&format!("--features {backend}")), "{ended:?}");
        assert!(workplace.runs().is_empty(), "no run folder is left");
    }
}

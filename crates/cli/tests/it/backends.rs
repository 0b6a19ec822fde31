//! Every backend that the program was built with trains the digits to the same accuracy.

use serde_json::Value;

use crate::program::Workplace;

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

#[test]
fn backends_agree_on_the_digits() {
    let workplace = Workplace::new(EXPERIMENT);
    let backends = working(&workplace);
    assert!(backends.contains(&"flex".to_owned()), "{backends:?}");
    let accuracies: Vec<f64> = backends
        .iter()
        .map(|backend| {
            let run = workplace.train(&[&format!("backend.name={backend}")]);
            run.status()["test"]["accuracy"].as_f64().unwrap()
        })
        .collect();
    let spread = accuracies.iter().copied().fold(f64::NAN, f64::max)
        - accuracies.iter().copied().fold(f64::NAN, f64::min);
    assert!(spread <= 0.01, "{backends:?}: {accuracies:?}");
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

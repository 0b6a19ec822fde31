//! The loss and what it is computed on.

use super::{Case, Contradiction};
use crate::words::listed;
use crate::{LossName, Output};

const KEYS: [&str; 2] = ["model.output", "loss.name"];

pub(super) fn contradictions(case: &Case<'_>) -> Vec<Contradiction> {
    let (expects, allowed): (&str, &[Output]) = match case.experiment.loss.name {
        LossName::CrossEntropy => ("the raw values (it takes their log-softmax itself)", &[Output::Logits]),
        LossName::Nll => ("log-probabilities", &[Output::LogSoftmax]),
        LossName::Mse => {
            ("values to hold against 0 and 1", &[Output::Logits, Output::Softmax, Output::Sigmoid])
        }
    };
    let output = case.experiment.model.output;
    if output == Output::Auto || allowed.contains(&output) {
        return Vec::new();
    }
    let names = [Output::Auto].iter().chain(allowed).map(|output| format!("{:?}", <&str>::from(output)));
    let message = format!(
        "{} does not fit {}, which expects {expects}; `model.output` must be {}",
        case.setting(KEYS[0]),
        case.setting(KEYS[1]),
        listed(names, "or")
    );
    vec![Contradiction::new(&KEYS, message)]
}

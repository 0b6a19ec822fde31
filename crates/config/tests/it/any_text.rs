//! Whatever the text, there is an experiment or a message, and never a panic.

use kiln_config::{ConfigError, Experiment, Fault, Origin, Resolved, reference};
use proptest::prelude::*;

use crate::text;

/// What must hold of every outcome.
fn check(outcome: Result<Resolved, ConfigError>, lines: usize) -> Result<(), TestCaseError> {
    let error = match outcome {
        Ok(resolved) => {
            let again = Experiment::from_toml_str("again", &resolved.to_toml());
            prop_assert_eq!(again, Ok(resolved.experiment));
            return Ok(());
        }
        Err(error) => error,
    };
    prop_assert!(!error.problems.is_empty());
    for problem in &error.problems {
        let unfit = matches!(problem.fault, Fault::Unfit { .. });
        prop_assert!(!unfit, "validation let through what serde refuses: {}", problem);
        prop_assert!(problem.origin.is_some(), "no place: {}", problem);
        if let Some(Origin::File { line, .. }) = &problem.origin {
            prop_assert!((1..=lines.max(1)).contains(line), "{}", problem);
        }
        prop_assert!(!problem.to_string().contains('\n'), "more than one line: {:?}", problem);
    }
    Ok(())
}

fn lines(text: &str) -> usize {
    text.matches('\n').count() + 1
}

/// Pieces of files, put together at random.
fn patchwork() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(PIECES).prop_map(ToString::to_string),
        "[a-z_]{1,8} = [0-9.e-]{1,6}\n",
        "\\PC{0,8}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

const PIECES: &[&str] = &[
    "[model]\n",
    "[optimizer]\n",
    "[data]\n",
    "[[model.weights]]\n",
    "[model.weights]\n",
    "weight = [[1.0, 2], [3]]\n",
    "weights = [{ weight = [[]] }]\n",
    "initialization = \"explicit\"\n",
    "hidden = [1, \"a\", [2]]\n",
    "hidden = []\n",
    "name = \"sgd\"\n",
    "name = 1979-05-27\n",
    "validation = 1e400\n",
    "validation = 99999999999999999999\n",
    "betas = {}\n",
    "model.hidden = [1]\n",
    "optimizer = 1\n",
    "classes = [0, \"a\", 0]\n",
    "\"\" = 1\n",
    "\"a.b\" = 1\n",
    "extends = \"\"\n",
    "seed = -0\n",
    "[",
    "=",
    "\"\"\"",
    "\u{0}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_answered(any in any::<String>()) {
        check(text(&any, &[]), lines(&any))?;
    }

    #[test]
    fn any_patchwork_is_answered(patchwork in patchwork()) {
        check(text(&patchwork, &[]), lines(&patchwork))?;
    }

    #[test]
    fn any_override_is_answered(key in "[a-z._=]{0,12}", value in any::<String>()) {
        check(text("", &[&format!("{key}={value}")]), 1)?;
        check(text("", &[&format!("model.hidden={value}"), &format!("name={value}")]), 1)?;
    }

    #[test]
    fn a_valid_file_with_a_piece_cut_out_or_put_in_is_answered(
        at in any::<prop::sample::Index>(),
        length in 0_usize..30,
        piece in "\\PC{0,3}",
    ) {
        let letters: Vec<char> = reference().chars().collect();
        let start = at.index(letters.len());
        let end = (start + length).min(letters.len());
        let mutated: String =
            letters[..start].iter().copied().chain(piece.chars()).chain(letters[end..].iter().copied()).collect();
        check(text(&mutated, &[]), lines(&mutated))?;
    }
}

#[test]
fn hostile_depth_and_length_are_answered() {
    let deep = format!("model.hidden = {}", "[".repeat(100_000));
    assert!(text(&deep, &[]).is_err());
    let closed = format!("model.hidden = {}1{}", "[".repeat(60), "]".repeat(60));
    assert!(text(&closed, &[]).is_err());
    let long = format!("{} = 1", "x".repeat(1_000_000));
    assert!(text(&long, &[]).is_err());
    let dotted = format!("a{} = 1", ".a".repeat(50));
    assert!(text(&dotted, &[]).is_err());
}

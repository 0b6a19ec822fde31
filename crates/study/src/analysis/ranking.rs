//! Who leads, and who is not to be told from the leader.

use super::listed;
use crate::findings::Findings;
use crate::standing::SIGNIFICANCE;
use crate::statistics::Method;

pub(super) fn statements(findings: &Findings) -> Vec<String> {
    let mut statements = Vec::new();
    let leading = findings.trials.iter().filter(|trial| trial.rank == Some(1));
    let names: Vec<String> = leading.map(|trial| trial.name.clone()).collect();
    let Some(first) = findings.trials.first().filter(|trial| trial.rank.is_some()) else {
        return statements;
    };
    let accuracy = first.figures.get("test_accuracy").map_or_else(String::new, |spread| spread.shown(4));
    statements.push(format!(
        "{} has the best test accuracy, {accuracy} over {}.",
        first.name,
        findings.over()
    ));
    if findings.folds.is_some() && findings.is_complete() {
        statements.push(
            "Every example was tested, in each repeat, by a network that had not learned from it. The networks share most of their training \
             examples, so the standard deviation says less than that of as many independent samples (Bengio and Grandvalet 2004)."
                .to_owned(),
        );
    }
    if names.len() > 1 {
        let others = listed(&names[1..]);
        statements
            .push(format!("The paired test does not tell it from {others}: they share the first rank."));
    }
    statements.push(how_ties_were_found(findings));
    statements
}

fn how_ties_were_found(findings: &Findings) -> String {
    if !findings.has_paired_tests() {
        return "No ties are marked: that takes the test predictions of two trials at least, and none were kept."
            .to_owned();
    }
    let methods = || findings.trials.iter().filter_map(|trial| Some(trial.test.as_ref()?.1.result.method));
    let exact = methods().filter(|method| *method == Method::ExactBinomial).count();
    let method = match (exact, methods().count() - exact) {
        (_, 0) => "the exact binomial form",
        (0, _) => "chi-square with continuity correction",
        _ => {
            "chi-square with continuity correction, and the exact binomial form below 25 discordant examples"
        }
    };
    let pooled = if findings.folds.is_some() {
        "the parts of the first repeat pooled, so that every example counts once"
    } else {
        "pairs of equal seed pooled"
    };
    format!(
        "Ties are marked by McNemar's test ({method}) on the test predictions, {pooled}: a \
         trial shares the rank of the first trial above it unless p is below {SIGNIFICANCE}. The test speaks of \
         these trained networks on these test examples; how far another seed would move them is what the \
         standard deviation says."
    )
}

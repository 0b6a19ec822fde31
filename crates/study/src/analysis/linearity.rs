//! Deep networks that are one linear layer.

use crate::findings::Findings;

pub(super) fn statements(findings: &Findings) -> Vec<String> {
    let mut statements = Vec::new();
    for trial in &findings.trials {
        let collapses: Vec<_> = trial.seeds.iter().filter_map(|seed| seed.collapse).collect();
        let Some(first) = collapses.first() else { continue };
        let greatest = |of: fn(&crate::Collapse) -> f64| collapses.iter().map(of).fold(0.0, f64::max);
        let others: usize = collapses.iter().map(|collapse| collapse.other_predictions).sum();
        let examples: usize = collapses.iter().map(|collapse| collapse.examples).sum();
        statements.push(format!(
            "{}: its {} layers multiplied out are one linear layer. The outputs of the two differ by at most \
             {:.1e} over all test examples, {:.1e} of the greatest output; {others} of {examples} predictions \
             differ.",
            trial.name,
            first.layers,
            greatest(|collapse| collapse.greatest_difference),
            greatest(|collapse| collapse.relative_difference),
        ));
    }
    statements
}

//! What the figures mean, in words. Every word follows from figures; nothing is written beforehand.

mod advice;
mod factors;
mod fits;
mod gradients;
mod linearity;
mod losses;
mod ranking;
mod traces;

use schemars::JsonSchema;
use serde::Serialize;

use crate::findings::Findings;

/// A heading with statements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "AnalysisSection")]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// The statements, each a sentence or more.
    pub statements: Vec<String>,
}

/// What a section says, computed from the findings.
type Statements = fn(&Findings) -> Vec<String>;

/// All that can be said of the findings; sections without a statement are left out.
pub(crate) fn analysis(findings: &Findings) -> Vec<Section> {
    let sections: [(&'static str, Statements); 9] = [
        ("Ranking", ranking::statements),
        ("Which losses may be compared", losses::statements),
        ("Shared traces", traces::statements),
        ("What leads, by setting", factors::statements),
        ("Underfitting and overfitting", fits::statements),
        ("Gradients", gradients::statements),
        ("Linearity", linearity::statements),
        ("Failed trials", fits::failures),
        ("What to try", advice::statements),
    ];
    sections
        .into_iter()
        .map(|(title, statements)| Section { title, statements: statements(findings) })
        .filter(|section| !section.statements.is_empty())
        .collect()
}

/// "a", "a and b", "a, b and c".
pub(crate) fn listed(words: &[String]) -> String {
    kiln_config::listed(words.iter().cloned(), "and")
}

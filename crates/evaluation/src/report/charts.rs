//! ROC, precision-recall and reliability.

use maud::{PreEscaped, html};

use super::Story;
use super::page::Section;

/// Pictures, and what to look for in them.
const CHARTS: [(&str, &str); 3] = [
    ("roc", "ROC, each class against the rest: the nearer to the upper left corner, the better."),
    ("precision_recall", "Precision and recall: the nearer to the upper right corner, the better."),
    (
        "reliability",
        "Reliability: bars on the diagonal mean that a confidence of 80 % is right in 80 % of cases; below it the \
         network is too sure of itself.",
    ),
];

pub(super) fn section(story: &Story<'_>) -> Option<Section> {
    let charts: Vec<(&str, &str)> =
        CHARTS.into_iter().filter_map(|(name, words)| Some((story.picture(name)?, words))).collect();
    if charts.is_empty() {
        return None;
    }
    let content = html! {
        div.charts { @for (picture, words) in charts { div { (PreEscaped(picture)) p.note { (words) } } } }
    };
    Some(Section { anchor: "curves", heading: "Curves and calibration", content })
}

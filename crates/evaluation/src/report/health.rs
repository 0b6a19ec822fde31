//! What the figures say of how the run went.

use kiln_diagnosis::Severity;
use maud::html;

use super::Story;
use super::page::Section;

pub(super) fn section(story: &Story<'_>) -> Section {
    let class = |severity| match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Failure => "failure",
    };
    let has_log = story.rows.iter().any(|row| row.split == "train");
    let content = html! {
        @if story.findings.is_empty() && !has_log {
            p { "Nothing was logged that could speak for or against this run." }
        } @else if story.findings.is_empty() {
            p { "Nothing speaks against this run: gradients, weights and losses stayed in their usual ranges, and it \
                 neither underfits nor overfits by the figures it logged." }
        } @else {
            ul.findings {
                @for finding in &story.findings {
                    li class=(class(finding.severity)) {
                        b { (finding.kind.as_str()) ": " } (finding.statement)
                        @if !finding.remedies.is_empty() { br; b { "Try: " } (finding.advice()) "." }
                    }
                }
            }
        }
    };
    Section { anchor: "findings", heading: "Run health", content }
}

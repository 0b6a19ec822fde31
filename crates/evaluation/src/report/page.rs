//! The sections, one after the other.

use maud::{Markup, html};

use super::{Story, charts, classes, columns, confusion, data, examples, headline, health, origin};
use super::{settings, summary, training};
use crate::html_page;

const STYLE: &str = include_str!("style.css");

/// A part of the report: its anchor, its heading, and what stands there.
pub(super) struct Section {
    pub(super) anchor: &'static str,
    pub(super) heading: &'static str,
    pub(super) content: Markup,
}

/// The whole page.
pub(super) fn page(story: &Story<'_>) -> String {
    let mut sections = vec![health::section(story)];
    sections.extend(training::section(story));
    if let Some(tested) = &story.tested {
        sections.push(confusion::section(story, tested));
        sections.push(classes::section(tested));
        sections.extend(charts::section(story, tested));
        sections.extend(columns::section(tested));
        sections.extend(examples::section(tested));
    }
    sections.extend(data::section(story));
    sections.push(settings::section(story));
    sections.extend(origin::section(story));
    let title = format!("{} · {}", story.run.name(), story.run.id());
    let body = html! {
        header {
            h1 { (story.run.name()) }
            p.lead { (summary::summary(story)) }
        }
        nav aria-label="Sections" {
            @for section in &sections { a href={ "#" (section.anchor) } { (section.heading) } }
        }
        main {
            @if let Some(tested) = &story.tested { (headline::headline(story, tested)) }
            @for section in &sections {
                section id=(section.anchor) {
                    h2 { (section.heading) }
                    (section.content)
                }
            }
        }
    };
    html_page(&title, STYLE, &body)
}

//! The sections, one after the other.

use maud::{Markup, html};

use crate::html_page;

use super::{Story, charts, classes, columns, confusion, data, examples, headline, health, origin, training};

const STYLE: &str = include_str!("style.css");

/// A part of the report: its anchor, its heading, and what stands there.
pub(super) struct Section {
    pub(super) anchor: &'static str,
    pub(super) heading: &'static str,
    pub(super) content: Markup,
}

/// The whole page.
pub(super) fn page(story: &Story<'_>) -> String {
    let sections: Vec<Section> = [
        data::section(story),
        Some(health::section(story)),
        training::section(story),
        Some(confusion::section(story)),
        Some(classes::section(story)),
        charts::section(story),
        columns::section(story),
        examples::section(story),
        Some(origin::experiment(story)),
        origin::section(story),
    ]
    .into_iter()
    .flatten()
    .collect();
    let title = format!("{} · {}", story.run.name(), story.run.id());
    let body = html! {
        header {
            h1 { (story.run.name()) }
            (headline::headline(story))
        }
        nav { @for section in &sections { a href={ "#" (section.anchor) } { (section.heading) } } }
        main {
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

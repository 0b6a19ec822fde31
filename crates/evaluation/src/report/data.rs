//! What the data are like, and what is remarkable about them.

use kiln_data::{Column, Preparation, Profile};
use maud::{Markup, html};

use super::Story;
use super::page::Section;
use super::summary::grouped;
use crate::scrolled;

pub(super) fn section(story: &Story<'_>) -> Option<Section> {
    let profile = story.profile.as_ref()?;
    let preparation = profile.preparation();
    if profile.notices.is_empty() && preparation.is_none() && profile.examples.is_none() {
        return None;
    }
    let content = html! {
        @if let Some(counts) = profile.examples {
            p {
                (grouped(counts.train as u64)) " examples to train on, " (grouped(counts.validation as u64))
                " to validate on and " (grouped(counts.test as u64)) " to test on; "
                (grouped(profile.shape.features() as u64)) " features, " (profile.classes.len()) " classes."
            }
        }
        @if !profile.notices.is_empty() {
            ul.findings { @for notice in &profile.notices { li.info { (notice) } } }
        }
        @if let Some(preparation) = preparation { (columns(profile, preparation)) }
    };
    Some(Section { anchor: "data", heading: "Data", content })
}

fn columns(profile: &Profile, preparation: &Preparation) -> Markup {
    let used = preparation.used().count();
    let features = |column: &Column| {
        column.treatment.as_ref().map_or("left out".to_owned(), |treatment| treatment.features().to_string())
    };
    html! {
        p.note {
            (used) " of " (preparation.columns.len()) " columns become " (profile.shape.features())
            " features. What each was taken for, by the training rows; missing values of numbers are filled with the \
             median, and a feature says that they were."
        }
        (scrolled("Columns of the data", &html! {
            table.words {
                thead { tr {
                    @for head in ["column", "kind", "features", "missing in training", "why"] { th scope="col" { (head) } }
                } }
                tbody {
                    @for column in &preparation.columns {
                        tr {
                            th scope="row" { (column.name) }
                            td { (column.kind.name()) }
                            td { (features(column)) }
                            td { (column.missing) }
                            td { (column.why) }
                        }
                    }
                }
            }
        }))
    }
}

//! Examples to look at.

use maud::{Markup, html};

use super::Story;
use super::page::Section;
use crate::{Gallery, GalleryCell};

/// Where the examples of a cell of the confusion matrix stand.
pub(super) fn anchor(truth: usize, predicted: usize) -> String {
    format!("cell-{truth}-{predicted}")
}

pub(super) fn section(story: &Story<'_>) -> Option<Section> {
    let gallery = story.gallery?;
    let rows = [
        ("Most confident mistakes", &gallery.most_confident_mistakes),
        ("Least certain", &gallery.least_certain),
        ("At random", &gallery.random),
    ];
    let is_of_images = gallery.image_size.is_some();
    let content = html! {
        p.note {
            @if is_of_images {
                "Each with its number in the split, the true class, where it was taken for another one that, and the \
                 probability of what was predicted; mistakes have a frame."
            } @else {
                "Each with its number in the split"
                @if has_lines(gallery) { ", the line of the file on which it begins" }
                ", the true and the predicted class, and the probability of what was predicted; mistakes are bold."
                @if !gallery.columns.is_empty() { " Then the values that the network was given, by column." }
            }
        }
        @for (heading, examples) in rows {
            @if !examples.is_empty() {
                h3 { (heading) }
                @if is_of_images { (pictures(story, gallery, examples)) }
                @else { (table(story, gallery, examples)) }
            }
        }
        @if !gallery.cells.is_empty() {
            h3 { "By cell of the confusion matrix" }
            @for cell in &gallery.cells { (of_cell(story, gallery, cell)) }
        }
    };
    Some(Section { anchor: "examples", heading: "Examples", content })
}

fn of_cell(story: &Story<'_>, gallery: &Gallery, cell: &GalleryCell) -> Markup {
    let [truth, predicted] = [cell.truth as usize, cell.predicted as usize];
    let count = story.evaluation.confusion.counts[truth][predicted];
    let classes = story.classes();
    html! {
        div id=(anchor(truth, predicted)) {
            p {
                b { (classes[truth]) @if truth != predicted { " taken for " (classes[predicted]) } }
                @if (count as usize) > cell.examples.len() { ", " (cell.examples.len()) " of " (count) }
                @else { ", " (count) }
                " " a href="#confusion" { "to the matrix" }
            }
            (pictures(story, gallery, &cell.examples))
        }
    }
}

fn pictures(story: &Story<'_>, gallery: &Gallery, positions: &[u32]) -> Markup {
    html! {
        div.gallery {
            @for position in positions {
                @if let Some(example) = gallery.examples.get(position) {
                    @let truth = &story.classes()[example.truth as usize];
                    @let predicted = &story.classes()[example.predicted as usize];
                    figure.wrong[example.truth != example.predicted] {
                        @if let Some(png) = &example.png {
                            img loading="lazy" src={ "data:image/png;base64," (png) }
                                alt={ "example " (position) ", " (truth) };
                        }
                        figcaption {
                            span.note { "#" (position) } (truth)
                            @if example.truth != example.predicted { " " b { "→ " (predicted) } }
                            ", " (percent(example.probability))
                        }
                    }
                }
            }
        }
    }
}

fn table(story: &Story<'_>, gallery: &Gallery, positions: &[u32]) -> Markup {
    let (classes, has_lines) = (story.classes(), has_lines(gallery));
    html! {
        div.wide { table.rows {
            tr {
                th { "example" }
                @if has_lines { th { "line" } }
                @for head in ["true", "predicted", "probability"] { th { (head) } }
                @for column in &gallery.columns { th { (column) } }
            }
            @for position in positions {
                @if let Some(example) = gallery.examples.get(position) {
                    @let predicted = &classes[example.predicted as usize];
                    tr {
                        td { (position) }
                        @if has_lines { td { @if let Some(line) = example.line { (line) } } }
                        td { (classes[example.truth as usize]) }
                        td { @if example.truth == example.predicted { (predicted) } @else { b { (predicted) } } }
                        td { (percent(example.probability)) }
                        @for value in &example.values { td { (value) } }
                    }
                }
            }
        } }
    }
}

fn has_lines(gallery: &Gallery) -> bool {
    gallery.examples.values().any(|example| example.line.is_some())
}

fn percent(probability: Option<f32>) -> String {
    probability.map_or_else(|| "not a number".to_owned(), |value| format!("{:.0}\u{a0}%", value * 100.0))
}

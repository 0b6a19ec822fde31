//! Examples to look at, folded.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::Tested;
use super::page::Section;
use super::summary::count;
use crate::{Gallery, GalleryCell, GalleryExample, scrolled};

/// The pictures by cell take no more of a report than this; colour pictures are large.
const MOST_BYTES: usize = 400_000;

/// Where the examples of a cell of the confusion matrix stand.
pub(super) fn anchor(truth: usize, predicted: usize) -> String {
    format!("cell-{truth}-{predicted}")
}

pub(super) fn section(tested: &Tested<'_>) -> Option<Section> {
    let gallery = tested.gallery?;
    let rows = [
        ("Most confident mistakes", &gallery.most_confident_mistakes),
        ("Least certain", &gallery.least_certain),
        ("At random", &gallery.random),
    ];
    let is_of_images = gallery.image_size.is_some();
    let content = html! {
        p.note { (legend(gallery)) }
        @for (heading, examples) in rows {
            @if !examples.is_empty() {
                details {
                    summary { (heading) " (" (examples.len()) ")" }
                    @if is_of_images { (pictures(tested, gallery, examples)) }
                    @else { (scrolled(heading, &table(tested, gallery, examples))) }
                }
            }
        }
        @if !gallery.cells.is_empty() {
            h3 { "By true class" }
            (by_class(tested, gallery))
        }
    };
    Some(Section { anchor: "examples", heading: "Examples", content })
}

fn legend(gallery: &Gallery) -> Markup {
    html! {
        @if gallery.image_size.is_some() {
            "Each with its number in the split, the true class, where it was taken for another one that, and the \
             probability of what was predicted; mistakes have a frame."
        } @else {
            "Each with its number in the split"
            @if has_lines(gallery) { ", the line of the file on which it begins" }
            ", the true and the predicted class, and the probability of what was predicted; mistakes are bold."
            @if !gallery.columns.is_empty() { " Then the values that the network was given, by column." }
        }
    }
}

/// The cells of the confusion matrix, those of a true class together: the mistakes, then the hits.
fn by_class(tested: &Tested<'_>, gallery: &Gallery) -> Markup {
    let mut classes: BTreeMap<u32, Vec<&GalleryCell>> = BTreeMap::new();
    for cell in &gallery.cells {
        classes.entry(cell.truth).or_default().push(cell);
    }
    for (truth, cells) in &mut classes {
        cells.sort_by_key(|cell| cell.predicted == *truth);
    }
    let depth = affordable(gallery, MOST_BYTES);
    let confusion = &tested.evaluation.confusion;
    html! {
        @for (truth, cells) in classes {
            @let row = &confusion.counts[truth as usize];
            @let mistakes = row.iter().sum::<u64>() - row[truth as usize];
            details {
                summary {
                    (confusion.classes[truth as usize]) " (" (count(row.iter().sum(), "example")) ", "
                    (count(mistakes, "mistake")) ")"
                }
                @for cell in cells { (of_cell(tested, gallery, cell, depth)) }
            }
        }
    }
}

/// How many examples of each cell can be shown for this many bytes; at least one.
fn affordable(gallery: &Gallery, most_bytes: usize) -> usize {
    let size = |position: &u32| {
        let png = gallery.examples.get(position).and_then(|example| example.png.as_ref());
        png.map_or(0, String::len)
    };
    let deepest = gallery.cells.iter().map(|cell| cell.examples.len()).max().unwrap_or(0);
    let mut bytes = 0;
    for depth in 0..deepest {
        bytes += gallery.cells.iter().filter_map(|cell| cell.examples.get(depth)).map(size).sum::<usize>();
        if bytes > most_bytes {
            return depth.max(1);
        }
    }
    deepest.max(1)
}

fn of_cell(tested: &Tested<'_>, gallery: &Gallery, cell: &GalleryCell, depth: usize) -> Markup {
    let [truth, predicted] = [cell.truth as usize, cell.predicted as usize];
    let count = tested.evaluation.confusion.counts[truth][predicted];
    let classes = tested.classes();
    let shown = &cell.examples[..cell.examples.len().min(depth)];
    html! {
        // Inside of what is folded: a browser opens it for whoever follows a link to here.
        div.cell id=(anchor(truth, predicted)) {
            p {
                b {
                    (classes[truth])
                    @if truth == predicted { " predicted right" } @else { " taken for " (classes[predicted]) }
                }
                @if (count as usize) > shown.len() { ", " (shown.len()) " of " (count) } @else { ", " (count) }
                ". " a href="#confusion" { "Back to the matrix" }
            }
            (pictures(tested, gallery, shown))
        }
    }
}

fn pictures(tested: &Tested<'_>, gallery: &Gallery, positions: &[u32]) -> Markup {
    html! {
        div.gallery {
            @for position in positions {
                @if let Some(example) = gallery.examples.get(position) {
                    (picture(tested, *position, example, gallery.image_size.unwrap_or_default()))
                }
            }
        }
    }
}

fn picture(
    tested: &Tested<'_>,
    position: u32,
    example: &GalleryExample,
    [height, width]: [usize; 2],
) -> Markup {
    let truth = &tested.classes()[example.truth as usize];
    let predicted = &tested.classes()[example.predicted as usize];
    html! {
        figure.wrong[example.truth != example.predicted] {
            @if let Some(png) = &example.png {
                img width=(width) height=(height) src={ "data:image/png;base64," (png) }
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

fn table(tested: &Tested<'_>, gallery: &Gallery, positions: &[u32]) -> Markup {
    let (classes, has_lines) = (tested.classes(), has_lines(gallery));
    html! {
        table.rows {
            thead { tr {
                th scope="col" { "example" }
                @if has_lines { th scope="col" { "line" } }
                @for head in ["true", "predicted", "probability"] { th scope="col" { (head) } }
                @for column in &gallery.columns { th scope="col" { (column) } }
            } }
            tbody {
                @for position in positions {
                    @if let Some(example) = gallery.examples.get(position) {
                        @let predicted = &classes[example.predicted as usize];
                        tr {
                            th scope="row" { (position) }
                            @if has_lines { td { @if let Some(line) = example.line { (line) } } }
                            td { (classes[example.truth as usize]) }
                            td { @if example.truth == example.predicted { (predicted) } @else { b { (predicted) } } }
                            td { (percent(example.probability)) }
                            @for value in &example.values { td { (value) } }
                        }
                    }
                }
            }
        }
    }
}

fn has_lines(gallery: &Gallery) -> bool {
    gallery.examples.values().any(|example| example.line.is_some())
}

fn percent(probability: Option<f32>) -> String {
    probability.map_or_else(|| "not a number".to_owned(), |value| format!("{:.0}\u{a0}%", value * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_pictures_are_shown_fewer() {
        let example = GalleryExample {
            truth: 0,
            predicted: 0,
            probability: None,
            png: Some("x".repeat(100)),
            line: None,
            values: Vec::new(),
        };
        let cell = |predicted, examples| GalleryCell { truth: 0, predicted, examples };
        let gallery = Gallery {
            cells: vec![cell(0, vec![0, 1, 2]), cell(1, vec![3])],
            examples: (0..4).map(|position| (position, example.clone())).collect(),
            ..Gallery::default()
        };
        assert_eq!([1000, 400, 300, 200, 10].map(|bytes| affordable(&gallery, bytes)), [3, 3, 2, 1, 1]);
    }
}

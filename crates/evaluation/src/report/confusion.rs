//! The confusion matrix; a cell leads to its examples.

use maud::{Markup, html};

use super::page::Section;
use super::{Story, Tested, examples::anchor};
use crate::{Confusion, scrolled};

/// With more classes than this the table is wider than any page; the picture and the file have it.
const MOST_CLASSES: usize = 40;
/// How many pairs of classes are named.
const PAIRS: usize = 5;

pub(super) fn section(story: &Story<'_>, tested: &Tested<'_>) -> Section {
    let confusion = &tested.evaluation.confusion;
    let content = html! {
        @if confusion.classes.len() <= MOST_CLASSES {
            p.note {
                "Rows are true classes, columns predicted ones. Colours are shares of the row."
                @if has_cells(tested) { " A number leads to its examples." }
            }
            (scrolled("Confusion matrix", &table(tested, confusion)))
        } @else {
            p.note { (confusion.classes.len()) " classes: the whole matrix is in confusion_matrix.csv." }
            @if let Some(picture) = story.picture("confusion_matrix") { (maud::PreEscaped(picture)) }
        }
        (most_confused(tested, confusion))
    };
    Section { anchor: "confusion", heading: "Confusion matrix", content }
}

fn has_cells(tested: &Tested<'_>) -> bool {
    tested.gallery.is_some_and(|gallery| !gallery.cells.is_empty())
}

fn table(tested: &Tested<'_>, confusion: &Confusion) -> Markup {
    html! {
        table.confusion {
            thead { tr {
                th scope="col" { "true \\ predicted" }
                @for class in &confusion.classes { th scope="col" { (class) } }
            } }
            tbody {
                @for (truth, row) in confusion.counts.iter().enumerate() {
                    tr {
                        th scope="row" { (confusion.classes[truth]) }
                        @for (predicted, &count) in row.iter().enumerate() {
                            (cell(tested, [truth, predicted], count, row.iter().sum()))
                        }
                    }
                }
            }
        }
    }
}

fn cell(tested: &Tested<'_>, [truth, predicted]: [usize; 2], count: u64, total: u64) -> Markup {
    if count == 0 {
        return html! { td.none { "0" } };
    }
    let class = if truth == predicted { "hit" } else { "miss" };
    let share = count as f64 / total as f64;
    // A few mistakes in a hundred are what one looks for.
    let strength = if truth == predicted { share } else { share.sqrt() };
    let shown = tested.gallery.is_some_and(|gallery| {
        gallery.cells.iter().any(|cell| [cell.truth as usize, cell.predicted as usize] == [truth, predicted])
    });
    html! {
        td class=(class) style=(format!("--share:{strength:.3}")) title=(format!("{:.1} % of the row", share * 100.0)) {
            @if shown { a href={ "#" (anchor(truth, predicted)) } { (count) } } @else { (count) }
        }
    }
}

/// The pairs of classes that are most often taken for each other.
fn most_confused(tested: &Tested<'_>, confusion: &Confusion) -> Markup {
    let mut pairs: Vec<(u64, usize, usize)> = Vec::new();
    for (truth, row) in confusion.counts.iter().enumerate() {
        let misses = row.iter().enumerate().filter(|(predicted, count)| *predicted != truth && **count > 0);
        pairs.extend(misses.map(|(predicted, &count)| (count, truth, predicted)));
    }
    pairs.sort_by_key(|&(count, truth, predicted)| (std::cmp::Reverse(count), truth, predicted));
    pairs.truncate(PAIRS);
    let classes = tested.classes();
    html! {
        @if pairs.is_empty() { p { "No example is taken for another class." } }
        @else {
            p {
                "Most often: "
                @for (index, (count, truth, predicted)) in pairs.iter().enumerate() {
                    @if index > 0 { "; " }
                    (classes[*truth]) " taken for " (classes[*predicted]) " (" (count) ")"
                }
                "."
            }
        }
    }
}

//! Sections of the report for a closer look: the importance of columns, and single examples.

use std::collections::BTreeMap;

use kiln_diagnosis::Difference;
use kiln_plot::{Axis, LineChart, Series};
use maud::{Markup, html};

use crate::report::{ReportSection, ReportedEvaluation, summary::count};
use crate::{Dependence, Gallery, GalleryCell, GalleryExample, Importance, chart, scrolled};

/// Limit for the images by cell of the confusion matrix, because colour images are large.
const MOST_BYTES: usize = 400_000;

/// The anchor of the examples of a cell of the confusion matrix.
pub(super) fn anchor(truth: usize, predicted: usize) -> String {
    format!("cell-{truth}-{predicted}")
}

pub(super) fn examples_section(tested: &ReportedEvaluation<'_>) -> Option<ReportSection> {
    let gallery = tested.gallery?;
    let rows = [
        ("Most confident mistakes", &gallery.most_confident_mistakes),
        ("Least certain predictions", &gallery.least_certain),
        ("Random examples", &gallery.random),
    ];
    let has_images = gallery.image_size.is_some();
    let content = html! {
        p.note { (legend(gallery)) }
        @for (heading, examples) in rows {
            @if !examples.is_empty() {
                details {
                    summary { (heading) " (" (examples.len()) ")" }
                    @if has_images { (images(tested, gallery, examples)) }
                    @else { (scrolled(heading, &example_table(tested, gallery, examples))) }
                }
            }
        }
        @if !gallery.cells.is_empty() {
            h3 { "By true class" }
            (by_class(tested, gallery))
        }
    };
    Some(ReportSection { anchor: "examples", heading: "Examples", content })
}

fn legend(gallery: &Gallery) -> Markup {
    html! {
        @if gallery.image_size.is_some() {
            "Each caption shows the number of the example in the split, its true class, an arrow and the predicted class if \
             the prediction is wrong, and the probability of the predicted class. Mistakes have a frame."
        } @else {
            "Each row shows the number of the example in the split"
            @if has_lines(gallery) { ", the line of the file where it begins" }
            ", the true and the predicted class, and the probability of the predicted class. Mistakes are bold."
            @if !gallery.columns.is_empty() { " The other columns are the values that the network received." }
        }
    }
}

/// The cells of the confusion matrix, grouped by true class: first the mistakes, then the correct predictions.
fn by_class(tested: &ReportedEvaluation<'_>, gallery: &Gallery) -> Markup {
    let mut classes: BTreeMap<u32, Vec<&GalleryCell>> = BTreeMap::new();
    for cell in &gallery.cells {
        classes.entry(cell.truth).or_default().push(cell);
    }
    for (truth, cells) in &mut classes {
        cells.sort_by_key(|cell| cell.predicted == *truth);
    }
    let depth = affordable_depth(gallery, MOST_BYTES);
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
                @for cell in cells { (cell_examples(tested, gallery, cell, depth)) }
            }
        }
    }
}

/// How many examples of each cell fit into this many bytes; at least one.
fn affordable_depth(gallery: &Gallery, most_bytes: usize) -> usize {
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

fn cell_examples(
    tested: &ReportedEvaluation<'_>,
    gallery: &Gallery,
    cell: &GalleryCell,
    depth: usize,
) -> Markup {
    let [truth, predicted] = [cell.truth as usize, cell.predicted as usize];
    let count = tested.evaluation.confusion.counts[truth][predicted];
    let classes = tested.classes();
    let shown = &cell.examples[..cell.examples.len().min(depth)];
    html! {
        // Inside the folded `details`: a browser unfolds it when the reader follows a link to this anchor.
        div.cell id=(anchor(truth, predicted)) {
            p {
                b {
                    (classes[truth])
                    @if truth == predicted { " predicted correctly" } @else { " predicted as " (classes[predicted]) }
                }
                @if (count as usize) > shown.len() { ", " (shown.len()) " of " (count) } @else { ", " (count) }
                ". " a href="#confusion" { "Back to the matrix" }
            }
            (images(tested, gallery, shown))
        }
    }
}

fn images(tested: &ReportedEvaluation<'_>, gallery: &Gallery, positions: &[u32]) -> Markup {
    html! {
        div.gallery {
            @for position in positions {
                @if let Some(example) = gallery.examples.get(position) {
                    (image(tested, *position, example, gallery.image_size.unwrap_or_default()))
                }
            }
        }
    }
}

fn image(
    tested: &ReportedEvaluation<'_>,
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

fn example_table(tested: &ReportedEvaluation<'_>, gallery: &Gallery, positions: &[u32]) -> Markup {
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
    probability.map_or_else(|| "NaN".to_owned(), |value| format!("{:.0}\u{a0}%", value * 100.0))
}

/// The table lists at most this many columns; a data set may have thousands.
const LISTED: usize = 40;
/// A chart shows at most this many classes, because more curves cannot be distinguished.
const CURVES: usize = 8;

pub(super) fn columns_section(tested: &ReportedEvaluation<'_>) -> Option<ReportSection> {
    let importance = tested.importance.as_ref()?;
    let content = html! {
        p.note {
            "Permutation importance: how much the log-loss rises and the accuracy falls if the values of a column are shuffled \
             among " (importance.examples) " examples"
            @if importance.shuffles > 1 { " (mean of " (importance.shuffles) " shuffles)" }
            ", with 95 % intervals over the examples. If two columns carry the same information, the network can use the other \
             one, and both look less important than they are together. The table shows what this network uses, not what causes \
             the class."
        }
        (column_table(importance))
        @if !importance.dependence.is_empty() {
            h3 { "How the predictions depend on the values" }
            p.note {
                "Partial dependence: the mean predicted probability if all of " (importance.dependence[0].examples) " examples \
                 get the same value in this column and keep their other values."
            }
            div.charts { @for dependence in &importance.dependence { (curve(tested, dependence)) } }
        }
    };
    Some(ReportSection { anchor: "columns", heading: "Importance of the columns", content })
}

fn column_table(importance: &Importance) -> Markup {
    let greatest = importance.columns.first().map_or(0.0, |column| column.log_loss.mean);
    let share = |mean: f64| if greatest > 0.0 { (mean / greatest).clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    html! {
        (scrolled("Importance of the columns", &html! { table.importance {
            thead { tr {
                @for head in ["column", "relative importance", "log-loss rises by", "95 % interval", "accuracy falls by", "95 % interval"] {
                    th scope="col" { (head) }
                }
            } }
            tbody {
                @for column in importance.columns.iter().take(LISTED) {
                    tr {
                        th scope="row" { (column.column) }
                        td.bar { div style={ "width:" (format!("{:.1}", share(column.log_loss.mean))) "%" } {} }
                        (cells(column.log_loss)) (cells(column.accuracy))
                    }
                }
            }
        } }))
        @if importance.columns.len() > LISTED {
            p.note { "The other " (importance.columns.len() - LISTED) " columns are in importance.json." }
        }
    }
}

fn cells(Difference { mean, lower, upper }: Difference) -> Markup {
    // Adding 0 turns a rounded -0 into 0.
    let [mean, lower, upper] = [mean, lower, upper].map(|value| (value * 1e4).round() / 1e4 + 0.0);
    html! { td { (format!("{mean:.4}")) } td.note { (format!("{lower:.4} to {upper:.4}")) } }
}

fn probability(shown: &[(usize, &String)]) -> String {
    match shown {
        [(_, name)] => format!("mean probability of {name}"),
        _ => "mean probability".to_owned(),
    }
}

/// A chart with a curve for each class if the values are numbers, or else a table. With two classes, only the second is shown.
fn curve(tested: &ReportedEvaluation<'_>, dependence: &Dependence) -> Markup {
    let classes: Vec<(usize, &String)> = tested.classes().iter().enumerate().collect();
    let shown = match classes.len() {
        2 => &classes[1..],
        count if count <= CURVES => &classes[..],
        _ => &classes[..CURVES],
    };
    let numbers: Option<Vec<f64>> = dependence.values.iter().map(|value| value.number).collect();
    let drawn = numbers.and_then(|numbers| {
        let of_class = |(order, (class, name)): (usize, &(usize, &String))| {
            let probabilities = dependence.values.iter().map(|value| value.probabilities[*class]);
            let series =
                Series::new(name.as_str(), order, numbers.iter().copied().zip(probabilities).collect());
            Series { has_dots: true, ..series }
        };
        let series = shown.iter().enumerate().map(of_class).collect();
        let (x, y) = (Axis::values(dependence.column.as_str()), Axis::values(probability(shown)));
        LineChart::new(dependence.column.as_str(), x, y, series).to_svg().ok()
    });
    if let Some(svg) = drawn {
        return chart(&svg, "");
    }
    let table = html! {
        table {
            thead { tr {
                th scope="col" { "value" }
                @if shown.len() == 1 { th scope="col" { (probability(shown)) } }
                @else { @for (_, name) in shown { th scope="col" { (name) } } }
            } }
            tbody {
                @for value in &dependence.values {
                    tr {
                        th scope="row" { (value.value) }
                        @for (class, _) in shown { td { (format!("{:.3}", value.probabilities[*class])) } }
                    }
                }
            }
        }
    };
    html! {
        div.chart {
            h4 { (dependence.column) }
            (scrolled(&format!("Predictions by {}", dependence.column), &table))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_images_are_shown_if_they_are_large() {
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
        assert_eq!([1000, 400, 300, 200, 10].map(|bytes| affordable_depth(&gallery, bytes)), [3, 3, 2, 1, 1]);
    }
}

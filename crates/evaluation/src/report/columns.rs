//! What the columns of a table are worth to the network, and how its answers follow their values.

use kiln_diagnosis::Difference;
use kiln_plot::{Axis, LineChart, Series};
use maud::{Markup, html};

use super::Tested;
use super::page::Section;
use crate::{Dependence, Importance, chart, scrolled};

/// Columns that are listed; a table may have thousands.
const LISTED: usize = 40;
/// With more classes than this, no curve can be told from another.
const CURVES: usize = 8;

pub(super) fn section(tested: &Tested<'_>) -> Option<Section> {
    let importance = tested.importance.as_ref()?;
    let content = html! {
        p.note {
            "By how much the log-loss rises and the accuracy falls where the values of a column are exchanged between "
            (importance.examples) " examples"
            @if importance.shuffles > 1 { " (the mean of " (importance.shuffles) " exchanges)" }
            ", so that they tell the network nothing; with 95 % intervals over the examples. What two columns both tell, the \
             network may still learn from the other, and both look less important than they are together. It is what this \
             network uses, not what causes the class."
        }
        (table(importance))
        @if !importance.dependence.is_empty() {
            h3 { "How the answers follow the values" }
            p.note {
                "The mean probability where all of " (importance.dependence[0].examples) " examples are given the same value, and \
                 keep their other ones."
            }
            div.charts { @for dependence in &importance.dependence { (curve(tested, dependence)) } }
        }
    };
    Some(Section { anchor: "columns", heading: "What the columns are worth", content })
}

fn table(importance: &Importance) -> Markup {
    let greatest = importance.columns.first().map_or(0.0, |column| column.log_loss.mean);
    let share = |mean: f64| if greatest > 0.0 { (mean / greatest).clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    html! {
        (scrolled("What the columns are worth", &html! { table.worth {
            thead { tr {
                @for head in ["column", "share of the greatest", "log-loss", "95 % interval", "accuracy", "95 % interval"] {
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
            p.note { (importance.columns.len() - LISTED) " more columns are in importance.json." }
        }
    }
}

fn cells(Difference { mean, lower, upper }: Difference) -> Markup {
    // Without the sign of what is rounded to 0.
    let [mean, lower, upper] = [mean, lower, upper].map(|value| (value * 1e4).round() / 1e4 + 0.0);
    html! { td { (format!("{mean:.4}")) } td.note { (format!("{lower:.4} to {upper:.4}")) } }
}

fn probability(shown: &[(usize, &String)]) -> String {
    match shown {
        [(_, name)] => format!("mean probability of {name}"),
        _ => "mean probability".to_owned(),
    }
}

/// A curve for each class over numbers, a table of words; of two classes the second alone.
fn curve(tested: &Tested<'_>, dependence: &Dependence) -> Markup {
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
            (scrolled(&format!("Answers by {}", dependence.column), &table))
        }
    }
}

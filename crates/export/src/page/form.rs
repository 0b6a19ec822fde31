//! The fields of a table's columns.

use kiln_table::{Column, Preparation, Scale, Treatment};
use maud::{Markup, html};

/// What no training row has, as the page's script has it too.
const OTHER: &str = "(another value)";

/// A field for each column that the network uses.
pub(super) fn fields(preparation: &Preparation, examples: Option<usize>) -> Markup {
    html! {
        section.card aria-labelledby="form-title" {
            h2 #form-title { "Your values" }
            form autocomplete="off" {
                div.fields {
                    @for (at, (column, treatment)) in preparation.used().enumerate() { (field(at, column, treatment, examples)) }
                }
                button #reset type="button" { "Start again" }
            }
        }
    }
}

fn field(at: usize, column: &Column, treatment: &Treatment, examples: Option<usize>) -> Markup {
    let (id, warning) = (format!("c{at}"), format!("w{at}"));
    let may_miss = !treatment.knows_no_missing();
    // Where most of the training rows have no value, that is what is typical.
    let is_rare = may_miss && examples.is_some_and(|examples| 2 * column.missing > examples);
    let start = |usual: &'_ str| if is_rare { String::new() } else { usual.to_owned() };
    html! {
        div.field {
            label for=(id) { (column.name) @if let Some(unit) = unit(treatment) { span.unit { " (" (unit) ")" } } }
            @match treatment {
                Treatment::Number { scale, .. } => (number(at, column, scale)),
                Treatment::Boolean { no, yes, fill, .. } => {
                    (list(at, &[no, yes], &start(if *fill >= 0.5 { yes } else { no }), may_miss))
                }
                Treatment::Category { values, .. } => {
                    (list(at, &values.iter().collect::<Vec<_>>(), &start(&values[0]), may_miss))
                }
                Treatment::Date { format, .. } => {
                    input #(id) type=(date_field(format)) aria-describedby=(warning);
                }
            }
            @if may_miss && has_checkbox(treatment) {
                label.check { input #{"m" (at)} type="checkbox" checked[is_rare]; "not known" }
            }
            p.odd #(warning) role="status" hidden {}
        }
    }
}

fn unit(treatment: &Treatment) -> Option<&str> {
    match treatment {
        Treatment::Number { unit, .. } => unit.as_deref(),
        _ => None,
    }
}

fn has_checkbox(treatment: &Treatment) -> bool {
    matches!(treatment, Treatment::Number { .. } | Treatment::Date { .. })
}

/// A slider over the range of the training rows, and a field for any number.
fn number(at: usize, column: &Column, scale: &Scale) -> Markup {
    let step = step(column, scale);
    let [least, greatest] = [(scale.least / step).ceil() * step, (scale.greatest / step).floor() * step];
    let start = short((scale.median / step).round() * step);
    html! {
        div.pair {
            input #{"s" (at)} type="range" min=(short(least)) max=(short(greatest)) step=(short(step)) value=(start)
                aria-label={ (column.name) ", slider" };
            input #{"c" (at)} type="number" step="any" data-start=(start) value=(start) aria-describedby={ "w" (at) };
        }
    }
}

/// A tenth, a hundredth and so on of the range at most; whole where the column has whole numbers.
fn step(column: &Column, scale: &Scale) -> f64 {
    let range = scale.greatest - scale.least;
    let has_whole_ends = scale.least.fract() == 0.0 && scale.greatest.fract() == 0.0;
    let is_whole = scale.knots.iter().all(|knot| knot.fract() == 0.0);
    if column.maybe_names || (has_whole_ends && is_whole && range > 10.0 && range < 1000.0) {
        return 1.0;
    }
    if range > 0.0 && range.is_finite() { 10_f64.powf((range / 100.0).log10().floor()) } else { 1.0 }
}

/// `value` to six digits.
fn short(value: f64) -> String {
    format!("{value:.5e}").parse::<f64>().map_or_else(|_| value.to_string(), |value| value.to_string())
}

fn list(at: usize, values: &[&String], start: &str, may_miss: bool) -> Markup {
    html! {
        select #{"c" (at)} data-start=(start) aria-describedby={ "w" (at) } {
            @for value in values { option value=(value) selected[value.as_str() == start] { (value) } }
            option value=(OTHER) { "another value" }
            @if may_miss { option value="" selected[start.is_empty()] { "not known" } }
        }
    }
}

/// The kind of field in which browsers take what dates of `format` have.
fn date_field(format: &str) -> &'static str {
    let has_day = format.contains("%Y") || format.contains("%y");
    let has_time = format.contains("%H") || format.contains("%I");
    match (has_day, has_time) {
        (true, true) => "datetime-local",
        (true, false) => "date",
        _ => "time",
    }
}

//! The visible content of the page.

use kiln_table::{Column, Preparation, Scale, Treatment, counted};
use maud::{Markup, html};

use super::{AnswerSource, Bits, PageFacts};
use crate::{Cost, Input, Network, Pixels};

/// The greatest number of classes that a sentence lists.
const MOST_NAMED: usize = 12;

/// The greatest number of classes whose answer leaves room for fields on a small screen.
const FEW: usize = 3;

/// The whole content.
pub(super) fn content(network: &Network, facts: &PageFacts, source: AnswerSource<'_>) -> Markup {
    html! {
        header {
            p.brand { "A network trained with Kiln" }
            h1 { (facts.name) }
            p.lead { (introduction(network, facts)) }
        }
        main {
            noscript { p { "This page needs JavaScript, but it is switched off." } }
            @match &network.input {
                Input::Pixels(Pixels { shape, .. }) => {
                    div.stage.pictures {
                        (picture_input(facts, *shape))
                        div.stack { (answer("The answer", network)) (picture_as_seen(*shape)) }
                    }
                }
                Input::Columns(preparation) => {
                    div.stage.columns {
                        (fields(preparation, facts.examples))
                        div.stack { (answer(class_column(preparation), network)) (curve()) }
                    }
                }
            }
            p #live .unseen role="status" {}
            (reliability(network, facts, source))
            (about(network, facts, source))
        }
    }
}

fn introduction(network: &Network, facts: &PageFacts) -> String {
    let classes = &network.classes;
    let are_few = classes.len() <= MOST_NAMED;
    let all = if are_few {
        classes.join(", ")
    } else {
        format!("{} classes, such as {}", classes.len(), classes[..3].join(", "))
    };
    match (&network.input, facts.frame) {
        (Input::Columns(preparation), _) => {
            let (class, columns) = (class_column(preparation), preparation.used().count());
            format!(
                "Predicts “{class}” from {}. Change a value and see how the answer changes.",
                counted(columns, "value")
            )
        }
        (_, Some(_)) if are_few => format!("Draw one of these: {all}."),
        (_, Some(_)) => format!("Draw one of {all}."),
        (_, None) => format!("Choose a picture. Possible answers: {all}."),
    }
}

fn picture_input(facts: &PageFacts, [_, height, width]: [usize; 3]) -> Markup {
    let hint = if facts.frame.is_some() { "Draw here" } else { "Drop a picture here, or draw" };
    html! {
        section.card aria-labelledby="sheet-title" {
            h2 #sheet-title { "Your picture" }
            div.sheet #sheet {
                canvas #canvas width="320" height="320" tabindex="0" role="application" aria-label="Drawing area"
                    aria-describedby="keys pen-place" {}
                p #hint aria-hidden="true" { (hint) }
            }
            div.tools {
                button #clear type="button" { "Clear" }
                label.button { "Choose a picture" input #file type="file" accept="image/*"; }
                label.pen { "Pen" input #pen type="range" min="6" max="48" value="24"; }
                @if facts.frame.is_none() {
                    label.check { input #dark-paper type="checkbox"; "Black paper" }
                }
            }
            p.note.small { "You can also paste or drop a picture." }
            p.unseen #keys {
                "Keyboard: the arrow keys move the pen, the space bar lowers or lifts it, and Delete clears the drawing. The \
                 network sees " (width) " by " (height) " pixels."
            }
            p.unseen #pen-place role="status" {}
        }
    }
}

/// The name of the column with the class.
fn class_column(preparation: &Preparation) -> &str {
    let is_input = |name: &&String| preparation.columns.iter().any(|column| column.name == **name);
    preparation.names.iter().find(|name| !is_input(name)).map_or("The answer", String::as_str)
}

fn answer(title: &str, network: &Network) -> Markup {
    html! {
        section.card.answer.few[network.classes.len() <= FEW] aria-labelledby="answer-title" {
            h2 #answer-title { (title) }
            p.verdict { span #named { "?" } span #sure {} }
            ol #bars .bars {}
            p #by-threshold .note.small hidden { "Another class is more probable, but the threshold decides; see below." }
            ul #unusual .warnings aria-label="Unusual values" hidden {}
            p #problem role="alert" hidden {}
        }
    }
}

fn picture_as_seen([_, height, width]: [usize; 3]) -> Markup {
    html! {
        section.card aria-labelledby="lens-title" {
            h2 #lens-title { "What the network sees" }
            div.sees {
                div.lens {
                    canvas #seen width=(width) height=(height) role="img" aria-label="The picture as the network sees it" {}
                    canvas #heat width=(width) height=(height) aria-hidden="true" {}
                }
                div.words {
                    p.note { (width) " × " (height) " pixels, prepared like the training pictures." }
                    label.check { input #explain type="checkbox"; "Show what the answer depends on" }
                    div #heat-legend hidden {
                        p.small {
                            span.key.for {} "supports " strong #heat-class { "the answer" } " "
                            span.key.against {} "contradicts it"
                        }
                        p.note {
                            "Measured by covering the picture patch by patch. It shows which parts matter to the network, not \
                             whether the answer is correct."
                        }
                    }
                }
            }
        }
    }
}

fn curve() -> Markup {
    html! {
        section.card aria-labelledby="curve-title" {
            h2 #curve-title { "One value at a time" }
            div #curve tabindex="0" role="group" aria-labelledby="curve-title" aria-describedby="curve-words" {}
            p #curve-words .note {}
        }
    }
}

/// The reliability of the answers.
fn reliability(network: &Network, facts: &PageFacts, source: AnswerSource<'_>) -> Markup {
    let share = |value: f64| format!("{:.1} %", 100.0 * value);
    let tested = match facts.tested {
        None => "These weights have not been tested on held-out examples.".to_owned(),
        Some(tested) => {
            let interval = tested.interval.map_or(String::new(), |interval| {
                format!(" (95 % confidence interval: {} to {})", share(interval.lower), share(interval.upper))
            });
            format!(
                "Tested on {} held out from training: {} correct{interval}. On other data it may be worse.",
                counted(tested.examples as usize, "example"),
                share(tested.share),
            )
        }
    };
    let calibrated = if network.calibration.is_some() {
        "The probabilities are calibrated: about 8 in 10 answers with 80 % should be correct, on data like the training data."
    } else {
        "The probabilities are not calibrated: the network may be overconfident."
    };
    let anything = match network.input {
        Input::Pixels(_) => {
            "Every picture gets an answer: a picture of something else also gets one of these classes, often with a high \
             probability."
        }
        Input::Columns(_) => {
            "All values get an answer, even impossible ones. Outside the range of the training data the network can only guess; \
             the page then shows a warning."
        }
    };
    html! {
        section.trust aria-labelledby="trust-title" {
            h2 #trust-title { "How far to trust it" }
            ul {
                li { (tested) }
                li { (calibrated) }
                li { (anything) }
                @if let Some(threshold) = network.threshold {
                    li {
                        "“" (network.classes[threshold.positive]) "” is predicted if its probability is at least "
                        (share(threshold.least)) "."
                    }
                }
                @if let AnswerSource::Embedded { bits: Bits::Half } = source { li { (rounding(facts.cost.as_ref())) } }
                li {
                    @match source {
                        AnswerSource::Embedded { .. } => "Nothing leaves this page: it computes all answers itself.",
                        AnswerSource::Server { .. } => "Your input is sent to the server of this page.",
                    }
                }
            }
        }
    }
}

fn rounding(cost: Option<&Cost>) -> String {
    let Some(cost) = cost else {
        return "The weights are rounded to 16 bits; the effect was not measured.".to_owned();
    };
    let classes = match cost.changed {
        0 => "no answer".to_owned(),
        changed => counted(changed, "answer"),
    };
    format!(
        "The weights are rounded to 16 bits. On {}, this changed {classes}, and no probability by more than {:.3} \
         percentage points. Accuracy: {:.2} % before, {:.2} % after.",
        counted(cost.examples, "test example"),
        100.0 * cost.difference,
        100.0 * cost.accuracy,
        100.0 * cost.accuracy_of_half,
    )
}

fn about(network: &Network, facts: &PageFacts, source: AnswerSource<'_>) -> Markup {
    let example = match &network.input {
        Input::Pixels(Pixels { shape, greatest, .. }) => {
            format!("kiln.predict(levels): {} levels from 0 to {greatest}", shape.iter().product::<usize>())
        }
        Input::Columns(_) => "kiln.predict({column: value, ...})".to_owned(),
    };
    html! {
        details {
            summary { "About this network" }
            dl {
                dt { "Data" } dd { (facts.data) }
                @if let Some(examples) = facts.examples { dt { "Trained on" } dd { (counted(examples, "example")) } }
                @if !facts.date.is_empty() { dt { "Trained" } dd { (facts.date) } }
                dt { "Classes" } dd { (network.classes.len()) }
                dt { "Weights" }
                dd {
                    (network.parameters())
                    @if network.members.len() > 1 { " in " (network.members.len()) " networks, whose probabilities are averaged" }
                    @if let AnswerSource::Embedded { bits } = source { ", " (bits.number()) " bits each" }
                }
                dt { "SHA-256 of the trained weights" } dd { code { (facts.sha256) } }
                dt { "In the browser's console" } dd { code { (example) } }
                @if let AnswerSource::Server { .. } = source { dt { "From a program" } dd { a href="/docs" { "the server's description" } } }
            }
        }
    }
}

/// The list entry for a value that no training row has; the script `form.js` uses the same text.
const OTHER: &str = "(another value)";

/// A field for each column that the network uses.
fn fields(preparation: &Preparation, examples: Option<usize>) -> Markup {
    html! {
        section.card aria-labelledby="form-title" {
            h2 #form-title { "Your values" }
            form autocomplete="off" {
                div.fields {
                    @for (at, (column, treatment)) in preparation.used().enumerate() { (field(at, column, treatment, examples)) }
                }
                button #reset type="button" { "Reset" }
            }
        }
    }
}

fn field(at: usize, column: &Column, treatment: &Treatment, examples: Option<usize>) -> Markup {
    let (id, warning) = (format!("c{at}"), format!("w{at}"));
    let may_miss = !treatment.knows_no_missing();
    // If most of the training rows have no value, start without one.
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
                label.check { input #{"m" (at)} type="checkbox" checked[is_rare]; "unknown" }
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

/// A slider for the range of the training rows, and a field for any number.
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

/// The step of the slider: a power of ten, at most a hundredth of the range; 1 for a column of integers.
fn step(column: &Column, scale: &Scale) -> f64 {
    let range = scale.greatest - scale.least;
    let has_whole_ends = scale.least.fract() == 0.0 && scale.greatest.fract() == 0.0;
    let is_whole = scale.knots.iter().all(|knot| knot.fract() == 0.0);
    if column.maybe_names || (has_whole_ends && is_whole && range > 10.0 && range < 1000.0) {
        return 1.0;
    }
    if range > 0.0 && range.is_finite() { 10_f64.powf((range / 100.0).log10().floor()) } else { 1.0 }
}

/// `value` with six significant digits.
fn short(value: f64) -> String {
    format!("{value:.5e}").parse::<f64>().map_or_else(|_| value.to_string(), |value| value.to_string())
}

fn list(at: usize, values: &[&String], start: &str, may_miss: bool) -> Markup {
    html! {
        select #{"c" (at)} data-start=(start) aria-describedby={ "w" (at) } {
            @for value in values { option value=(value) selected[value.as_str() == start] { (value) } }
            option value=(OTHER) { "another value" }
            @if may_miss { option value="" selected[start.is_empty()] { "unknown" } }
        }
    }
}

/// The type of the browser's input field for dates of `format`.
fn date_field(format: &str) -> &'static str {
    let has_day = format.contains("%Y") || format.contains("%y");
    let has_time = format.contains("%H") || format.contains("%I");
    match (has_day, has_time) {
        (true, true) => "datetime-local",
        (true, false) => "date",
        _ => "time",
    }
}

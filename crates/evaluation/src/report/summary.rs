//! The top of the report: the run in a few sentences, the main figures, the comparison with baselines, and the findings.

use kiln_artifacts::{DatasetProvenance, RunState, RunStatus};
use kiln_diagnosis::{Difference, Severity};
use maud::{Markup, html};

use crate::figures::{FIGURES, FigurePlace};
use crate::report::{ReportContext, ReportSection, ReportedEvaluation, figure};
use crate::{BaselineModel, ConfidenceInterval, Metrics, scrolled};

/// What was trained, on which data, how good it is compared with baselines, and which checkpoint was tested. Facts that are
/// missing in the run's folder are left out.
pub(super) fn summary(report: &ReportContext<'_>) -> String {
    let (network, training) = (network_words(report), training_words(report));
    let Some(tested) = &report.tested else {
        return format!("{network} was trained{training}. {}", end(&report.status));
    };
    let metrics = &tested.evaluation.metrics;
    let training = if training.is_empty() { training } else { format!(", trained{training},") };
    let result = format!(
        "{network}{training} classifies {} of {} correctly{}",
        percent(metrics.accuracy()),
        examples(metrics.examples, tested),
        interval(metrics),
    );
    let parts = [Some(result), baselines_sentence(metrics), checkpoint_sentence(metrics, &report.status)];
    let words: Vec<String> = parts.into_iter().flatten().collect();
    let end = match report.status.state {
        RunState::Failed | RunState::Interrupted => format!(" {}", end(&report.status)),
        RunState::Running | RunState::Finished => String::new(),
    };
    format!("{}.{end}", words.join(". "))
}

/// "A multilayer perceptron 64-256-128-10 (51,338 weights)".
fn network_words(report: &ReportContext<'_>) -> String {
    let model = &report.experiment.model;
    let layers = report.profile.as_ref().filter(|_| model.is_mlp()).map_or(String::new(), |profile| {
        format!(" {}", model.sizes(profile.shape.features(), profile.classes.len()))
    });
    let kind = match (model.is_mlp(), model.members, model.hidden.is_empty()) {
        (false, ..) => format!("The network {}", model.name),
        (true, 1, true) => "A linear model".to_owned(),
        (true, 1, false) => "A multilayer perceptron".to_owned(),
        (true, members, _) => format!("An ensemble of {members} multilayer perceptrons"),
    };
    let weights = report.weights.map_or(String::new(), |count| format!(" ({} weights)", grouped(count)));
    kind + &layers + &weights
}

/// " on 1,293 examples of digits for 40 epochs".
fn training_words(report: &ReportContext<'_>) -> String {
    let counts = report.profile.as_ref().and_then(|profile| profile.examples);
    let counted = counts.map(|counts| format!(" {} examples of", grouped(counts.train as u64)));
    let data = report.provenance.as_ref().map(|provenance| data_name(&provenance.dataset));
    let data = data.or(report.profile.as_ref().map(|profile| profile.source.as_str()));
    let data = data.map_or(String::new(), |name| format!(" on{} {name}", counted.unwrap_or_default()));
    // The test takes place before the run is marked as finished.
    let is_over = report.tested.is_some() || report.status.state == RunState::Finished;
    let epochs = match (report.status.epoch, is_over) {
        (0, _) => String::new(),
        (epochs, true) => format!(" for {}", count(epochs, "epoch")),
        (epoch, _) => format!(" up to epoch {epoch} of {}", report.status.epochs),
    };
    data + &epochs
}

/// The name of the data; for a single table of the user, the name of its file.
fn data_name(data: &DatasetProvenance) -> &str {
    match data.files.as_slice() {
        [file] if data.name == "csv" => file.name.rsplit('/').next().unwrap_or(&file.name),
        _ => &data.name,
    }
}

fn examples(number: u64, tested: &ReportedEvaluation<'_>) -> String {
    let split = tested.name.split('-').next().unwrap_or_default();
    let kind = if ["train", "validation", "test"].contains(&split) { split } else { "" };
    let kind = if kind == "train" { "training" } else { kind };
    let gap = if kind.is_empty() { "" } else { " " };
    format!("{} {kind}{gap}{}", grouped(number), if number == 1 { "example" } else { "examples" })
}

fn interval(metrics: &Metrics) -> String {
    let interval = metrics.intervals.as_ref().and_then(|all| all.of("accuracy"));
    interval.map_or(String::new(), |interval| {
        format!(" (95 % interval {} to {})", percent(interval.lower), percent(interval.upper))
    })
}

/// "Always predicting the most frequent class is correct for 10.3 %, a linear model for 95.8 %".
fn baselines_sentence(metrics: &Metrics) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    for baseline in &metrics.baselines {
        let name = match baseline.model {
            BaselineModel::MostFrequentClass => "always predicting the most frequent class",
            BaselineModel::LinearModel => "a linear model",
            BaselineModel::LinearModelStoppedEarly => "a linear model (stopped early)",
        };
        let verb = if words.is_empty() { " is correct" } else { "" };
        words.push(format!("{name}{verb} for {}", percent(baseline.accuracy)));
    }
    let sentence = words.join(", ");
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
}

/// "The tested checkpoint is that of epoch 33, the best by validation loss".
fn checkpoint_sentence(metrics: &Metrics, status: &RunStatus) -> Option<String> {
    let step = metrics.checkpoint_step?;
    let words = match &status.best {
        Some(best) if best.step == step => {
            format!("that of epoch {}, the best by {}", best.epoch, best.monitor.words())
        }
        _ if step == status.step => format!("the last one, of epoch {}", status.epoch),
        _ => format!("that of step {}", grouped(step)),
    };
    Some(format!("The tested checkpoint is {words}"))
}

/// How a run without a test, or a failed or stopped run, ended.
fn end(status: &RunStatus) -> String {
    let place = format!("at step {} of {}", grouped(status.step), grouped(status.steps));
    match (status.state, &status.error) {
        (RunState::Failed, Some(error)) => {
            // In runs of earlier versions, the error includes remedies; the report shows them with the findings.
            let error = error.split(". Try ").next().unwrap_or(error);
            let stop = if error.ends_with('.') { "" } else { "." };
            format!("The run failed: {error}{stop}")
        }
        (RunState::Failed, None) => format!("The run failed {place}."),
        (RunState::Interrupted, _) => format!("The run was stopped {place} and can be resumed."),
        (RunState::Running, _) => {
            format!("The run was still in progress, {place}, when this report was written.")
        }
        (RunState::Finished, _) => "It was not tested.".to_owned(),
    }
}

/// "98.9 %"; with two decimals if one would round a share below 1 to 100 %.
fn percent(share: f64) -> String {
    if !share.is_finite() {
        return "an undefined share".to_owned();
    }
    let percent = share * 100.0;
    let digits = if percent >= 99.95 && share < 1.0 { 2 } else { 1 };
    format!("{percent:.digits$}\u{a0}%")
}

pub(super) fn count(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// "51,338".
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The main figures as cards, with notes on how they were computed.
pub(super) fn headline(report: &ReportContext<'_>, tested: &ReportedEvaluation<'_>) -> Markup {
    let metrics = &tested.evaluation.metrics;
    let intervals = metrics.intervals.as_ref();
    let cards = FIGURES.iter().filter(|row| row.place == FigurePlace::Card).map(|row| {
        let interval = intervals.and_then(|all| all.of(row.key)).map(interval_words);
        let name = if row.key == "macro_auc" && tested.is_binary() { "AUC" } else { row.words };
        (figure(metrics.figure(row.key)), name, interval)
    });
    html! {
        div.cards {
            @for (value, name, interval) in cards {
                div.card { b { (value) } (name) @if let Some(interval) = interval { br; span { (interval) } } }
            }
        }
        @if let Some(intervals) = intervals {
            p.note {
                "The interval of the accuracy is a Wilson score interval; the others come from a stratified percentile bootstrap \
                 with " (intervals.resamples) " resamples of the examples. The calibration error uses 15 bins of equal width."
            }
        }
        @if !metrics.baselines.is_empty() { (baseline_table(metrics)) }
        @if let Some(threshold) = &metrics.threshold { p.note { (threshold.words()) "." } }
        @if let Some(calibration) = &metrics.calibration {
            p.note {
                "The probabilities were calibrated on " (calibration.examples) " held-out examples with a temperature of "
                (format!("{:.2}", calibration.temperature)) ", which changes the log-loss of these examples from "
                (figure(Some(calibration.log_loss_before))) " to " (figure(Some(calibration.log_loss_after)))
                ". The loss above is that of the network without calibration."
            }
        }
        @if let Some(active) = &metrics.dropout_active {
            @if report.experiment.model.is_mlp() && report.experiment.model.dropout > 0.0 {
                p.note {
                    "With dropout active, as in some published results: accuracy "
                    (figure(Some(active.accuracy))) ", loss " (figure(active.loss)) "."
                }
            }
        }
        @if metrics.non_finite_examples > 0 {
            p { b { (metrics.non_finite_examples) " examples have a loss or a probability that is NaN or infinite." } }
        }
    }
}

/// The network compared with the baselines.
fn baseline_table(metrics: &Metrics) -> Markup {
    let signed = |gain: Option<Difference>| {
        gain.map(|Difference { mean, lower, upper }| format!("{mean:+.4} ({lower:+.4} to {upper:+.4})"))
    };
    html! {
        (scrolled("Comparison with baselines", &html! { table {
            thead { tr {
                @for head in ["model", "accuracy", "network is higher by", "log-loss", "network is lower by"] {
                    th scope="col" { (head) }
                }
            } }
            tbody {
                tr {
                    th scope="row" { "this network" }
                    td { b { (figure(Some(metrics.accuracy_of_probable()))) } } td {}
                    td { b { (figure(metrics.figure("log_loss"))) } } td {}
                }
                @for baseline in &metrics.baselines {
                    tr {
                        th scope="row" { (baseline.model) }
                        td { (figure(Some(baseline.accuracy))) }
                        td { @if let Some(gain) = signed(baseline.accuracy_gain) { (gain) } }
                        td { (figure(baseline.log_loss)) }
                        td { @if let Some(gain) = signed(baseline.log_loss_gain) { (gain) } }
                    }
                }
            }
        } }))
        p.note {
            @if metrics.threshold.is_some() { "In this table, the more probable class is the prediction. " }
            "Differences are means over the same examples, with 95 % intervals from their standard errors."
            @if metrics.baselines.len() > 1 { " The linear model is a logistic regression on the same features." }
            @else {
                " There is no linear model here, because it would have taken more than a small part of the run's time, or \
                 because it was trained on these examples."
            }
        }
    }
}

fn interval_words(interval: ConfidenceInterval) -> String {
    format!("95 % interval {:.4} to {:.4}", interval.lower, interval.upper)
}

pub(super) fn findings_section(report: &ReportContext<'_>) -> ReportSection {
    let class = |severity| match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Failure => "failure",
    };
    let has_log = report.rows.iter().any(|row| row.split == "train");
    let content = html! {
        @if report.findings.is_empty() && !has_log {
            p { "There are no training figures in the log, so this run cannot be judged." }
        } @else if report.findings.is_empty() {
            p { "No problems were found: gradients, weights and losses stayed in their usual ranges, and the logged figures \
                 show neither underfitting nor overfitting." }
        } @else {
            ul.findings {
                @for finding in &report.findings {
                    li class=(class(finding.severity)) {
                        b { (finding.kind.as_str()) ": " } (finding.statement)
                        @if !finding.remedies.is_empty() { br; b { "Try: " } (finding.advice()) "." }
                    }
                }
            }
        }
    };
    ReportSection { anchor: "findings", heading: "Run health", content }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            [7, 999, 1000, 51_338, 1_234_567].map(grouped),
            ["7", "999", "1,000", "51,338", "1,234,567"]
        );
        assert_eq!(
            [0.9889, 1.0, 0.999_7, 0.103].map(percent),
            ["98.9\u{a0}%", "100.0\u{a0}%", "99.97\u{a0}%", "10.3\u{a0}%"]
        );
        assert_eq!([count(1, "epoch"), count(2, "epoch")], ["1 epoch", "2 epochs"]);
    }
}

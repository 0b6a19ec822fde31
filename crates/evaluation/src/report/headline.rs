//! What a reader wants to know first.

use kiln_diagnosis::Difference;
use maud::{Markup, html};

use super::{Story, Tested, figure};
use crate::figures::{FIGURES, Place};
use crate::{Interval, Metrics, scrolled};

pub(super) fn headline(story: &Story<'_>, tested: &Tested<'_>) -> Markup {
    let metrics = &tested.evaluation.metrics;
    let intervals = metrics.intervals.as_ref();
    let cards = FIGURES.iter().filter(|row| row.place == Place::Card).map(|row| {
        let interval = intervals.and_then(|all| all.of(row.key)).map(words);
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
                "Intervals: of the accuracy Wilson's, of the others by stratified percentile bootstrap, " (intervals.resamples) " resamples of the examples. \
                 The calibration error is over 15 bins of equal width."
            }
        }
        @if !metrics.baselines.is_empty() { (beside(metrics)) }
        @if let Some(threshold) = &metrics.threshold { p.note { (threshold.words()) "." } }
        @if let Some(calibration) = &metrics.calibration {
            p.note {
                "The probabilities are calibrated on " (calibration.examples) " examples that were held out: temperature "
                (format!("{:.2}", calibration.temperature)) ", by which their log-loss goes from "
                (figure(Some(calibration.log_loss_before))) " to " (figure(Some(calibration.log_loss_after)))
                ". The loss is the network's own."
            }
        }
        @if let Some(active) = &metrics.dropout_active {
            @if story.experiment.model.is_mlp() && story.experiment.model.dropout > 0.0 {
                p.note {
                    "With dropout left on, as some published figures were measured: accuracy "
                    (figure(Some(active.accuracy))) ", loss " (figure(active.loss)) "."
                }
            }
        }
        @if metrics.non_finite_examples > 0 {
            p { b { (metrics.non_finite_examples) " examples have a loss or a probability that is no finite number." } }
        }
    }
}

/// The network beside what needs no network.
fn beside(metrics: &Metrics) -> Markup {
    let ahead = |gain: Option<Difference>| {
        gain.map(|Difference { mean, lower, upper }| format!("{mean:+.4} ({lower:+.4} to {upper:+.4})"))
    };
    html! {
        (scrolled("Beside simple models", &html! { table {
            thead { tr {
                @for head in ["model", "accuracy", "the network's is higher by", "log-loss", "the network's is lower by"] {
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
                        td { @if let Some(gain) = ahead(baseline.accuracy_gain) { (gain) } }
                        td { (figure(baseline.log_loss)) }
                        td { @if let Some(gain) = ahead(baseline.log_loss_gain) { (gain) } }
                    }
                }
            }
        } }))
        p.note {
            @if metrics.threshold.is_some() { "The accuracies here are those of the more probable class. " }
            "Differences are means over the same examples, with 95 % intervals from their standard errors."
            @if metrics.baselines.len() > 1 { " The linear model is a logistic regression on the same features." }
            @else {
                " There is no linear model: it would have taken more than a small part of the run's time, or it has learned \
                 from these examples."
            }
        }
    }
}

fn words(interval: Interval) -> String {
    format!("95 % interval {:.4} to {:.4}", interval.lower, interval.upper)
}

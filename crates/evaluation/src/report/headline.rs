//! What a reader wants to know first.

use kiln_artifacts::RunState;
use kiln_diagnosis::Difference;
use maud::{Markup, html};

use super::{Story, figure};
use crate::figures::{FIGURES, Place};
use crate::{Interval, Metrics};

pub(super) fn headline(story: &Story<'_>) -> Markup {
    let metrics = &story.evaluation.metrics;
    let intervals = metrics.intervals.as_ref();
    let cards = FIGURES.iter().filter(|row| row.place == Place::Card).map(|row| {
        let interval = intervals.and_then(|all| all.of(row.key)).map(words);
        (figure(metrics.figure(row.key)), row.words, interval)
    });
    html! {
        p.note {
            "Run " (story.run.id()) ", " (story.name) " examples"
            @if let Some(provenance) = &story.provenance { " of " (provenance.dataset.name) }
            " (" (metrics.examples) ")"
            @if let Some(step) = metrics.checkpoint_step { ", checkpoint of step " (step) }
            "."
            @if story.status.state == RunState::Interrupted || story.status.state == RunState::Failed {
                " The run is " (story.status.state) " in epoch " (story.status.epoch) " of " (story.status.epochs) "."
            }
        }
        div.cards {
            @for (value, name, interval) in cards {
                div.card { b { (value) } (name) @if let Some(interval) = interval { br; span { (interval) } } }
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
        div.wide { table {
            tr {
                @for head in ["", "accuracy", "the network's is higher by", "log-loss", "the network's is lower by"] {
                    th { (head) }
                }
            }
            tr {
                th { "this network" }
                td { b { (figure(Some(metrics.accuracy_of_probable()))) } } td {}
                td { b { (figure(metrics.figure("log_loss"))) } } td {}
            }
            @for baseline in &metrics.baselines {
                tr {
                    th { (baseline.model) }
                    td { (figure(Some(baseline.accuracy))) }
                    td { @if let Some(gain) = ahead(baseline.accuracy_gain) { (gain) } }
                    td { (figure(baseline.log_loss)) }
                    td { @if let Some(gain) = ahead(baseline.log_loss_gain) { (gain) } }
                }
            }
        } }
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

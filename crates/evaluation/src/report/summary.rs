//! The run in one sentence or two: what was trained, on what, how good it is beside what needs no network, and which
//! checkpoint says so. What the run's folder does not tell is left out.

use kiln_artifacts::{Dataset, RunState, Status};

use super::{Story, Tested};
use crate::{BaselineModel, Metrics};

pub(super) fn summary(story: &Story<'_>) -> String {
    let (network, training) = (network(story), training(story));
    let Some(tested) = &story.tested else {
        return format!("{network} was trained{training}. {}", end(&story.status));
    };
    let metrics = &tested.evaluation.metrics;
    let training = if training.is_empty() { training } else { format!(", trained{training},") };
    let result = format!(
        "{network}{training} gets {} of {} right{}",
        percent(metrics.accuracy()),
        examples(metrics.examples, tested),
        interval(metrics),
    );
    let parts = [Some(result), beside(metrics), checkpoint(metrics, &story.status)];
    let words: Vec<String> = parts.into_iter().flatten().collect();
    let end = match story.status.state {
        RunState::Failed | RunState::Interrupted => format!(" {}", end(&story.status)),
        RunState::Running | RunState::Finished => String::new(),
    };
    format!("{}.{end}", words.join(". "))
}

/// "A multilayer perceptron 64-256-128-10 (51,338 weights)".
fn network(story: &Story<'_>) -> String {
    let model = &story.experiment.model;
    let layers = story.profile.as_ref().filter(|_| model.is_mlp()).map_or(String::new(), |profile| {
        format!(" {}", model.sizes(profile.shape.features(), profile.classes.len()))
    });
    let kind = match (model.is_mlp(), model.members, model.hidden.is_empty()) {
        (false, ..) => format!("The network {}", model.name),
        (true, 1, true) => "A linear model".to_owned(),
        (true, 1, false) => "A multilayer perceptron".to_owned(),
        (true, members, _) => format!("An ensemble of {members} multilayer perceptrons"),
    };
    let weights = story.weights.map_or(String::new(), |count| format!(" ({} weights)", grouped(count)));
    kind + &layers + &weights
}

/// " on 1,293 examples of digits for 40 epochs".
fn training(story: &Story<'_>) -> String {
    let counts = story.profile.as_ref().and_then(|profile| profile.examples);
    let counted = counts.map(|counts| format!(" {} examples of", grouped(counts.train as u64)));
    let data = story.provenance.as_ref().map(|provenance| data_name(&provenance.dataset));
    let data = data.or(story.profile.as_ref().map(|profile| profile.source.as_str()));
    let data = data.map_or(String::new(), |name| format!(" on{} {name}", counted.unwrap_or_default()));
    // A run is tested before its state says that it is finished.
    let is_over = story.tested.is_some() || story.status.state == RunState::Finished;
    let epochs = match (story.status.epoch, is_over) {
        (0, _) => String::new(),
        (epochs, true) => format!(" for {}", count(epochs, "epoch")),
        (epoch, _) => format!(" up to epoch {epoch} of {}", story.status.epochs),
    };
    data + &epochs
}

/// A file of the user's own is known by its name, not by its kind.
fn data_name(data: &Dataset) -> &str {
    match data.files.as_slice() {
        [file] if data.name == "csv" => file.name.rsplit('/').next().unwrap_or(&file.name),
        _ => &data.name,
    }
}

fn examples(number: u64, tested: &Tested<'_>) -> String {
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

/// "Naming the most frequent class every time gets 10.3 % right, a linear model 95.8 %".
fn beside(metrics: &Metrics) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    for baseline in &metrics.baselines {
        let name = match baseline.model {
            BaselineModel::MostFrequentClass => "naming the most frequent class every time",
            BaselineModel::LinearModel => "a linear model",
            BaselineModel::LinearModelStoppedEarly => "a linear model, stopped early,",
        };
        let gets = if words.is_empty() { " gets" } else { "" };
        let right = if words.is_empty() { " right" } else { "" };
        words.push(format!("{name}{gets} {}{right}", percent(baseline.accuracy)));
    }
    let sentence = words.join(", ");
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
}

/// "Tested: the checkpoint of epoch 33, the best by validation loss".
fn checkpoint(metrics: &Metrics, status: &Status) -> Option<String> {
    let step = metrics.checkpoint_step?;
    let words = match &status.best {
        Some(best) if best.step == step => {
            format!("the checkpoint of epoch {}, the best by {}", best.epoch, best.monitor.words())
        }
        _ if step == status.step => format!("the last checkpoint, of epoch {}", status.epoch),
        _ => format!("the checkpoint of step {}", grouped(step)),
    };
    Some(format!("Tested: {words}"))
}

/// How a run ended that has no test, or ended badly.
fn end(status: &Status) -> String {
    let place = format!("at step {} of {}", grouped(status.step), grouped(status.steps));
    match (status.state, &status.error) {
        (RunState::Failed, Some(error)) => {
            // Runs of earlier versions have what to try in the error; it stands with the findings.
            let error = error.split(". Try ").next().unwrap_or(error);
            let stop = if error.ends_with('.') { "" } else { "." };
            format!("The run failed: {error}{stop}")
        }
        (RunState::Failed, None) => format!("The run failed {place}."),
        (RunState::Interrupted, _) => format!("The run was stopped {place} and can be resumed."),
        (RunState::Running, _) => format!("The run was not finished when this was written, {place}."),
        (RunState::Finished, _) => "It was not tested.".to_owned(),
    }
}

/// "98.9 %": with a second digit where one would round to 100.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_read_them() {
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

//! The pictures of a search: what was tried, and what accuracy costs.

use kiln_plot::{Axis, LineChart, Parallel, ParallelAxis, ParallelLine, PlotError, Series};

use super::super::Search;
use super::super::space::{Dimension, Domain, Interval};
use super::csv::setting;
use super::{SearchReport, SearchedTrial};
use crate::pictures::{Picture, drawn_ones};

/// Every picture that there is something to draw for: `parallel`, `front`.
pub(super) fn pictures(report: &SearchReport, search: &Search) -> Result<Vec<Picture>, PlotError> {
    let (parallel, front) = (parallel(report, search), front(report));
    let drawn =
        [("parallel", parallel.to_svg(), parallel.to_png()), ("front", front.to_svg(), front.to_png())];
    drawn_ones(drawn)
}

/// All trials that have a figure, with their settings and their place among all.
fn parallel(report: &SearchReport, search: &Search) -> Parallel {
    let tried: Vec<&SearchedTrial> =
        report.trials.iter().filter(|trial| trial.name != "base" && trial.figure.is_some()).collect();
    let mut axes: Vec<ParallelAxis> = search.space.iter().map(axis).collect();
    let worst = tried.len().saturating_sub(1);
    axes.push(ParallelAxis {
        label: "rank".to_owned(),
        ticks: vec![(1.0, "1".to_owned()), (0.0, tried.len().max(2).to_string())],
    });
    let line = |(rank, trial): (usize, &&SearchedTrial)| {
        let mut places: Vec<Option<f64>> =
            search.space.iter().map(|dimension| place(dimension, setting(trial, &dimension.key))).collect();
        places.push(Some(1.0 - rank as f64 / worst.max(1) as f64));
        let settings = trial.settings.iter().map(|(key, value)| format!("{key}={value}"));
        let figure = trial.figure.map_or_else(String::new, |figure| format!(": {figure:.4}"));
        let words: Vec<String> = std::iter::once(format!("{}{figure}", trial.name)).chain(settings).collect();
        ParallelLine { label: words.join("\n"), places }
    };
    let lines = tried.iter().enumerate().map(line).collect();
    Parallel { title: format!("{}: what was tried", report.study), axes, lines }
}

fn axis(dimension: &Dimension) -> ParallelAxis {
    let label = match &dimension.domain {
        Domain::List { .. } => format!("sum of {}", dimension.key),
        _ => dimension.key.clone(),
    };
    let ticks = match &dimension.domain {
        Domain::Choices(choices) => (0..)
            .zip(choices)
            .map(|(index, choice)| (share_of(index, choices.len()), choice.trim_matches('"').to_owned()))
            .collect(),
        Domain::Number(interval) => ends(interval),
        Domain::List { length, each } => ends(&sums(*length, each)),
    };
    ParallelAxis { label, ticks }
}

fn ends(interval: &Interval) -> Vec<(f64, String)> {
    let middle = interval.at(0.5);
    let mut places = vec![(0.0, interval.min), (1.0, interval.max)];
    places.extend(share_at(interval, middle).map(|share| (share, middle)));
    places.into_iter().map(|(share, value)| (share, shown(value))).collect()
}

fn shown(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if (1e-3..1e5).contains(&size) {
        let digits = (2.0 - size.log10().floor()).clamp(0.0, 5.0) as usize;
        let text = format!("{value:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        format!("{value:.1e}").replace(".0e", "e")
    }
}

/// All sums that a list can have.
fn sums([least, most]: [usize; 2], each: &Interval) -> Interval {
    Interval { min: each.min * least as f64, max: each.max * most as f64, step: None, ..*each }
}

fn place(dimension: &Dimension, value: &str) -> Option<f64> {
    match &dimension.domain {
        Domain::Choices(choices) => {
            choices.iter().position(|choice| choice == value).map(|index| share_of(index, choices.len()))
        }
        Domain::Number(interval) => share_at(interval, value.parse().ok()?),
        Domain::List { length, each } => {
            let numbers = value.split(|letter: char| "[], ".contains(letter));
            let numbers: Vec<f64> = numbers.filter_map(|number| number.parse().ok()).collect();
            if numbers.is_empty() { None } else { share_at(&sums(*length, each), numbers.iter().sum()) }
        }
    }
}

fn share_of(index: usize, count: usize) -> f64 {
    if count > 1 { index as f64 / (count - 1) as f64 } else { 0.5 }
}

fn share_at(interval: &Interval, value: f64) -> Option<f64> {
    let [low, high, value] =
        [interval.min, interval.max, value].map(|value| if interval.log { value.ln() } else { value });
    let share = (value - low) / (high - low);
    share.is_finite().then_some(share)
}

/// The figure of every trained trial against its seconds of training, and the front of those that none beats in both.
fn front(report: &SearchReport) -> LineChart {
    let whole = report.rungs.last().copied().unwrap_or_default();
    let point = |trial: &SearchedTrial| Some((trial.seconds, trial.figure?));
    let trained = report.trials.iter().filter(|trial| trial.rung == whole);
    // A gap between two points makes each a dot.
    let dots = trained.filter_map(point).flat_map(|point| [point, (f64::NAN, f64::NAN)]).collect();
    let on_front = |name: &String| report.trials.iter().find(|trial| trial.name == *name).and_then(point);
    let line = report.front.iter().filter_map(on_front).collect();
    let series = vec![
        Series::new("trained in full", 0, dots),
        Series::new("no other is better and faster", 1, line).with_dots(),
    ];
    let (x, y) = (Axis::logarithmic("seconds of training"), Axis::values(report.monitor.replace('_', " ")));
    LineChart::new(format!("{}: what it costs", report.study), x, y, series)
}

//! The files of a search's report: CSV, Markdown, a page, and pictures.

use std::path::Path;

use kiln_artifacts::{Run, replace_file};
use kiln_evaluation::{chart, html_page, scrolled};
use kiln_files::json_text;
use kiln_plot::{Axis, LineChart, ParallelAxis, ParallelCoordinates, ParallelLine, PlotError, Series};
use maud::{Markup, html};

use crate::StudyError;
use crate::leaderboard::{Picture, TextTable, drawn_ones, made_by, markdown_table};
use crate::ranking::Spread;
use crate::report::{STYLE, link, page_header, run_report};
use crate::search::Search;
use crate::search::report::{SearchReport, SearchedTrial, TrialStage};
use crate::search::space::{Dimension, Domain, NumberRange};

impl SearchReport {
    /// Writes all files of the report into the study's folder, each whole or not at all.
    pub(crate) fn write(&self, search: &Search, folder: &Path) -> Result<(), StudyError> {
        for (name, bytes) in [("leaderboard.csv", leaderboard_csv(self)), ("study.json", json_text(self))] {
            replace_file(&folder.join(name), &bytes)?;
        }
        if let Some(winner) = self.winner_toml(search) {
            replace_file(&folder.join("winner.toml"), winner.as_bytes())?;
        }
        self.write_reports();
        let pictures = pictures(self, search)?;
        let files = [
            ("leaderboard.md", leaderboard_markdown(self).into_bytes()),
            ("leaderboard.html", leaderboard_page(self, &pictures, folder).into_bytes()),
        ];
        for (name, bytes) in files {
            replace_file(&folder.join(name), &bytes)?;
        }
        pictures.iter().try_for_each(|picture| picture.write(folder))
    }

    /// The winner's settings as an experiment file.
    fn winner_toml(&self, search: &Search) -> Option<String> {
        let name = &self.winner.as_ref()?.name;
        let winner = self.trials.iter().find(|trial| trial.name == *name)?;
        Some(search.experiment(&self.study, &winner.settings, search.base.seed).ok()?.to_toml())
    }

    /// Writes the report of one run of each confirmed trial, unless it exists.
    fn write_reports(&self) {
        let confirmed = self.trials.iter().filter(|trial| trial.stage == TrialStage::Confirmed);
        for run in confirmed.filter_map(|trial| Run::open(trial.runs.first()?).ok()) {
            if !run.report().exists() {
                // The search does not need it.
                let _ = run_report(&run);
            }
        }
    }

    /// The leaderboard as rows of text.
    #[must_use]
    pub fn leaderboard(&self) -> TextTable {
        leaderboard(self)
    }
}

/// `leaderboard.csv`. It contains no times, so that equal searches give equal bytes.
fn leaderboard_csv(report: &SearchReport) -> Vec<u8> {
    let figure = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let head = ["rank", "trial", "stage", "epochs", report.monitor.as_str()];
    let spreads = [
        "fresh_mean",
        "fresh_deviation",
        "fresh_seeds",
        "close_call_mean",
        "close_call_seeds",
        "test_accuracy",
        "test_loss",
    ];
    let head = head.into_iter().chain(spreads).chain(report.keys.iter().map(String::as_str));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(head).expect("memory has room");
    for trial in &report.trials {
        let confirmed = trial.confirmed.as_ref();
        let test = [&trial.test_accuracy, &trial.test_loss].map(|test| test.as_ref().map(|test| test.mean));
        let cells = [
            trial.rank.to_string(),
            trial.name.clone(),
            trial.stage.to_string(),
            trial.epochs.to_string(),
            figure(trial.figure),
            figure(confirmed.map(|spread| spread.mean)),
            figure(confirmed.and_then(|spread| spread.deviation)),
            confirmed.map_or_else(String::new, |spread| spread.count.to_string()),
            figure(trial.close_call.as_ref().map(|spread| spread.mean)),
            trial.close_call.as_ref().map_or_else(String::new, |spread| spread.count.to_string()),
            figure(test[0]),
            figure(test[1]),
        ];
        let settings = report.keys.iter().map(|key| shown_setting(trial, key));
        writer.write_record(cells.into_iter().chain(settings)).expect("every row is as long as the head");
    }
    writer.into_inner().expect("memory has room")
}

/// A trial's value of a key, as TOML; empty if it does not set the key.
fn setting<'t>(trial: &'t SearchedTrial, key: &str) -> &'t str {
    trial.settings.iter().find(|(found, _)| found == key).map_or("", |(_, value)| value)
}

/// A trial's value of a key, with plain text unquoted.
fn shown_setting(trial: &SearchedTrial, key: &str) -> String {
    let value = setting(trial, key);
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    inner.filter(|inner| !inner.contains(['"', '\\'])).unwrap_or(value).to_owned()
}

/// The leaderboard as rows of text; columns without any entry are left out.
fn leaderboard(report: &SearchReport) -> TextTable {
    let monitor = report.monitor.replace('_', " ");
    let shown = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
    let mut columns: Vec<(String, Vec<String>)> = Vec::new();
    let mut column = |head: &str, entry: &dyn Fn(&SearchedTrial) -> String| {
        columns.push((head.to_owned(), report.trials.iter().map(entry).collect()));
    };
    column("rank", &|trial| trial.rank.to_string());
    column("trial", &|trial| trial.name.clone());
    column("stage", &|trial| trial.stage.to_string());
    column("epochs", &|trial| trial.epochs.to_string());
    column(&monitor, &|trial| shown(trial.figure));
    column("on fresh seeds", &|trial| {
        trial.confirmed.as_ref().map_or_else(String::new, |found| found.shown(4))
    });
    column("close call", &|trial| {
        let shown = |found: &Spread| format!("{} ({} seeds)", found.shown(4), found.count);
        trial.close_call.as_ref().map_or_else(String::new, shown)
    });
    column("test accuracy", &|trial| {
        trial.test_accuracy.as_ref().map_or_else(String::new, |found| found.shown(4))
    });
    column("test loss", &|trial| trial.test_loss.as_ref().map_or_else(String::new, |found| found.shown(4)));
    for key in &report.keys {
        column(key, &|trial| shown_setting(trial, key));
    }
    TextTable::of_columns(columns.into_iter())
}

/// `leaderboard.md`.
fn leaderboard_markdown(report: &SearchReport) -> String {
    let mut text = format!("# {}\n\n", report.study);
    if !report.about.is_empty() {
        text += &format!("{}\n\n", report.about.trim());
    }
    text += &format!("{}\n\n", provenance(report));
    text += &report.statements.iter().map(|statement| format!("- {statement}\n")).collect::<String>();
    text + "\n" + &markdown_table(&report.leaderboard())
}

/// The most trials on the page; the CSV file has all.
const MOST_ROWS: usize = 200;

/// `leaderboard.html` in `folder`; links to runs are relative to it.
fn leaderboard_page(report: &SearchReport, pictures: &[Picture], folder: &Path) -> String {
    let drawn = |name: &str| pictures.iter().find(|picture| picture.name == name);
    let failed = report.trials.iter().any(|trial| trial.stage == TrialStage::Failed);
    let body = html! {
        (page_header(&report.study, &report.about, &provenance(report)))
        nav aria-label="Sections" {
            a href="#conclusions" { "Conclusions" }
            a href="#leaderboard" { "Leaderboard" }
            a href="#tried" { "Trials" }
            @if !report.importance.is_empty() { a href="#importance" { "What matters" } }
        }
        main {
            h2 id="conclusions" { "Conclusions" }
            ul { @for statement in &report.statements { li { (statement) } } }
            h2 id="leaderboard" { "Leaderboard" }
            (leaderboard_table(report, folder))
            p.note {
                "The figure of the search is the best so far, on the seeds that chose the trial. Trials with a figure on fresh seeds "
                "were trained again with seeds that the search has not seen; only these figures are free of selection luck."
            }
            h2 id="tried" { "Trials" }
            @for picture in ["parallel", "front"].into_iter().filter_map(drawn) { (chart(&picture.svg, "")) }
            @if !report.importance.is_empty() {
                h2 id="importance" { "What matters" }
                (scrolled("What matters", &importance_table(report)))
                p.note {
                    "How much of the variance of the trials' ranks at the first comparison each key explains by itself (epsilon squared "
                    "over quarters of its values). Interactions between keys are not included."
                }
            }
            @if failed {
                h2 id="failed" { "Failed trials" }
                ul {
                    @for trial in &report.trials {
                        @if let Some(error) = &trial.error { li { (trial.name) ": " (error) } }
                    }
                }
            }
        }
    };
    html_page(&report.study, STYLE, &body)
}

/// Version, date and machine in one line.
fn provenance(report: &SearchReport) -> String {
    let stopped = if report.was_stopped { " Stopped before its end." } else { "" };
    let made_by = made_by(report.kiln, report.written, &report.machine);
    format!("{made_by} Mean ± standard deviation (n - 1).{stopped}")
}

fn leaderboard_table(report: &SearchReport, folder: &Path) -> Markup {
    let TextTable { head, rows } = report.leaderboard();
    let links = |row: usize| -> Vec<String> {
        report.trials[row].runs.iter().filter_map(|run| link(run, folder)).collect()
    };
    let table = html! {
        table.leaderboard.words {
            thead { tr { @for name in &head { th scope="col" { (name) } } th scope="col" { "runs" } } }
            tbody {
                @for (index, row) in rows.iter().enumerate().take(MOST_ROWS) {
                    tr {
                        @for (column, cell) in row.iter().enumerate() {
                            @if column == 1 { th scope="row" { (cell) } } @else { td { (cell) } }
                        }
                        td {
                            @for (number, href) in links(index).iter().enumerate() {
                                a href=(href) { "run\u{a0}" (number + 1) } " "
                            }
                        }
                    }
                }
            }
        }
    };
    html! {
        (scrolled("Leaderboard", &table))
        @if rows.len() > MOST_ROWS { p.note { "The first " (MOST_ROWS) " of " (rows.len()) "; leaderboard.csv has all." } }
    }
}

fn importance_table(report: &SearchReport) -> Markup {
    html! {
        table.leaderboard {
            thead { tr { th scope="col" { "key" } th scope="col" { "share of the variance" } } }
            tbody {
                @for found in &report.importance {
                    tr {
                        th scope="row" { (found.key) }
                        td { (format!("{:.0} %", found.share * 100.0)) }
                    }
                }
            }
        }
    }
}

/// Every picture that has data: `parallel`, `front`.
fn pictures(report: &SearchReport, search: &Search) -> Result<Vec<Picture>, PlotError> {
    let (parallel, front) = (parallel_chart(report, search), front_chart(report));
    let drawn =
        [("parallel", parallel.to_svg(), parallel.to_png()), ("front", front.to_svg(), front.to_png())];
    drawn_ones(drawn)
}

/// All trials that have a figure, with their settings and their rank.
fn parallel_chart(report: &SearchReport, search: &Search) -> ParallelCoordinates {
    let tried: Vec<&SearchedTrial> =
        report.trials.iter().filter(|trial| trial.name != "base" && trial.figure.is_some()).collect();
    let mut axes: Vec<ParallelAxis> = search.space.iter().map(axis).collect();
    let worst = tried.len().saturating_sub(1);
    axes.push(ParallelAxis {
        label: "rank".to_owned(),
        ticks: vec![(1.0, "1".to_owned()), (0.0, tried.len().max(2).to_string())],
    });
    let line = |(rank, trial): (usize, &&SearchedTrial)| {
        let mut places: Vec<Option<f64>> = search
            .space
            .iter()
            .map(|dimension| position(dimension, setting(trial, &dimension.key)))
            .collect();
        places.push(Some(1.0 - rank as f64 / worst.max(1) as f64));
        let settings = trial.settings.iter().map(|(key, value)| format!("{key}={value}"));
        let figure = trial.figure.map_or_else(String::new, |figure| format!(": {figure:.4}"));
        let words: Vec<String> = std::iter::once(format!("{}{figure}", trial.name)).chain(settings).collect();
        ParallelLine { label: words.join("\n"), places }
    };
    let lines = tried.iter().enumerate().map(line).collect();
    ParallelCoordinates { title: format!("{}: trials", report.study), axes, lines }
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
        Domain::Number(range) => ends(range),
        Domain::List { length, each } => ends(&sums(*length, each)),
    };
    ParallelAxis { label, ticks }
}

fn ends(range: &NumberRange) -> Vec<(f64, String)> {
    let middle = range.at(0.5);
    let mut places = vec![(0.0, range.min), (1.0, range.max)];
    places.extend(share_at(range, middle).map(|share| (share, middle)));
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

/// The range of the sum of a list.
fn sums([least, most]: [usize; 2], each: &NumberRange) -> NumberRange {
    NumberRange { min: each.min * least as f64, max: each.max * most as f64, step: None, ..*each }
}

fn position(dimension: &Dimension, value: &str) -> Option<f64> {
    match &dimension.domain {
        Domain::Choices(choices) => {
            choices.iter().position(|choice| choice == value).map(|index| share_of(index, choices.len()))
        }
        Domain::Number(range) => share_at(range, value.parse().ok()?),
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

fn share_at(range: &NumberRange, value: f64) -> Option<f64> {
    let [low, high, value] =
        [range.min, range.max, value].map(|value| if range.log { value.ln() } else { value });
    let share = (value - low) / (high - low);
    share.is_finite().then_some(share)
}

/// The figure of every fully trained trial against its seconds of training, and the trials that none beats in both.
fn front_chart(report: &SearchReport) -> LineChart {
    let whole = report.rungs.last().copied().unwrap_or_default();
    let point = |trial: &SearchedTrial| Some((trial.seconds, trial.figure?));
    let trained = report.trials.iter().filter(|trial| trial.rung == whole);
    // Gaps between the points make each one a dot.
    let dots = trained.filter_map(point).flat_map(|point| [point, (f64::NAN, f64::NAN)]).collect();
    let on_front = |name: &String| report.trials.iter().find(|trial| trial.name == *name).and_then(point);
    let line = report.front.iter().filter_map(on_front).collect();
    let series = vec![
        Series::new("trained in full", 0, dots),
        Series::new("none is better and faster", 1, line).with_dots(),
    ];
    let (x, y) = (Axis::logarithmic("seconds of training"), Axis::values(report.monitor.replace('_', " ")));
    LineChart::new(format!("{}: cost", report.study), x, y, series)
}

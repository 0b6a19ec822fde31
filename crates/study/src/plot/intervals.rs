//! Test accuracy of every trial: the mean, the seeds, and one standard deviation to each side.

use super::scale::Scale;
use super::svg::{COLORS, Picture};
use crate::findings::{Findings, TrialFindings};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 260.0;
const RIGHT: f64 = 860.0;
const ROW: f64 = 26.0;
const TOP: f64 = 40.0;

/// The picture as SVG; the best trial is on top.
pub(crate) fn intervals(findings: &Findings) -> String {
    let ranked: Vec<&TrialFindings> = findings.trials.iter().filter(|trial| trial.rank.is_some()).collect();
    let bottom = TOP + ranked.len() as f64 * ROW;
    let mut picture = Picture::new(WIDTH, bottom + 50.0);
    picture.text(
        (LEFT, TOP - 16.0),
        "start",
        "test accuracy: seeds, mean, and one standard deviation to each side",
    );
    let ends = ranked.iter().flat_map(|trial| {
        let spread = trial.figures.get("test_accuracy");
        spread.into_iter().flat_map(|spread| {
            let deviation = spread.deviation.unwrap_or(0.0);
            [spread.least, spread.greatest, spread.mean - deviation, spread.mean + deviation]
        })
    });
    let x = Scale::over(ends, LEFT, RIGHT);
    for (value, label) in x.ticks() {
        picture.line((x.place(value), TOP), (x.place(value), bottom), "class=\"grid\"");
        picture.text((x.place(value), bottom + 18.0), "middle", &label);
    }
    for (index, trial) in ranked.iter().enumerate() {
        row(trial, &x, TOP + (index as f64 + 0.5) * ROW, &mut picture);
    }
    picture.finish()
}

fn row(trial: &TrialFindings, x: &Scale, y: f64, picture: &mut Picture) {
    let rank = trial.rank.map_or_else(String::new, |rank| rank.to_string());
    let tie = if trial.is_tied { "=" } else { "" };
    picture.text((LEFT - 12.0, y + 4.0), "end", &format!("{rank}{tie}  {}", trial.name));
    let Some(spread) = trial.figures.get("test_accuracy") else { return };
    let stroke = format!("stroke=\"{}\" stroke-width=\"3\"", COLORS[0]);
    if let Some(deviation) = spread.deviation {
        let [low, high] = [spread.mean - deviation, spread.mean + deviation].map(|value| x.place(value));
        picture.line((low, y), (high, y), &stroke);
    }
    for seed in trial.seeds.iter().filter(|seed| seed.outcome.is_finished()) {
        if let Some(accuracy) = seed.outcome.figure("test_accuracy") {
            picture.circle((x.place(accuracy), y), 2.5, "class=\"seed\"");
        }
    }
    picture.circle((x.place(spread.mean), y), 5.0, &format!("fill=\"{}\"", COLORS[0]));
    picture.text((RIGHT + 12.0, y + 4.0), "start", &format!("{:.4}", spread.mean));
}

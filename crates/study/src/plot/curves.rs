//! Training curves of all trials in one picture: loss above, accuracy below.

use std::fmt::Write as _;

use super::scale::Scale;
use super::svg::{COLORS, Picture};
use crate::findings::{Findings, TrialFindings};
use crate::outcome::EpochPoint;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 660.0;
const PANEL: f64 = 260.0;
const GAP: f64 = 60.0;
const TOP: f64 = 40.0;
const LINE: f64 = 18.0;

/// What one panel shows.
struct Panel {
    title: &'static str,
    of: fn(&EpochPoint) -> f64,
}

const PANELS: [Panel; 2] = [
    Panel { title: "training loss by epoch", of: |point| point.loss },
    Panel { title: "training accuracy by epoch", of: |point| point.accuracy },
];

/// The picture as SVG; trials come in the order of their rank, one line per seed.
pub(crate) fn curves(findings: &Findings) -> String {
    let legend = TOP + findings.trials.len() as f64 * LINE;
    let height = (TOP + 2.0 * PANEL + GAP + 50.0).max(legend + 20.0);
    let mut picture = Picture::new(WIDTH, height);
    for (index, panel) in PANELS.iter().enumerate() {
        panel.draw(findings, TOP + index as f64 * (PANEL + GAP), &mut picture);
    }
    for (index, trial) in findings.trials.iter().enumerate() {
        let y = TOP + index as f64 * LINE;
        picture.line((RIGHT + 20.0, y), (RIGHT + 46.0, y), style(index).as_str());
        picture.text((RIGHT + 52.0, y + 4.0), "start", &trial.name);
    }
    picture.finish()
}

impl Panel {
    fn draw(&self, findings: &Findings, top: f64, picture: &mut Picture) {
        let points = || findings.trials.iter().flat_map(curves_of).flatten();
        let x = Scale::over(points().map(|point| point.epoch as f64), LEFT, RIGHT);
        let y = Scale::over(points().map(self.of), top + PANEL, top);
        picture.text((LEFT, top - 12.0), "start", self.title);
        for (value, label) in y.ticks() {
            picture.line((LEFT, y.place(value)), (RIGHT, y.place(value)), "class=\"grid\"");
            picture.text((LEFT - 8.0, y.place(value) + 4.0), "end", &label);
        }
        for (value, label) in x.ticks().into_iter().filter(|(value, _)| value.fract() == 0.0) {
            let label = label.split('.').next().unwrap_or_default();
            picture.text((x.place(value), top + PANEL + 18.0), "middle", label);
        }
        for (index, trial) in findings.trials.iter().enumerate() {
            for curve in curves_of(trial) {
                let finite = curve.iter().filter(|point| (self.of)(point).is_finite());
                let path = finite.fold(String::new(), |mut path, point| {
                    let _ =
                        write!(path, "{:.1},{:.1} ", x.place(point.epoch as f64), y.place((self.of)(point)));
                    path
                });
                picture.polyline(&path, &style(index));
            }
        }
    }
}

fn curves_of(trial: &TrialFindings) -> impl Iterator<Item = &Vec<EpochPoint>> {
    trial.seeds.iter().map(|seed| &seed.outcome.curve)
}

/// A colour, and a dash for those beyond the colours: ten trials stay apart without colour, too.
fn style(index: usize) -> String {
    let color = COLORS[index % COLORS.len()];
    let dash = ["", "6 3", "2 3", "8 3 2 3"][index / COLORS.len() % 4];
    format!("stroke=\"{color}\" stroke-width=\"1.8\" stroke-dasharray=\"{dash}\"")
}

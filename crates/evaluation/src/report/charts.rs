//! ROC, precision-recall and reliability.

use kiln_plot::{Axis, LineChart, Series};
use maud::{PreEscaped, html};

use super::Story;
use super::page::Section;
use crate::threshold::{ThresholdCurve, ThresholdPoint};

/// Pictures, and what to look for in them.
const CHARTS: [(&str, &str); 3] = [
    ("roc", "ROC, each class against the rest: the nearer to the upper left corner, the better."),
    ("precision_recall", "Precision and recall: the nearer to the upper right corner, the better."),
    (
        "reliability",
        "Reliability: bars on the diagonal mean that a confidence of 80 % is right in 80 % of cases; below it the \
         network is too sure of itself.",
    ),
];

pub(super) fn section(story: &Story<'_>) -> Option<Section> {
    let charts: Vec<(&str, &str)> =
        CHARTS.into_iter().filter_map(|(name, words)| Some((story.picture(name)?, words))).collect();
    let thresholds = story.thresholds.as_ref().map_or(Vec::new(), by_threshold);
    if charts.is_empty() && thresholds.is_empty() {
        return None;
    }
    let content = html! {
        div.charts {
            @for (picture, words) in charts { div { (PreEscaped(picture)) p.note { (words) } } }
            @for (picture, words) in thresholds { div { (PreEscaped(picture)) p.note { (words) } } }
        }
    };
    Some(Section { anchor: "curves", heading: "Curves and calibration", content })
}

/// What other thresholds would have come to on the held-out examples.
fn by_threshold(curve: &ThresholdCurve) -> Vec<(String, &'static str)> {
    let at = |figure: fn(&ThresholdPoint) -> Option<f64>| -> Vec<(f64, f64)> {
        curve.points.iter().filter_map(|point| Some((point.threshold, figure(point)?))).collect()
    };
    let chosen = |greatest: f64| {
        let threshold = curve.chosen.threshold;
        Series::new(format!("chosen: {threshold:.4}"), 2, vec![(threshold, 0.0), (threshold, greatest)])
    };
    let x = || Axis::unit(format!("probability of {} from which on it is said", curve.chosen.positive));
    let rates = vec![
        Series::new("precision", 0, at(|point| point.precision)),
        Series::new("recall", 1, at(|point| Some(point.recall))),
        chosen(1.0),
    ];
    let rates = LineChart::new("Precision and recall by threshold", x(), Axis::unit("share"), rates);
    let costs = at(|point| point.cost);
    let greatest = costs.iter().fold(0.0_f64, |greatest, (_, cost)| greatest.max(*cost));
    let costs = vec![Series::new("mean cost", 0, costs), chosen(greatest)];
    let costs = LineChart::new("Mean cost by threshold", x(), Axis::values("cost of an example"), costs);
    let rates = (!curve.points.is_empty()).then(|| rates.to_svg().ok()).flatten();
    let costs = (greatest > 0.0).then(|| costs.to_svg().ok()).flatten();
    let rates =
        rates.map(|svg| (svg, "Precision and recall on the held-out examples, not those of this test."));
    let costs = costs.map(|svg| {
        (svg, "The cost on the held-out examples; the threshold follows from what either mistake costs, not from them.")
    });
    rates.into_iter().chain(costs).collect()
}

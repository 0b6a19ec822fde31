//! ROC, precision-recall and reliability.

use kiln_plot::{Axis, LineChart, Series};
use maud::html;

use super::page::Section;
use super::{Story, Tested, figure};
use crate::chart;
use crate::threshold::{ThresholdCurve, ThresholdPoint};

/// What to look for in the curve of each class, and in that of one of two classes.
const ROC: [&str; 2] = [
    "Each class against the rest: the nearer to the upper left corner, the better.",
    "The nearer to the upper left corner, the better.",
];
const PRECISION_RECALL: &str = "The nearer to the upper right corner, the better.";
const RELIABILITY: &str = "How often the network is right by how sure it is, in 15 bins of confidence, with the number of examples in each. On the \
     diagonal a confidence of 80 % is right in 80 % of cases. Bars below it: the network is too sure of itself. Bars above it: \
     it is right more often than it says. An interval that crosses the diagonal may be there by chance.";

pub(super) fn section(story: &Story<'_>, tested: &Tested<'_>) -> Option<Section> {
    let roc = ROC[usize::from(tested.is_binary())];
    let notes = [("roc", roc), ("precision_recall", PRECISION_RECALL), ("reliability", RELIABILITY)];
    let charts: Vec<(&str, &str)> =
        notes.into_iter().filter_map(|(name, words)| Some((story.picture(name)?, words))).collect();
    let thresholds = tested.thresholds.as_ref().map_or(Vec::new(), by_threshold);
    if charts.is_empty() && thresholds.is_empty() {
        return None;
    }
    let content = html! {
        div.charts {
            @for (picture, words) in charts { (chart(picture, words)) }
            @for (picture, words) in thresholds { (chart(&picture, words)) }
        }
        @if let Some(error) = tested.evaluation.metrics.figure("ece") {
            p.note {
                "Expected calibration error over the 15 bins: " (figure(Some(error)))
                ", the mean distance of accuracy and confidence."
            }
        }
    };
    Some(Section { anchor: "curves", heading: "Curves and calibration", content })
}

/// What other thresholds would have come to on the held-out examples.
fn by_threshold(curve: &ThresholdCurve) -> Vec<(String, &'static str)> {
    let at = |of: fn(&ThresholdPoint) -> Option<f64>| -> Vec<(f64, f64)> {
        curve.points.iter().filter_map(|point| Some((point.threshold, of(point)?))).collect()
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

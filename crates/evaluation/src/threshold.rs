//! Decision thresholds for two classes: by the costs of mistakes, or by a required precision or recall.

use kiln_artifacts::{Run, replace_file};
use kiln_config::DecisionName;
use kiln_files::json_text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evaluator::read_json;
use crate::{EvaluationError, Predictions};

/// `threshold.json` stores at most this many points of the curve.
const POINTS: usize = 200;

/// A threshold on the probability of `positive`, one of two classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// The criterion that it was chosen by.
    pub decision: DecisionName,
    /// The positive class.
    pub positive: String,
    /// In (0, 1]: the class is predicted if its probability is at least this.
    pub threshold: f64,
    /// The required precision or recall; null for a decision by cost.
    pub wished: Option<f64>,
    /// The costs of a false positive and of a false negative; null for a decision by precision or recall.
    pub costs: Option<[f64; 2]>,
    /// Its results on held-out examples; null without such examples.
    pub held_out: Option<HeldOutFigures>,
    /// Step of the checkpoint that it belongs to.
    pub step: Option<u64>,
}

/// The results of a threshold on examples that the network was not trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "HeldOut")]
pub struct HeldOutFigures {
    /// The number of examples.
    pub examples: u64,
    /// The precision of the class; null if it is never predicted.
    pub precision: Option<f64>,
    /// The recall of the class.
    pub recall: f64,
    /// The mean cost of an example; null for a decision by precision or recall.
    pub cost: Option<f64>,
}

/// The chosen threshold and the results of others on the same examples: `threshold.json` of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThresholdCurve {
    pub(crate) chosen: Threshold,
    /// From the highest threshold to the lowest.
    pub(crate) points: Vec<ThresholdPoint>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThresholdPoint {
    pub(crate) threshold: f64,
    pub(crate) precision: Option<f64>,
    pub(crate) recall: f64,
    pub(crate) cost: Option<f64>,
}

impl Threshold {
    /// The predicted class, by number, if the class `positive` has this probability.
    pub(crate) fn decides(&self, positive: u32, probability: f32) -> u32 {
        if f64::from(probability) >= self.threshold { positive } else { 1 - positive }
    }

    /// The threshold, the requirement, and the results on held-out examples, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = format!(
            "\"{}\" is predicted if its probability is at least {:.4}: ",
            self.positive, self.threshold
        );
        let named = if self.decision == DecisionName::Precision { "precision" } else { "recall" };
        words += &match (self.costs, self.wished) {
            (Some([false_positive, false_negative]), _) => {
                format!("a false positive costs {false_positive}, a false negative {false_negative}")
            }
            (_, Some(wished)) if self.is_reached() => format!("for a {named} of {wished}"),
            (_, Some(wished)) => {
                format!("no threshold reaches a {named} of {wished}, and this one comes closest")
            }
            (None, None) => String::new(),
        };
        if let Some(HeldOutFigures { examples, precision, recall, cost }) = self.held_out {
            let precision =
                precision.map_or("precision undefined".to_owned(), |value| format!("precision {value:.4}"));
            let chosen_on = if self.costs.is_none() { " that it was chosen on" } else { "" };
            let cost = cost.map_or(String::new(), |cost| format!(", mean cost {cost:.4}"));
            words += &format!(
                " ({precision}, recall {recall:.4}{cost} on the {examples} validation examples{chosen_on})"
            );
        }
        words
    }

    fn is_reached(&self) -> bool {
        let Some((wished, found)) = self.wished.zip(self.held_out) else { return true };
        match self.decision {
            DecisionName::Precision => found.precision.is_some_and(|precision| precision >= wished),
            _ => found.recall >= wished,
        }
    }
}

impl ThresholdCurve {
    /// Chooses the threshold by the criterion of `config`. `held_out` are the network's predictions for examples that it was
    /// not trained on; `step` is its checkpoint. `None` if the most probable class is predicted, or if a precision or recall
    /// is required and no held-out example is of the positive class.
    ///
    /// # Panics
    /// If there are not exactly two classes.
    pub(crate) fn choose(
        config: &kiln_config::Evaluation,
        classes: &[String],
        held_out: Option<&Predictions>,
        step: Option<u64>,
    ) -> Option<Self> {
        let decision = config.decision;
        if decision == DecisionName::MostProbable {
            return None;
        }
        assert_eq!(classes.len(), 2, "other numbers of classes were refused earlier");
        let positive = positive(config, classes);
        let held_out = held_out.filter(|predictions| {
            predictions.has_all_probabilities() && predictions.truth().contains(&positive)
        });
        let costs = (decision == DecisionName::Cost).then_some(config.costs);
        let points = held_out.map_or(Vec::new(), |predictions| points(predictions, positive, costs));
        let (threshold, point) = if let Some([false_positive, false_negative]) = costs {
            let threshold = false_positive / (false_positive + false_negative);
            (threshold, held_out.map(|predictions| at(predictions, positive, costs, threshold)))
        } else {
            let point = best(&points, decision, config.wished)?;
            (point.threshold, Some(point))
        };
        let found = point.zip(held_out).map(|(point, predictions)| HeldOutFigures {
            examples: predictions.len() as u64,
            precision: point.precision,
            recall: point.recall,
            cost: point.cost,
        });
        let chosen = Threshold {
            decision,
            positive: classes[positive as usize].clone(),
            threshold,
            wished: costs.is_none().then_some(config.wished),
            costs,
            held_out: found,
            step,
        };
        Some(Self { chosen, points: thinned(&points) })
    }

    /// Stores it in the run's folder.
    pub(crate) fn write(&self, run: &Run) -> Result<(), EvaluationError> {
        Ok(replace_file(&run.threshold_json(), &json_text(self))?)
    }

    /// Reads the threshold of `run`; `None` if it does not exist or belongs to another checkpoint than that of `step`.
    pub(crate) fn read(run: &Run, step: Option<u64>) -> Result<Option<Self>, EvaluationError> {
        let path = run.threshold_json();
        if !path.is_file() {
            return Ok(None);
        }
        let stored: Self = read_json(&path, "a decision threshold")?;
        Ok(Some(stored).filter(|stored| step.is_some() && stored.chosen.step == step))
    }
}

/// The number of the positive class: the one that `config` names, or else the second, as in scikit-learn.
fn positive(config: &kiln_config::Evaluation, classes: &[String]) -> u32 {
    let named = config.positive.as_ref().and_then(|name| classes.iter().position(|class| class == name));
    named.unwrap_or(1) as u32
}

impl ThresholdPoint {
    /// `hits` are true positives, `alarms` are false positives; `of_class` of `all` examples are of the positive class.
    fn new(
        threshold: f64,
        [hits, alarms]: [f64; 2],
        [of_class, all]: [f64; 2],
        costs: Option<[f64; 2]>,
    ) -> Self {
        let predicted = hits + alarms;
        let cost = |[alarm, miss]: [f64; 2]| (alarms * alarm + (of_class - hits) * miss) / all;
        Self {
            threshold,
            precision: (predicted > 0.0).then(|| hits / predicted),
            recall: hits / of_class,
            cost: costs.map(cost),
        }
    }
}

/// The results of `threshold`.
fn at(predictions: &Predictions, positive: u32, costs: Option<[f64; 2]>, threshold: f64) -> ThresholdPoint {
    let (mut predicted, mut of_class) = ([0.0, 0.0], 0.0);
    for (truth, _, row) in predictions.examples() {
        let is = truth == positive as usize;
        of_class += f64::from(is);
        if f64::from(row[positive as usize]) >= threshold {
            predicted[usize::from(!is)] += 1.0;
        }
    }
    ThresholdPoint::new(threshold, predicted, [of_class, predictions.len() as f64], costs)
}

/// The results of every threshold that makes a difference, the highest first. Each lies halfway between two adjacent
/// probabilities; the first lies above all of them.
fn points(predictions: &Predictions, positive: u32, costs: Option<[f64; 2]>) -> Vec<ThresholdPoint> {
    let mut examples: Vec<(f64, bool)> = predictions
        .examples()
        .map(|(truth, _, row)| (f64::from(row[positive as usize]), truth == positive as usize))
        .collect();
    examples.sort_by(|left, right| right.0.total_cmp(&left.0));
    let of_class = examples.iter().filter(|(_, is)| *is).count() as f64;
    let point = |threshold: f64, hits: f64, alarms: f64| {
        ThresholdPoint::new(threshold, [hits, alarms], [of_class, examples.len() as f64], costs)
    };
    let (mut hits, mut alarms) = (0.0, 0.0);
    let mut points = Vec::new();
    if examples[0].0 < 1.0 {
        points.push(point(f64::midpoint(examples[0].0, 1.0), 0.0, 0.0));
    }
    for (at, (probability, is)) in examples.iter().enumerate() {
        if *is {
            hits += 1.0;
        } else {
            alarms += 1.0;
        }
        let next = examples.get(at + 1).map_or(0.0, |(next, _)| *next);
        if next < *probability {
            points.push(point(f64::midpoint(*probability, next), hits, alarms));
        }
    }
    points
}

/// The point with the largest recall among those with the required precision, or vice versa. If none meets the requirement,
/// the closest one. Of equal points, that with the highest threshold.
fn best(points: &[ThresholdPoint], decision: DecisionName, wished: f64) -> Option<ThresholdPoint> {
    let figures = |point: &ThresholdPoint| {
        let precision = point.precision.unwrap_or(f64::NEG_INFINITY);
        if decision == DecisionName::Precision {
            (precision, point.recall)
        } else {
            (point.recall, precision)
        }
    };
    let better = |left: &&ThresholdPoint, right: &&ThresholdPoint| {
        let (left, right) = (figures(left), figures(right));
        // More than required is not better.
        let key = |(required, other): (f64, f64)| (required.min(wished), other);
        let (left, right) = (key(left), key(right));
        left.0.total_cmp(&right.0).then(left.1.total_cmp(&right.1))
    };
    points.iter().rev().max_by(better).copied()
}

fn thinned(points: &[ThresholdPoint]) -> Vec<ThresholdPoint> {
    let count = points.len().min(POINTS);
    (0..count).map(|place| points[place * (points.len() - 1) / (count - 1).max(1)]).collect()
}

impl Predictions {
    /// The same predictions with the classes that `threshold` decides. An example with a probability that is NaN is unchanged.
    #[must_use]
    pub fn decided(self, threshold: Option<&Threshold>) -> Self {
        let Some(threshold) = threshold else { return self };
        let Some(positive) = self.classes().iter().position(|class| *class == threshold.positive) else {
            return self;
        };
        let of = |(_, predicted, row): (usize, usize, &[f32])| {
            let is_whole = row.iter().all(|value| value.is_finite());
            if is_whole { threshold.decides(positive as u32, row[positive]) } else { predicted as u32 }
        };
        let predicted = self.examples().map(of).collect();
        self.with_predicted(predicted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes() -> Vec<String> {
        ["no", "yes"].map(str::to_owned).to_vec()
    }

    /// Ten examples; the probability of "yes" falls from 0.95 to 0.05.
    fn held_out(yes: &[usize]) -> Predictions {
        let truth: Vec<u32> = (0..10).map(|example| u32::from(yes.contains(&example))).collect();
        let rows: Vec<f32> = (0..10_u8)
            .flat_map(|example| {
                let yes = 0.95 - f32::from(example) / 10.0;
                [1.0 - yes, yes]
            })
            .collect();
        let predicted = (0..10).map(|example| u32::from(example < 5)).collect();
        Predictions::new(classes(), truth, predicted, rows, vec![0.0; 10]).unwrap()
    }

    fn config(decision: DecisionName, wished: f64) -> kiln_config::Evaluation {
        kiln_config::Evaluation { decision, wished, ..kiln_config::Evaluation::default() }
    }

    fn chosen(config: &kiln_config::Evaluation, held_out: &Predictions) -> Threshold {
        ThresholdCurve::choose(config, &classes(), Some(held_out), Some(7)).unwrap().chosen
    }

    #[test]
    fn a_required_precision_costs_as_little_recall_as_possible() {
        // In the order of probability: yes, yes, no, yes, no, yes, then only no.
        let held_out = held_out(&[0, 1, 3, 5]);
        let threshold = chosen(&config(DecisionName::Precision, 0.75), &held_out);
        assert!((threshold.threshold - 0.6).abs() < 1e-6, "between 0.65 and 0.55: {threshold:?}");
        let found = threshold.held_out.unwrap();
        assert_eq!((found.precision, found.recall, found.examples), (Some(0.75), 0.75, 10));
        let decided = held_out.clone().decided(Some(&threshold));
        assert_eq!(decided.predicted(), [1, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(decided.probabilities(4), held_out.probabilities(4));
    }

    #[test]
    fn a_required_recall_costs_as_little_precision_as_possible() {
        let threshold = chosen(&config(DecisionName::Recall, 0.9), &held_out(&[0, 1, 3, 5]));
        let found = threshold.held_out.unwrap();
        assert_eq!((found.precision, found.recall), (Some(4.0 / 6.0), 1.0));
        assert!(
            threshold.words().contains("for a recall of 0.9 (precision 0.6667, recall 1.0000 on the 10 v")
        );
    }

    #[test]
    fn an_unreachable_precision_is_reported_and_the_closest_threshold_chosen() {
        let held_out = held_out(&[1, 3]);
        let threshold = chosen(&config(DecisionName::Precision, 0.9), &held_out);
        let words = threshold.words();
        assert!(
            words.contains("no threshold reaches a precision of 0.9, and this one comes closest"),
            "{words}"
        );
        assert_eq!(threshold.held_out.unwrap().precision, Some(0.5));
        let curve = ThresholdCurve::choose(&config(DecisionName::Recall, 0.9), &classes(), None, None);
        assert_eq!(curve, None);
    }

    #[test]
    fn costs_determine_the_threshold() {
        let costs = kiln_config::Evaluation { costs: [1.0, 4.0], ..config(DecisionName::Cost, 0.9) };
        let threshold = chosen(&costs, &held_out(&[0, 1, 3, 5]));
        assert!((threshold.threshold - 0.2).abs() < 1e-12);
        // Eight examples have a probability of at least 0.25 and are predicted positive, four of them wrongly.
        let found = threshold.held_out.unwrap();
        assert_eq!((found.precision, found.recall, found.cost), (Some(0.5), 1.0, Some(0.4)));
        let without = ThresholdCurve::choose(&costs, &classes(), None, None).unwrap();
        assert_eq!((without.chosen.threshold, without.chosen.held_out), (0.2, None));
    }

    #[test]
    fn the_first_class_can_be_the_positive_one() {
        let config =
            kiln_config::Evaluation { positive: Some("no".to_owned()), ..config(DecisionName::Recall, 1.0) };
        let held_out = held_out(&[0, 1]);
        let threshold = chosen(&config, &held_out);
        assert_eq!(threshold.held_out.unwrap().precision, Some(1.0));
        assert_eq!(held_out.decided(Some(&threshold)).predicted(), [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}

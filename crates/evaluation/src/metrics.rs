//! `metrics.json`: every figure of an evaluation that is a number.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kiln_diagnosis::{SimpleModel, Tested};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;

use crate::bootstrap::Intervals;
use crate::calibration::ReliabilityBin;
use crate::figures::{FIGURES, Figure};
use crate::undefined::{PartialMean, Undefined};
use crate::{Baseline, BaselineModel, Calibration, Threshold};

/// The figures of a whole split. A figure that is undefined is null, and `undefined` says why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metrics {
    /// The number of examples.
    pub examples: u64,
    /// Step of the checkpoint that predicted; null where that is not known.
    pub checkpoint_step: Option<u64>,
    /// How the probabilities were calibrated; absent where they are the network's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// The figures of [`FIGURES`](crate::FIGURES), by key.
    #[serde(flatten, serialize_with = "in_order")]
    #[schemars(with = "FigureFields")]
    pub figures: BTreeMap<String, Option<f64>>,
    /// The share of examples whose true class is among the k most probable, by k: 1, 3 and 5 as far as there
    /// are more classes (`sklearn.metrics.top_k_accuracy_score`). The predicted class comes first, the lower
    /// number first where two are equally probable. Null where some probabilities are not numbers.
    pub top_k_accuracy: Option<BTreeMap<usize, f64>>,
    /// Loss and accuracy with dropout left on; null where that was not measured.
    pub dropout_active: Option<DropoutActive>,
    /// 95 % intervals; null where no resamples were asked for.
    pub intervals: Option<Intervals>,
    /// The figures of each class, by number.
    pub classes: Vec<ClassFigures>,
    /// The reliability diagram: accuracy by confidence; null where some confidence is not a number.
    pub reliability: Option<Vec<ReliabilityBin>>,
    /// From which probability on a class is named; absent where the most probable one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// The accuracy of naming the most probable class; absent where `accuracy` is it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_of_probable: Option<f64>,
    /// What simple models make of the same examples, and how far the network is ahead of each; absent where none was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baselines: Vec<Baseline>,
    /// Examples with a loss or a probability that is not a finite number.
    pub non_finite_examples: u64,
    /// Figures that have no value, with the reason.
    pub undefined: Vec<Undefined>,
    /// Figures that are 0 because they are 0 / 0, as scikit-learn has it by default, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_convention: Vec<Undefined>,
    /// Means over classes in which some classes do not count, because they are undefined.
    pub partial_means: Vec<PartialMean>,
}

impl Metrics {
    /// What a diagnosis asks of a test.
    #[must_use]
    pub fn tested(&self) -> Tested {
        Tested {
            accuracy: self.accuracy_of_probable(),
            supports: self.classes.iter().map(|class| class.support).collect(),
            step: self.checkpoint_step,
            guess: self.simple(|model| model == BaselineModel::MostFrequentClass),
            linear: self.simple(|model| model != BaselineModel::MostFrequentClass),
        }
    }

    /// The share of examples whose most probable class is the true one, whatever a threshold decides: what training and
    /// validation figures measure.
    pub(crate) fn accuracy_of_probable(&self) -> f64 {
        self.accuracy_of_probable.unwrap_or_else(|| self.accuracy())
    }

    fn simple(&self, is_it: impl Fn(BaselineModel) -> bool) -> Option<SimpleModel> {
        let found = self.baselines.iter().find(|baseline| is_it(baseline.model))?;
        Some(SimpleModel {
            accuracy: found.accuracy,
            log_loss: found.log_loss?,
            accuracy_gain: found.accuracy_gain?,
            log_loss_gain: found.log_loss_gain?,
        })
    }

    /// What a reader wants to know beside loss and accuracy, a line each: the threshold, if one decides, and the accuracies of
    /// the simple models.
    #[must_use]
    pub fn beside(&self) -> Vec<String> {
        let one = |baseline: &Baseline| format!("{} {:.4}", baseline.model, baseline.accuracy);
        let all: Vec<String> = self.baselines.iter().map(one).collect();
        let own = self
            .accuracy_of_probable
            .map(|own| format!(" (the network's, where it names the more probable class: {own:.4})"));
        let own = own.unwrap_or_default();
        let simple =
            (!all.is_empty()).then(|| format!("accuracy without a network: {}{own}", all.join(", ")));
        self.threshold.as_ref().map(Threshold::words).into_iter().chain(simple).collect()
    }

    /// A figure by key; none where it is undefined or there is no such figure.
    #[must_use]
    pub fn figure(&self, key: &str) -> Option<f64> {
        self.figures.get(key).copied().flatten()
    }

    /// The share of examples predicted right, in [0, 1].
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.figure("accuracy").unwrap_or(f64::NAN)
    }
}

/// The figures in the order of the registry.
fn in_order<S: Serializer>(
    figures: &BTreeMap<String, Option<f64>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer
        .collect_map(FIGURES.iter().map(|figure| (figure.key, figures.get(figure.key).copied().flatten())))
}

/// The fields that [`in_order`] writes, for the schema.
struct FigureFields;

impl JsonSchema for FigureFields {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "FigureFields".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let field = |figure: &Figure| {
            let [least, greatest] = figure.range;
            let mut field = json!({ "description": sentence(figure.words), "type": ["number", "null"] });
            for (bound, value) in [("minimum", least), ("maximum", greatest)] {
                if value.is_finite() {
                    field[bound] = json!(value);
                }
            }
            (figure.key.to_owned(), field)
        };
        let fields: serde_json::Map<_, _> = FIGURES.iter().map(field).collect();
        let names: Vec<&str> = FIGURES.iter().map(|figure| figure.key).collect();
        json_schema!({ "type": "object", "properties": fields, "required": names })
    }
}

/// The words with a capital and a full stop; null needs a word of its own.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first: String = letters.next().map(|letter| letter.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}; null where it is undefined.", letters.as_str())
}

/// The figures of one class, all in [0, 1]. A precision or a recall that is 0 / 0 is 0; null are those of a class that is
/// neither among the examples nor ever predicted, and an area or average precision without examples of both sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClassFigures {
    /// Its name.
    pub class: String,
    /// Examples of it.
    pub support: u64,
    /// Examples that are predicted to be of it.
    pub predicted: u64,
    /// The share of those predicted to be of it that are.
    pub precision: Option<f64>,
    /// The share of it that is predicted to be of it.
    pub recall: Option<f64>,
    /// The harmonic mean of precision and recall.
    pub f1: Option<f64>,
    /// The area under its ROC curve, against all other classes.
    pub auc: Option<f64>,
    /// Its average precision.
    pub average_precision: Option<f64>,
}

/// Loss and accuracy of a pass in which units are dropped as in training. Not the way to test a network; it
/// is there to hold against figures that were measured so.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DropoutActive {
    /// The mean loss; null where it is not finite.
    pub loss: Option<f64>,
    /// The share of examples predicted right, in [0, 1].
    pub accuracy: f64,
}

//! `metrics.json`: every figure of an evaluation that is a number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bootstrap::Intervals;
use crate::calibration::ReliabilityBin;
use crate::undefined::{PartialMean, Undefined};

/// The figures of a whole split. One JSON object, whose keys are the fields of this struct and of those that
/// it holds flattened. A figure that is undefined is null, and [`Metrics::undefined`] says why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The number of examples.
    pub examples: u64,
    /// Step of the checkpoint that predicted; null where that is not known.
    pub checkpoint_step: Option<u64>,
    /// The mean loss, as it was in training: weighted by class weights, without l1 and l2.
    pub loss: Option<f64>,
    /// The share of examples predicted right, in [0, 1] (`sklearn.metrics.accuracy_score`). Precision,
    /// recall and F1 of a micro average are this, too.
    pub accuracy: f64,
    /// What follows from predicted classes.
    #[serde(flatten)]
    pub labels: LabelFigures,
    /// What follows from the areas under curves.
    #[serde(flatten)]
    pub curves: CurveFigures,
    /// What follows from probabilities one by one.
    #[serde(flatten)]
    pub probabilities: ProbabilityFigures,
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
    /// Examples with a loss or a probability that is not a finite number.
    pub non_finite_examples: u64,
    /// Figures that have no value, with the reason.
    pub undefined: Vec<Undefined>,
    /// Means over classes in which some classes do not count, because they are undefined.
    pub partial_means: Vec<PartialMean>,
}

/// Figures of predicted classes. What is 0 / 0 for a class does not count in a mean over classes
/// (scikit-learn's `zero_division=nan`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelFigures {
    /// The mean recall over classes, in [0, 1] (`sklearn.metrics.balanced_accuracy_score`).
    pub balanced_accuracy: Option<f64>,
    /// The mean precision over classes, in [0, 1].
    pub macro_precision: Option<f64>,
    /// The mean recall over classes, in [0, 1].
    pub macro_recall: Option<f64>,
    /// The mean F1 over classes, in [0, 1].
    pub macro_f1: Option<f64>,
    /// The mean precision over classes, weighted by their examples, in [0, 1].
    pub weighted_precision: Option<f64>,
    /// The mean recall over classes, weighted by their examples, in [0, 1].
    pub weighted_recall: Option<f64>,
    /// The mean F1 over classes, weighted by their examples, in [0, 1].
    pub weighted_f1: Option<f64>,
    /// Agreement beyond chance, in [-1, 1] (Cohen 1960; `sklearn.metrics.cohen_kappa_score`).
    pub cohen_kappa: Option<f64>,
    /// The correlation of Matthews, in [-1, 1] (Gorodkin 2004; `sklearn.metrics.matthews_corrcoef`); null
    /// where all examples or all predictions are of one class, for which scikit-learn gives 0.
    pub mcc: Option<f64>,
}

/// Areas under curves of one class against the rest, all in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurveFigures {
    /// The mean area under the classes' ROC curves (`sklearn.metrics.roc_auc_score`, one-vs-rest); of two
    /// classes, too.
    pub macro_auc: Option<f64>,
    /// The same, each class weighted by its examples.
    pub weighted_auc: Option<f64>,
    /// The area under the ROC curve of all probabilities pooled.
    pub micro_auc: Option<f64>,
    /// The area under the mean of the classes' ROC curves; a little above [`CurveFigures::macro_auc`].
    pub macro_average_roc_auc: Option<f64>,
    /// The mean of the classes' average precisions (`sklearn.metrics.average_precision_score`).
    pub macro_average_precision: Option<f64>,
    /// The same, each class weighted by its examples.
    pub weighted_average_precision: Option<f64>,
    /// The average precision of all probabilities pooled.
    pub micro_average_precision: Option<f64>,
}

/// How good the probabilities are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbabilityFigures {
    /// The mean of -ln of the true class's probability, clipped to [2^-52, 1 - 2^-52]
    /// (`sklearn.metrics.log_loss` in double precision).
    pub log_loss: Option<f64>,
    /// The mean squared distance of the probabilities to the one-hot truth (Brier 1950), summed over classes,
    /// in [0, 2]; for two classes half of that, in [0, 1] (`sklearn.metrics.brier_score_loss`).
    pub brier_score: Option<f64>,
    /// The expected calibration error over 15 bins of equal width, by the probability of the predicted
    /// class, in [0, 1] (Guo et al. 2017).
    pub ece: Option<f64>,
}

/// The figures of one class, all in [0, 1].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DropoutActive {
    /// The mean loss; null where it is not finite.
    pub loss: Option<f64>,
    /// The share of examples predicted right, in [0, 1].
    pub accuracy: f64,
}

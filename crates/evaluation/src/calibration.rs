//! Whether a confidence of 80 % is right in 80 % of cases.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Predictions;
use crate::sum::{Sum, sum};
use crate::undefined::{Defined, Reason};

/// Bins of equal width (Guo et al. 2017, "On calibration of modern neural networks").
const BINS: usize = 15;

/// The examples whose confidence, the probability of the predicted class, lies in one bin: a point of the
/// reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReliabilityBin {
    /// Confidences in the bin are greater than this; the first bin holds 0, too.
    pub lower: f64,
    /// Confidences in the bin are at most this.
    pub upper: f64,
    /// How many there are.
    pub examples: u64,
    /// Their mean confidence, in [0, 1]; null in an empty bin.
    pub confidence: Option<f64>,
    /// The share of them that are predicted right, in [0, 1]; null in an empty bin.
    pub accuracy: Option<f64>,
}

/// The reliability diagram: 15 bins of equal width over [0, 1]. None where some confidence is not a number.
pub(crate) fn reliability(predictions: &Predictions) -> Option<Vec<ReliabilityBin>> {
    let mut bins = [(Sum::default(), 0_u64, 0_u64); BINS];
    for (truth, predicted, row) in predictions.examples() {
        let confidence = f64::from(row[predicted]);
        if confidence.is_nan() {
            return None;
        }
        let (total, examples, correct) = &mut bins[bin(confidence)];
        total.add(confidence);
        *examples += 1;
        *correct += u64::from(truth == predicted);
    }
    let point = |(index, (total, examples, correct)): (usize, (Sum, u64, u64))| {
        let mean = |value: f64| (examples != 0).then(|| value / examples as f64);
        ReliabilityBin {
            lower: index as f64 / BINS as f64,
            upper: (index + 1) as f64 / BINS as f64,
            examples,
            confidence: mean(total.value()),
            accuracy: mean(correct as f64),
        }
    };
    Some(bins.into_iter().enumerate().map(point).collect())
}

/// The expected calibration error, in [0, 1]: the mean distance of confidence and accuracy over bins, each
/// weighted by its examples (Naeini et al. 2015; Guo et al. 2017).
pub(crate) fn expected_calibration_error(bins: Option<&[ReliabilityBin]>) -> Defined {
    let bins = bins.ok_or(Reason::NotFinite)?;
    let examples: u64 = bins.iter().map(|bin| bin.examples).sum();
    let gap = |bin: &ReliabilityBin| Some((bin.accuracy? - bin.confidence?).abs() * bin.examples as f64);
    Ok(sum(bins.iter().filter_map(gap)) / examples as f64)
}

fn bin(confidence: f64) -> usize {
    ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_holds_its_upper_edge() {
        assert_eq!([0.0, 1e-9, 1.0 / 15.0, 0.0667, 0.5, 0.9999, 1.0].map(bin), [0, 0, 0, 1, 7, 14, 14]);
    }

    #[test]
    fn the_error_is_the_gap_between_confidence_and_accuracy() {
        let names = vec!["a".to_owned(), "b".to_owned()];
        let rows = vec![0.75, 0.25, 0.75, 0.25, 1.0, 0.0, 0.5, 0.5];
        let predictions = Predictions::new(names, vec![0, 1, 0, 1], vec![0; 4], rows, vec![0.0; 4]).unwrap();
        let bins = reliability(&predictions).unwrap();
        assert_eq!((bins[11].examples, bins[11].confidence, bins[11].accuracy), (2, Some(0.75), Some(0.5)));
        assert_eq!(bins[0].confidence, None);
        // Two examples off by 0.25, one by 0, one by 0.5.
        assert_eq!(expected_calibration_error(Some(&bins)), Ok((2.0 * 0.25 + 0.5) / 4.0));
        assert_eq!(expected_calibration_error(None), Err(Reason::NotFinite));
    }
}

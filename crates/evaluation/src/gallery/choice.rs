//! Choosing examples by what was predicted of them. Ties go to the earlier example, so that the choice is the same
//! every time.

use std::collections::BTreeMap;

use kiln_config::random::{Purpose, Stream};

use crate::Predictions;

use super::GalleryCell;

/// Examples of a cell, and of all cells together: a picture of 28x28 pixels takes half a kilobyte of the report.
const MOST_OF_A_CELL: usize = 24;
const MOST_OF_ALL_CELLS: usize = 1200;

/// Resamples are numbered from 0; no such number is drawn from here.
const GALLERY_STREAM: u64 = u64::MAX;

/// `count` positions at random, in order.
pub(super) fn random(predictions: &Predictions, count: usize, seed: u64) -> Vec<u32> {
    let mut positions: Vec<u32> = (0..predictions.len() as u32).collect();
    Stream::new(seed, Purpose::Sampling, &[GALLERY_STREAM]).shuffle(&mut positions);
    positions.truncate(count);
    positions.sort_unstable();
    positions
}

/// The `count` wrong predictions of the greatest probability.
pub(super) fn most_confident_mistakes(predictions: &Predictions, count: usize) -> Vec<u32> {
    let is_wrong = |at: &usize| predictions.truth()[*at] != predictions.predicted()[*at];
    first(count, (0..predictions.len()).filter(is_wrong), |at| -confidence(predictions, at))
}

/// The `count` predictions whose two greatest probabilities are nearest to each other.
pub(super) fn least_certain(predictions: &Predictions, count: usize) -> Vec<u32> {
    let is_sure = |at: &usize| predictions.probabilities(*at).iter().all(|value| value.is_finite());
    first(count, (0..predictions.len()).filter(is_sure), |at| margin(predictions.probabilities(at)))
}

/// Every cell of the confusion matrix that has examples, by true and then by predicted class. Where there are more
/// than can be shown, each gets the same share.
pub(super) fn cells(predictions: &Predictions) -> Vec<GalleryCell> {
    let mut members: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
    for (at, pair) in predictions.truth().iter().zip(predictions.predicted()).enumerate() {
        members.entry((*pair.0, *pair.1)).or_default().push(at);
    }
    let share = (MOST_OF_ALL_CELLS / members.len().max(1)).clamp(1, MOST_OF_A_CELL);
    let shown = members.into_iter().take(MOST_OF_ALL_CELLS);
    shown
        .map(|((truth, predicted), positions)| GalleryCell {
            truth,
            predicted,
            examples: first(share, positions.into_iter(), |at| -confidence(predictions, at)),
        })
        .collect()
}

/// The `count` positions of the least keys, in their order.
fn first(count: usize, positions: impl Iterator<Item = usize>, key: impl Fn(usize) -> f32) -> Vec<u32> {
    let mut keyed: Vec<(f32, u32)> = positions.map(|at| (key(at), at as u32)).collect();
    keyed.sort_unstable_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
    keyed.truncate(count);
    keyed.into_iter().map(|(_, at)| at).collect()
}

/// The probability of the predicted class; 0 where it is not a number.
fn confidence(predictions: &Predictions, at: usize) -> f32 {
    let probability = predictions.probabilities(at)[predictions.predicted()[at] as usize];
    if probability.is_nan() { 0.0 } else { probability }
}

/// The distance of the two greatest probabilities.
fn margin(probabilities: &[f32]) -> f32 {
    let mut greatest = [0.0_f32; 2];
    for &value in probabilities {
        if value > greatest[0] {
            greatest = [value, greatest[0]];
        } else {
            greatest[1] = greatest[1].max(value);
        }
    }
    greatest[0] - greatest[1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions() -> Predictions {
        let names = vec!["a".to_owned(), "b".to_owned()];
        let rows = vec![0.9, 0.1, 0.2, 0.8, 0.45, 0.55, 0.05, 0.95];
        Predictions::new(names, vec![0, 0, 0, 0], vec![0, 1, 1, 1], rows, vec![0.0; 4]).unwrap()
    }

    #[test]
    fn mistakes_come_by_confidence_and_the_least_certain_by_margin() {
        let predictions = predictions();
        assert_eq!(most_confident_mistakes(&predictions, 2), [3, 1]);
        assert_eq!(least_certain(&predictions, 2), [2, 1]);
    }

    #[test]
    fn a_random_choice_is_the_same_every_time_and_another_for_another_seed() {
        let many = {
            let names = vec!["a".to_owned()];
            Predictions::new(names, vec![0; 500], vec![0; 500], vec![1.0; 500], vec![0.0; 500]).unwrap()
        };
        let chosen = random(&many, 30, 1);
        assert_eq!(chosen.len(), 30);
        assert!(chosen.is_sorted());
        assert_eq!(chosen, random(&many, 30, 1));
        assert_ne!(chosen, random(&many, 30, 2));
    }

    #[test]
    fn cells_have_their_examples_by_confidence() {
        let cells = cells(&predictions());
        assert_eq!(cells.len(), 2);
        assert_eq!(cells[0], GalleryCell { truth: 0, predicted: 0, examples: vec![0] });
        assert_eq!(cells[1], GalleryCell { truth: 0, predicted: 1, examples: vec![3, 1, 2] });
    }
}

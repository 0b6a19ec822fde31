//! Wrong labels on purpose: what a network can only learn by heart.

use kiln_config::random::{Purpose, Stream};

use crate::{
    Split,
    holdout::{Choice, Ties, choose},
};

/// `train` with the class of a `share` of its examples, the same share of each class, replaced by another one:
/// a pure function of its arguments.
pub(crate) fn mislabel(train: Split, share: f64, class_count: usize, seed: u64, ties: Ties) -> Split {
    let count = (train.len() as f64 * share).round() as usize;
    if count == 0 || class_count < 2 {
        return train;
    }
    let mut stream = Stream::new(seed, Purpose::Split, &[Choice::LabelNoise as u64, u64::MAX]);
    let mut labels = train.labels().to_vec();
    for position in choose(&train, count, seed, Choice::LabelNoise, ties).chosen {
        let label = &mut labels[position as usize];
        let step = 1 + stream.below(class_count - 1) as u32;
        *label = (*label + step) % class_count as u32;
    }
    train.with_labels(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Storage;

    #[test]
    fn the_share_asked_for_gets_another_class() {
        let truth: Vec<u32> = (0..300).map(|position| position % 3).collect();
        let split = Split::new(Storage::bytes(1, vec![0; 300], 1), truth.clone());
        let noisy = mislabel(split.clone(), 0.2, 3, 7, Ties::Drawn);
        let wrong = noisy.labels().iter().zip(&truth).filter(|(found, truth)| found != truth).count();
        assert_eq!(wrong, 60);
        assert!(noisy.labels().iter().all(|&label| label < 3));
        assert_eq!(noisy.labels(), mislabel(split.clone(), 0.2, 3, 7, Ties::Drawn).labels());
        assert_ne!(noisy.labels(), mislabel(split.clone(), 0.2, 3, 8, Ties::Drawn).labels());
        assert_eq!(mislabel(split, 0.0, 3, 7, Ties::Drawn).labels(), truth);
    }
}

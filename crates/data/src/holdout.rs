//! Random choices of examples: validation and test data, the examples that a limit keeps, the parts of
//! cross-validation, and the examples that get a wrong label. All are pure functions of their arguments. They are
//! stratified (the same share of every class), unless whole groups stay together.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use kiln_config::Holdout;
use kiln_config::random::{Purpose, Stream};
use serde::{Deserialize, Serialize};

use crate::{DataError, Mismatch, Split};

/// The purpose of a choice: each has its own random stream. The order is part of the stream's key, so new purposes go
/// last.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ChoicePurpose {
    Validation,
    Test,
    TrainLimit,
    TestLimit,
    LabelNoise,
    Folds,
    TestFolds,
}

/// Which class gets one more example if several have the same remainder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TieBreak {
    /// The class with the lowest number. Runs of the first version of Kiln are resumed this way.
    #[default]
    LowestClass,
    /// A class drawn by the seed, so that no class is always at a disadvantage.
    Drawn,
}

/// The chosen positions and the others, both ascending.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) chosen: Vec<u32>,
    pub(crate) others: Vec<u32>,
}

/// Chooses `count` examples of `split` at random, stratified: each class gets its exact share, rounded up or down.
pub(crate) fn choose(
    split: &Split,
    count: usize,
    seed: u64,
    purpose: ChoicePurpose,
    ties: TieBreak,
) -> Partition {
    let mut classes = positions_by_class(split);
    let sizes: Vec<usize> = classes.iter().map(Vec::len).collect();
    let mut is_chosen = vec![false; split.len()];
    let mut ranks: Vec<usize> = (0..sizes.len()).collect();
    if ties == TieBreak::Drawn {
        Stream::new(seed, Purpose::Split, &[purpose as u64, u64::MAX - 1]).shuffle(&mut ranks);
    }
    for (class, quota) in quotas(&sizes, count, &ranks).into_iter().enumerate() {
        let mut stream = Stream::new(seed, Purpose::Split, &[purpose as u64, class as u64]);
        stream.shuffle(&mut classes[class]);
        for &position in &classes[class][..quota] {
            is_chosen[position as usize] = true;
        }
    }
    let (chosen, others) = (0..split.len() as u32).partition(|&position| is_chosen[position as usize]);
    Partition { chosen, others }
}

/// Cuts `split` into `count` parts and holds one out; returns the others and the held-out part. Consecutive seeds
/// hold out part after part; after `count` seeds the examples are dealt again.
pub(crate) fn one_part(
    split: &Split,
    count: usize,
    groups: Option<&[u32]>,
    seed: u64,
) -> Result<(Split, Split), DataError> {
    if count == 1 {
        let mismatch = Mismatch::in_key("data.test_folds", "0, or at least 2 parts", "1");
        return Err(DataError::unfit("nothing to train on", mismatch.remedy("raise it")));
    }
    check_folds("data.test_folds", split, count)?;
    let parts = deal(split, count, groups, seed / count as u64, ChoicePurpose::TestFolds);
    let part = (seed % count as u64) as u32;
    let positions = 0..split.len() as u32;
    let (held_out, others): (Vec<u32>, Vec<u32>) =
        positions.partition(|&position| parts[position as usize] == part);
    if held_out.is_empty() || others.is_empty() {
        let expected = format!("at least {count} groups");
        let mismatch = Mismatch::in_key(
            "data.test_folds",
            expected,
            format!("too few: part {part} has no group, or all"),
        );
        return Err(DataError::unfit("parts without an example", mismatch.remedy("lower it")));
    }
    Ok((split.select(&others), split.select(&held_out)))
}

/// Holds examples out of `split`; returns the others and the held-out examples.
pub(crate) fn hold_out(
    key: &str,
    holdout: Holdout,
    split: Split,
    groups: Option<&[u32]>,
    seed: u64,
    purpose: ChoicePurpose,
    ties: TieBreak,
) -> Result<(Split, Split), DataError> {
    let count = held_out_count(key, holdout, split.len())?;
    if count == 0 {
        let nothing = split.select(&[]);
        return Ok((split, nothing));
    }
    let Partition { chosen, others } = match groups {
        Some(groups) => choose_groups(&split, groups, count, seed, purpose),
        None => choose(&split, count, seed, purpose, ties),
    };
    if chosen.is_empty() {
        let mismatch = Mismatch::in_key(
            "data.group_column",
            "groups small enough to hold out",
            "one group with nearly all rows",
        );
        return Err(DataError::unfit("nothing held out", mismatch.remedy(format!("set {key} to 0"))));
    }
    Ok((split.select(&others), split.select(&chosen)))
}

/// The number of examples that `holdout` takes from `total`; at least one example remains.
fn held_out_count(key: &str, holdout: Holdout, total: usize) -> Result<usize, DataError> {
    let count = holdout.count_of(total);
    if holdout.is_nothing() || total == 0 {
        return Ok(0);
    }
    if count == 0 {
        let mismatch = Mismatch::in_key(key, "a share of at least one example", format!("none of {total}"));
        return Err(DataError::unfit("nothing held out", mismatch.remedy("raise it, or set it to 0")));
    }
    if count >= total {
        let expected = format!("fewer than the {total} examples");
        let mismatch = Mismatch::in_key(key, expected, format!("{count}"));
        return Err(DataError::unfit("nothing to train on", mismatch.remedy("lower it, or give more data")));
    }
    Ok(count)
}

/// An error if there are fewer examples than parts.
pub(crate) fn check_folds(key: &str, split: &Split, folds: usize) -> Result<(), DataError> {
    if split.len() >= folds {
        return Ok(());
    }
    let expected = format!("at most {} parts, one for each example", split.len());
    let mismatch = Mismatch::in_key(key, expected, folds.to_string());
    Err(DataError::unfit("parts without an example", mismatch.remedy("lower it")))
}

fn positions_by_class(split: &Split) -> Vec<Vec<u32>> {
    let class_count = split.labels().iter().max().map_or(0, |&label| label as usize + 1);
    let mut classes = vec![Vec::new(); class_count];
    for (position, &label) in (0..).zip(split.labels()) {
        classes[label as usize].push(position);
    }
    classes
}

/// Chooses whole groups at random, until their examples are about `count`. `groups` is indexed by the source's rows.
pub(crate) fn choose_groups(
    split: &Split,
    groups: &[u32],
    count: usize,
    seed: u64,
    purpose: ChoicePurpose,
) -> Partition {
    let group_of = |position: u32| groups[split.source_row(position as usize) as usize] as usize;
    let mut sizes = vec![0_usize; groups.iter().max().map_or(0, |&group| group as usize + 1)];
    for position in 0..split.len() as u32 {
        sizes[group_of(position)] += 1;
    }
    let mut order: Vec<usize> = (0..sizes.len()).filter(|&group| sizes[group] > 0).collect();
    Stream::new(seed, Purpose::Split, &[purpose as u64, u64::MAX - 2]).shuffle(&mut order);
    let mut is_chosen = vec![false; sizes.len()];
    let mut total = 0;
    for group in order {
        // Take the group if this brings the total closer to `count`.
        if total + sizes[group] / 2 < count && total + sizes[group] < split.len() {
            is_chosen[group] = true;
            total += sizes[group];
        }
    }
    let (chosen, others) = (0..split.len() as u32).partition(|&position| is_chosen[group_of(position)]);
    Partition { chosen, others }
}

/// Deals the examples of `split` into `count` parts and returns the part of each example, from 0. Without groups the
/// parts are stratified; with `groups`, indexed by the source's rows, whole groups go into parts of about the same
/// size.
pub(crate) fn deal(
    split: &Split,
    count: usize,
    groups: Option<&[u32]>,
    seed: u64,
    purpose: ChoicePurpose,
) -> Vec<u32> {
    let stream = |index: u64| Stream::new(seed, Purpose::Split, &[purpose as u64, index]);
    let mut folds = vec![0; split.len()];
    let Some(groups) = groups else {
        let mut dealt = 0;
        for (class, mut positions) in (0..).zip(positions_by_class(split)) {
            stream(class).shuffle(&mut positions);
            for position in positions {
                folds[position as usize] = dealt;
                dealt = (dealt + 1) % count as u32;
            }
        }
        return folds;
    };
    let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for position in 0..split.len() {
        members.entry(groups[split.source_row(position) as usize]).or_default().push(position);
    }
    let mut members: Vec<Vec<usize>> = members.into_values().collect();
    stream(u64::MAX).shuffle(&mut members);
    // The largest group first, each into the smallest part so far.
    members.sort_by_key(|group| Reverse(group.len()));
    let mut sizes = vec![0; count];
    for group in members {
        let fold = (0..count).min_by_key(|&fold| sizes[fold]).unwrap_or_default();
        sizes[fold] += group.len();
        for position in group {
            folds[position] = fold as u32;
        }
    }
    folds
}

/// Divides `count` among classes of these sizes by the largest-remainder method: each class gets its exact share, rounded
/// down or up, and the sum is `count` or the total. Among equal remainders, the lower rank comes first.
fn quotas(sizes: &[usize], count: usize, ranks: &[usize]) -> Vec<usize> {
    let total: u128 = sizes.iter().map(|&size| size as u128).sum();
    let count = (count as u128).min(total);
    if total == 0 {
        return vec![0; sizes.len()];
    }
    let share = |size: usize| count * size as u128;
    let mut quotas: Vec<usize> = sizes.iter().map(|&size| (share(size) / total) as usize).collect();
    let missing = count as usize - quotas.iter().sum::<usize>();
    let mut by_remainder: Vec<usize> = (0..sizes.len()).collect();
    by_remainder.sort_by_key(|&class| (Reverse(share(sizes[class]) % total), ranks[class]));
    for &class in &by_remainder[..missing] {
        quotas[class] += 1;
    }
    quotas
}

/// Replaces the class of a `share` of the examples by another class, drawn at random (`data.label_noise`). A network can
/// only memorize these labels.
pub(crate) fn mislabel(train: Split, share: f64, class_count: usize, seed: u64, ties: TieBreak) -> Split {
    let count = (train.len() as f64 * share).round() as usize;
    if count == 0 || class_count < 2 {
        return train;
    }
    let mut stream = Stream::new(seed, Purpose::Split, &[ChoicePurpose::LabelNoise as u64, u64::MAX]);
    let mut labels = train.labels().to_vec();
    for position in choose(&train, count, seed, ChoicePurpose::LabelNoise, ties).chosen {
        let label = &mut labels[position as usize];
        let step = 1 + stream.below(class_count - 1) as u32;
        *label = (*label + step) % class_count as u32;
    }
    train.with_labels(labels)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::values::Storage;

    fn split(labels: Vec<u32>) -> Split {
        Split::new(Storage::bytes(1, vec![0; labels.len()], 255), labels)
    }

    #[test]
    fn shares_are_rounded_to_a_sum_that_is_exact() {
        assert_eq!(quotas(&[5, 3, 2], 5, &[0, 1, 2]), [3, 1, 1]);
        assert_eq!(quotas(&[1, 1, 1], 2, &[2, 0, 1]), [0, 1, 1]);
        assert_eq!(quotas(&[4, 0, 4], 100, &[0, 1, 2]), [4, 0, 4]);
        assert_eq!(quotas(&[0, 0], 3, &[0, 1]), [0, 0]);
        assert_eq!(quotas(&[], 3, &[]), [0; 0]);
    }

    #[test]
    fn each_purpose_and_seed_chooses_other_examples() {
        let split = split((0..1000).map(|position| position % 10).collect());
        let reference = choose(&split, 100, 1, ChoicePurpose::Validation, TieBreak::Drawn).chosen;
        assert_eq!(reference, choose(&split, 100, 1, ChoicePurpose::Validation, TieBreak::Drawn).chosen);
        assert_ne!(reference, choose(&split, 100, 2, ChoicePurpose::Validation, TieBreak::Drawn).chosen);
        assert_ne!(reference, choose(&split, 100, 1, ChoicePurpose::TrainLimit, TieBreak::Drawn).chosen);
    }

    #[test]
    fn groups_are_dealt_whole_into_parts_of_about_one_size() {
        let split = split((0..60).map(|position| position % 2).collect());
        let groups: Vec<u32> = (0..60).map(|row| row / 4).collect();
        let folds = deal(&split, 4, Some(&groups), 1, ChoicePurpose::Folds);
        assert!((0..60).all(|row| folds[row] == folds[row / 4 * 4]));
        assert!((0..4).all(|fold| (12..=16).contains(&folds.iter().filter(|&&of| of == fold).count())));
        assert_ne!(folds, deal(&split, 4, Some(&groups), 2, ChoicePurpose::Folds));
    }

    proptest! {
        #[test]
        fn every_part_has_its_share_of_every_class(
            labels in proptest::collection::vec(0_u32..6, 1..300),
            count in 2_usize..9,
            seed: u64,
        ) {
            let split = split(labels);
            let folds = deal(&split, count, None, seed, ChoicePurpose::Folds);
            for class in 0..6 {
                let of = |fold: u32| {
                    let both = split.labels().iter().zip(&folds);
                    both.filter(|&(label, of)| (*label, *of) == (class, fold)).count()
                };
                let sizes: Vec<usize> = (0..count as u32).map(of).collect();
                prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
            }
        }

        #[test]
        fn a_choice_is_disjoint_complete_stratified_and_repeatable(
            labels in proptest::collection::vec(0_u32..6, 1..300),
            share in 0.0..=1.0_f64,
            seed: u64,
        ) {
            let split = split(labels);
            let count = (split.len() as f64 * share) as usize;
            let Partition { chosen, others } = choose(&split, count, seed, ChoicePurpose::Test, TieBreak::Drawn);
            prop_assert_eq!(chosen.len(), count);
            let mut all: Vec<u32> = chosen.iter().chain(&others).copied().collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..split.len() as u32).collect::<Vec<_>>());
            let (before, after) = (split.counts(6), split.select(&chosen).counts(6));
            for (before, after) in before.into_iter().zip(after) {
                let exact = before as f64 * count as f64 / split.len() as f64;
                prop_assert!((after as f64 - exact).abs() < 1.0, "{after} of {exact}");
            }
            prop_assert_eq!(chosen, choose(&split, count, seed, ChoicePurpose::Test, TieBreak::Drawn).chosen);
        }
    }

    #[test]
    fn the_given_share_of_examples_gets_another_class() {
        let truth: Vec<u32> = (0..300).map(|position| position % 3).collect();
        let split = Split::new(Storage::bytes(1, vec![0; 300], 1), truth.clone());
        let noisy = mislabel(split.clone(), 0.2, 3, 7, TieBreak::Drawn);
        let wrong = noisy.labels().iter().zip(&truth).filter(|(found, truth)| found != truth).count();
        assert_eq!(wrong, 60);
        assert!(noisy.labels().iter().all(|&label| label < 3));
        assert_eq!(noisy.labels(), mislabel(split.clone(), 0.2, 3, 7, TieBreak::Drawn).labels());
        assert_ne!(noisy.labels(), mislabel(split.clone(), 0.2, 3, 8, TieBreak::Drawn).labels());
        assert_eq!(mislabel(split, 0.0, 3, 7, TieBreak::Drawn).labels(), truth);
    }
}

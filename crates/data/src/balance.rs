//! How many examples of each class there are.

use kiln_table::{listed, quoted};

use crate::Split;

/// What is said of classes of very different sizes.
pub(crate) fn imbalance(classes: &[String], train: &Split) -> Option<String> {
    const TIMES: usize = 10;
    let counts = train.counts(classes.len());
    let (least, fewest) = counts.iter().enumerate().min_by_key(|&(_, count)| count)?;
    let (most, greatest) = counts.iter().enumerate().max_by_key(|&(_, count)| count)?;
    (fewest * TIMES < *greatest).then(|| {
        format!(
            "class {} has {greatest} training examples and {} has {fewest}: accuracy says little of the smaller one; \
             loss.class_weights=\"balanced\" makes each count as much",
            quoted(&classes[most]),
            quoted(&classes[least])
        )
    })
}

/// Classes that a split lacks, though it has examples.
pub(crate) fn rare_classes(
    classes: &[String],
    train: &Split,
    validation: &Split,
    test: &Split,
) -> Vec<String> {
    let lacking = |split: &Split| {
        let counts = split.counts(classes.len());
        let names = classes.iter().zip(counts).filter(|&(_, count)| count == 0 && !split.is_empty());
        names.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    };
    let sentence = |split: &Split, what: &str, so: &str| {
        let names = lacking(split);
        let many = format!(
            "{} of the {} classes have no {what} example, {so}: {}",
            names.len(),
            classes.len(),
            listed(names.iter().copied(), 8)
        );
        (!names.is_empty()).then_some(many)
    };
    let never_learnt = sentence(train, "training", "and are never learnt");
    let never_seen =
        sentence(validation, "validation", "so that the figures of an epoch say nothing of them");
    let never_tested = sentence(test, "test", "so that no test figure says anything of them");
    [never_learnt, never_seen, never_tested].into_iter().flatten().collect()
}

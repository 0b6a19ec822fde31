//! What a network makes of each column of a table: how much worse it is without it, and how its answers follow its values.

use std::collections::BTreeMap;
use std::path::Path;

use kiln_artifacts::replace_file;
use kiln_config::random::{Purpose, Stream};
use kiln_data::{Holds, Raw, Shape, Split, UsedColumn};
use kiln_diagnosis::Difference;
use kiln_files::json_text;
use serde::{Deserialize, Serialize};

use crate::confidence_intervals::{FEWEST_EXAMPLES, difference};
use crate::evaluator::read_json;
use crate::{EvaluationError, Predictions};

/// The file in the folder of its evaluation.
pub const IMPORTANCE_FILE: &str = "importance.json";

/// Times that the values of a column are exchanged, or once where all columns would take too long.
const SHUFFLES: usize = 5;
/// With fewer examples than this, each column is shuffled once.
const FEW_EXAMPLES: usize = 200;
/// Columns whose values are followed, the values of each, and the examples that they are given to.
const FOLLOWED: usize = 6;
const VALUES: usize = 12;
const EXAMPLES_FOLLOWED: usize = 200;

/// What each column is worth to a network (permutation importance: Breiman 2001, "Random forests"; scikit-learn's
/// `permutation_importance`), and how its answers follow the values of the most important ones (partial dependence:
/// Friedman 2001, "Greedy function approximation").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Importance {
    /// Examples that were asked about: all of the split, or some of it that the seed drew.
    pub examples: u64,
    /// How often the values of each column were exchanged between them.
    pub shuffles: u64,
    /// The columns, the most important first.
    pub columns: Vec<ColumnImportance>,
    /// How the answers follow the values of the most important ones.
    pub dependence: Vec<Dependence>,
}

/// How much worse the network is where the values of a column are exchanged between the examples, so that they tell it
/// nothing. What a column shares with others, those may still tell it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnImportance {
    /// Its name.
    pub column: String,
    /// By how much the log-loss rises.
    pub log_loss: Difference,
    /// By how much the accuracy falls.
    pub accuracy: Difference,
}

/// The mean probabilities of examples that are all given the same value of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependence {
    /// The column.
    pub column: String,
    /// Examples that each value was given to.
    pub examples: u64,
    /// Its values: up to 12, of numbers with an equal share of the examples between them, or of the numbers where most
    /// examples have the same; of words the most frequent.
    pub values: Vec<DependenceValue>,
}

/// A value, and what the network says of examples that have it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DependenceValue {
    /// In words.
    pub value: String,
    /// The number that it is; none of words.
    pub number: Option<f64>,
    /// The mean probability of each class, by number.
    pub probabilities: Vec<f64>,
}

impl Importance {
    /// Asks `predict` about examples of `split`, rows of a table of this `shape`, at most `most` times. None where examples are
    /// no rows, too few are there or could be asked about, or a probability is not a number.
    pub(crate) fn measure(
        predict: impl Fn(&Split) -> Predictions,
        split: &Split,
        shape: &Shape,
        seed: u64,
        most: usize,
    ) -> Option<Self> {
        let columns = split.used_columns(shape);
        let affordable = |shuffles: usize| most / 2 / (shuffles * columns.len()).max(1);
        let shuffles = if affordable(SHUFFLES) < FEW_EXAMPLES { 1 } else { SHUFFLES };
        let examples = affordable(shuffles).min(split.len());
        if columns.is_empty() || examples < FEWEST_EXAMPLES {
            return None;
        }
        let positions = drawn(split.len(), examples, seed);
        let asked = Asked { predict, split, seed, positions };
        let own = Scores::of(&(asked.predict)(&split.select(&asked.positions)))?;
        let mut worth = Vec::new();
        for (number, column) in columns.iter().enumerate() {
            worth.push((number, asked.importance(number, column, &own, shuffles)?));
        }
        // The first of several that are equal.
        worth.sort_by(|(_, left), (_, right)| right.log_loss.mean.total_cmp(&left.log_loss.mean));
        let followed =
            EXAMPLES_FOLLOWED.min(examples).min(most / 2 / (FOLLOWED * VALUES)).max(FEWEST_EXAMPLES);
        let followed: Vec<u32> =
            drawn(examples, followed, seed).into_iter().map(|at| asked.positions[at as usize]).collect();
        let dependence = worth
            .iter()
            .filter(|(_, worth)| worth.log_loss.lower > 0.0)
            .filter_map(|(number, _)| asked.dependence(*number, &columns[*number], shape, &followed))
            .take(FOLLOWED)
            .collect();
        Some(Self {
            examples: examples as u64,
            shuffles: shuffles as u64,
            columns: worth.into_iter().map(|(_, worth)| worth).collect(),
            dependence,
        })
    }

    /// Reads that of the evaluation in `folder`; none where it was not measured.
    ///
    /// # Errors
    /// Where the file is there and cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>, EvaluationError> {
        let path = folder.join(IMPORTANCE_FILE);
        if !path.is_file() {
            return Ok(None);
        }
        read_json(&path, "what the columns are worth to the network").map(Some)
    }

    /// Writes it into the folder of its evaluation.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), EvaluationError> {
        Ok(replace_file(&folder.join(IMPORTANCE_FILE), &json_text(self))?)
    }
}

/// `count` of the positions below `len`, in order.
fn drawn(len: usize, count: usize, seed: u64) -> Vec<u32> {
    let mut positions: Vec<u32> = (0..len as u32).collect();
    if count < len {
        Stream::new(seed, Purpose::Importance, &[]).shuffle(&mut positions);
        positions.truncate(count);
        positions.sort_unstable();
    }
    positions
}

/// Loss of each example, and whether it is predicted right.
struct Scores {
    losses: Vec<f64>,
    right: Vec<bool>,
}

impl Scores {
    fn of(predictions: &Predictions) -> Option<Self> {
        Some(Self { losses: predictions.log_losses()?, right: predictions.is_right().collect() })
    }
}

/// Examples of a split, and who is asked about them.
struct Asked<'a, P> {
    predict: P,
    split: &'a Split,
    seed: u64,
    positions: Vec<u32>,
}

impl<P: Fn(&Split) -> Predictions> Asked<'_, P> {
    fn importance(
        &self,
        number: usize,
        column: &UsedColumn,
        own: &Scores,
        shuffles: usize,
    ) -> Option<ColumnImportance> {
        let mut losses = vec![0.0; self.positions.len()];
        let mut mistakes = losses.clone();
        let share = 1.0 / shuffles as f64;
        for shuffle in 0..shuffles {
            let mut donors = self.positions.clone();
            Stream::new(self.seed, Purpose::Importance, &[number as u64, shuffle as u64])
                .shuffle(&mut donors);
            let altered = self.split.with_values_of(&self.positions, &donors, &column.values);
            let scores = Scores::of(&(self.predict)(&altered))?;
            for example in 0..self.positions.len() {
                losses[example] += (scores.losses[example] - own.losses[example]) * share;
                let worse = f64::from(own.right[example]) - f64::from(scores.right[example]);
                mistakes[example] += worse * share;
            }
        }
        Some(ColumnImportance {
            column: column.name.clone(),
            log_loss: difference(&losses),
            accuracy: difference(&mistakes),
        })
    }

    /// None of dates, of a column with one value, and where a probability is not a number.
    fn dependence(
        &self,
        number: usize,
        column: &UsedColumn,
        shape: &Shape,
        positions: &[u32],
    ) -> Option<Dependence> {
        let donors = match column.holds {
            Holds::Numbers => self.numbers(column),
            Holds::Words => self.words(column),
            Holds::Dates => Vec::new(),
        };
        if donors.len() < 2 {
            return None;
        }
        let mut values = Vec::new();
        for donor in donors {
            let altered = self.split.with_values_of(positions, &vec![donor; positions.len()], &column.values);
            let mut words = self.split.words(donor as usize, shape);
            values.push(DependenceValue {
                value: words.swap_remove(number).1,
                number: (column.holds == Holds::Numbers).then(|| self.value(donor, column)),
                probabilities: mean_probabilities(&(self.predict)(&altered))?,
            });
        }
        Some(Dependence { column: column.name.clone(), examples: positions.len() as u64, values })
    }

    fn value(&self, position: u32, column: &UsedColumn) -> f64 {
        let at = column.values.start;
        match self.split.raw(position as usize) {
            Raw::Bytes(values) => f64::from(values[at]),
            Raw::Floats(values) => f64::from(values[at]),
            Raw::Cells(values) => values[at],
        }
    }

    /// Examples whose numbers have an equal share of the others between them, from the least number to the greatest.
    fn numbers(&self, column: &UsedColumn) -> Vec<u32> {
        let mut known: Vec<(f64, u32)> = self
            .positions
            .iter()
            .map(|&position| (self.value(position, column), position))
            .filter(|(value, _)| value.is_finite())
            .collect();
        known.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.cmp(&right.1)));
        let chosen = evenly(&known);
        let chosen = if chosen.len() < VALUES / 2 {
            // Most examples have one number: of those that are there, an equal share of the numbers.
            known.dedup_by(|next, kept| next.0 == kept.0);
            evenly(&known)
        } else {
            chosen
        };
        chosen.into_iter().map(|(_, position)| position).collect()
    }

    /// An example of each of the most frequent words, in the order of the words.
    fn words(&self, column: &UsedColumn) -> Vec<u32> {
        // By the bits of the number that stands for the word: those of whole numbers from 0 are in their order.
        let mut examples: BTreeMap<u64, (usize, u32)> = BTreeMap::new();
        for &position in &self.positions {
            let value = self.value(position, column);
            if value >= 0.0 {
                examples.entry(value.to_bits()).or_insert((0, position)).0 += 1;
            }
        }
        let mut counts: Vec<usize> = examples.values().map(|(count, _)| *count).collect();
        counts.sort_unstable_by(|left, right| right.cmp(left));
        let fewest = counts.get(VALUES - 1).copied().unwrap_or(0);
        let frequent = examples.into_values().filter(|(count, _)| *count >= fewest);
        frequent.map(|(_, position)| position).take(VALUES).collect()
    }
}

/// Up to [`VALUES`] different numbers of `known`, which rise, with as many others between each two.
fn evenly(known: &[(f64, u32)]) -> Vec<(f64, u32)> {
    let Some(last) = known.len().checked_sub(1) else { return Vec::new() };
    let mut chosen: Vec<(f64, u32)> = (0..VALUES).map(|place| known[place * last / (VALUES - 1)]).collect();
    chosen.dedup_by(|next, kept| next.0 == kept.0);
    chosen
}

fn mean_probabilities(predictions: &Predictions) -> Option<Vec<f64>> {
    if !predictions.has_all_probabilities() {
        return None;
    }
    let mut sums = vec![0.0; predictions.class_count()];
    for (_, _, row) in predictions.examples() {
        for (sum, &probability) in sums.iter_mut().zip(row) {
            *sum += f64::from(probability);
        }
    }
    let count = predictions.len() as f64;
    Some(sums.into_iter().map(|sum| sum / count).collect())
}

#[cfg(test)]
mod tests {
    use kiln_data::Example;

    use super::*;

    /// 400 rows of two columns; the class is whether the first is above a half.
    fn split() -> Split {
        let mut stream = Stream::new(1, Purpose::Sampling, &[]);
        let rows: Vec<Example> = (0..400)
            .map(|_| {
                let features = vec![stream.uniform() as f32, stream.uniform() as f32];
                Example { label: u32::from(features[0] > 0.5), features }
            })
            .collect();
        Split::from_dataset(&burn::data::dataset::InMemDataset::new(rows)).unwrap()
    }

    /// Knows the first column's rule and is 90 % sure of it.
    fn knowing(split: &Split) -> Predictions {
        let classes = (0..split.len()).map(|row| u32::from(split.raw(row).to_floats()[0] > 0.5));
        let predicted: Vec<u32> = classes.collect();
        let rows = predicted.iter().flat_map(|&class| if class == 0 { [0.9, 0.1] } else { [0.1, 0.9] });
        let names = vec!["low".to_owned(), "high".to_owned()];
        let rows = rows.collect();
        Predictions::new(names, split.labels().to_vec(), predicted, rows, vec![0.0; split.len()]).unwrap()
    }

    fn shape() -> Shape {
        Shape::Columns(vec!["told".to_owned(), "noise".to_owned()])
    }

    #[test]
    fn a_column_that_decides_is_worth_what_chance_costs() {
        let found = Importance::measure(knowing, &split(), &shape(), 42, 1 << 20).unwrap();
        assert_eq!((found.examples, found.shuffles), (400, 5));
        let [told, noise] = &found.columns[..] else { panic!("two columns") };
        assert_eq!((told.column.as_str(), noise.column.as_str()), ("told", "noise"));
        // Half of the answers are wrong then, and cost -ln 0.1 in place of -ln 0.9.
        let cost = 0.5 * 9.0_f64.ln();
        assert!((told.log_loss.mean - cost).abs() < 0.1, "{told:?}");
        assert!((told.accuracy.mean - 0.5).abs() < 0.05 && told.accuracy.lower > 0.4, "{told:?}");
        let none = Difference { mean: 0.0, lower: 0.0, upper: 0.0 };
        assert_eq!((noise.log_loss, noise.accuracy), (none, none));
    }

    #[test]
    fn the_answers_follow_the_values() {
        let found = Importance::measure(knowing, &split(), &shape(), 42, 1 << 20).unwrap();
        let [told] = &found.dependence[..] else { panic!("one column is of use") };
        assert_eq!((told.values.len(), told.examples), (12, 200));
        assert!(told.values.is_sorted_by(|left, right| left.number < right.number));
        for value in &told.values {
            let high = if value.number.unwrap() > 0.5 { 0.9 } else { 0.1 };
            assert!((value.probabilities[1] - high).abs() < 1e-6, "{value:?}");
        }
    }

    #[test]
    fn what_may_be_asked_bounds_the_examples() {
        let measure = |most| Importance::measure(knowing, &split(), &shape(), 42, most);
        let found = measure(4000).unwrap();
        assert_eq!((found.examples, found.shuffles), (200, 5));
        let found = measure(400).unwrap();
        assert_eq!((found.examples, found.shuffles), (100, 1));
        assert_eq!(measure(100), None);
    }
}

//! How a network uses the columns of a table: permutation importance, and partial dependence on the most important ones.

use std::collections::BTreeMap;
use std::path::Path;

use kiln_artifacts::replace_file;
use kiln_config::random::{Purpose, Stream};
use kiln_data::{RawValues, Shape, Split, UsedColumn, ValueKind};
use kiln_diagnosis::Difference;
use kiln_files::json_text;
use serde::{Deserialize, Serialize};

use crate::confidence_intervals::{FEWEST_EXAMPLES, difference};
use crate::evaluator::read_json;
use crate::{EvaluationError, Predictions};

/// Its file in the folder of the evaluation.
pub const IMPORTANCE_FILE: &str = "importance.json";

/// Each column is shuffled this many times.
const SHUFFLES: usize = 5;
/// If [`SHUFFLES`] shuffles would leave fewer examples than this, each column is shuffled once instead.
const FEW_EXAMPLES: usize = 200;
/// The number of columns with a partial dependence.
const DEPENDENCE_COLUMNS: usize = 6;
/// The number of values of such a column.
const VALUES: usize = 12;
/// The number of examples that each value is given to.
const DEPENDENCE_EXAMPLES: usize = 200;

/// Permutation importance of each column (Breiman 2001, "Random forests"; scikit-learn's `permutation_importance`), and
/// partial dependence on the most important ones (Friedman 2001, "Greedy function approximation").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Importance {
    /// The number of examples: all of the split, or a random selection.
    pub examples: u64,
    /// How often each column was shuffled.
    pub shuffles: u64,
    /// The columns, the most important first.
    pub columns: Vec<ColumnImportance>,
    /// The partial dependence on the most important columns.
    pub dependence: Vec<Dependence>,
}

/// How much worse the network is if the values of a column are shuffled among the examples. Information that the column
/// shares with other columns is still available from those.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnImportance {
    /// Its name.
    pub column: String,
    /// The increase of the log-loss.
    pub log_loss: Difference,
    /// The decrease of the accuracy.
    pub accuracy: Difference,
}

/// The mean predicted probabilities if all examples get the same value of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependence {
    /// The column.
    pub column: String,
    /// The number of examples that each value was given to.
    pub examples: u64,
    /// Up to 12 values. Numbers are quantiles of the examples, or of the distinct numbers if most examples have the same one.
    /// Words are the most frequent ones.
    pub values: Vec<DependenceValue>,
}

/// A value of a column, and the network's predictions for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DependenceValue {
    /// The value as text.
    pub value: String,
    /// The value as a number; null for words.
    pub number: Option<f64>,
    /// The mean probability of each class, by number.
    pub probabilities: Vec<f64>,
}

impl Importance {
    /// Measures the importance with at most `most` predictions of examples of `split`, which are rows of a table of this
    /// `shape`. `None` if the examples are not rows, if there are too few or too few may be predicted, or if a probability is
    /// NaN.
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
        let predictor = Predictor { predict, split, seed, positions };
        let own = Scores::of(&(predictor.predict)(&split.select(&predictor.positions)))?;
        let mut importances = Vec::new();
        for (number, column) in columns.iter().enumerate() {
            importances.push((number, predictor.importance(number, column, &own, shuffles)?));
        }
        // A stable sort: of equal columns, the first comes first.
        importances.sort_by(|(_, left), (_, right)| right.log_loss.mean.total_cmp(&left.log_loss.mean));
        let count = DEPENDENCE_EXAMPLES
            .min(examples)
            .min(most / 2 / (DEPENDENCE_COLUMNS * VALUES))
            .max(FEWEST_EXAMPLES);
        let selected: Vec<u32> =
            drawn(examples, count, seed).into_iter().map(|at| predictor.positions[at as usize]).collect();
        let dependence = importances
            .iter()
            .filter(|(_, importance)| importance.log_loss.lower > 0.0)
            .filter_map(|(number, _)| predictor.dependence(*number, &columns[*number], shape, &selected))
            .take(DEPENDENCE_COLUMNS)
            .collect();
        Some(Self {
            examples: examples as u64,
            shuffles: shuffles as u64,
            columns: importances.into_iter().map(|(_, importance)| importance).collect(),
            dependence,
        })
    }

    /// Reads the file in the `folder` of an evaluation; `None` if it does not exist.
    pub fn read(folder: &Path) -> Result<Option<Self>, EvaluationError> {
        let path = folder.join(IMPORTANCE_FILE);
        if !path.is_file() {
            return Ok(None);
        }
        read_json(&path, "the importance of columns").map(Some)
    }

    /// Writes the file into the folder of its evaluation.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), EvaluationError> {
        Ok(replace_file(&folder.join(IMPORTANCE_FILE), &json_text(self))?)
    }
}

/// A random selection of `count` positions below `len`, in order.
fn drawn(len: usize, count: usize, seed: u64) -> Vec<u32> {
    let mut positions: Vec<u32> = (0..len as u32).collect();
    if count < len {
        Stream::new(seed, Purpose::Importance, &[]).shuffle(&mut positions);
        positions.truncate(count);
        positions.sort_unstable();
    }
    positions
}

/// The log-loss of each example, and whether its prediction is correct.
struct Scores {
    losses: Vec<f64>,
    right: Vec<bool>,
}

impl Scores {
    fn of(predictions: &Predictions) -> Option<Self> {
        Some(Self { losses: predictions.log_losses()?, right: predictions.is_right().collect() })
    }
}

/// The network, and the examples of a split that it predicts with altered columns.
struct Predictor<'a, P> {
    predict: P,
    split: &'a Split,
    seed: u64,
    positions: Vec<u32>,
}

impl<P: Fn(&Split) -> Predictions> Predictor<'_, P> {
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

    /// `None` for dates, for a column with a single value, and if a probability is NaN.
    fn dependence(
        &self,
        number: usize,
        column: &UsedColumn,
        shape: &Shape,
        positions: &[u32],
    ) -> Option<Dependence> {
        let donors = match column.holds {
            ValueKind::Numbers => self.numbers(column),
            ValueKind::Words => self.words(column),
            ValueKind::Dates => Vec::new(),
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
                number: (column.holds == ValueKind::Numbers).then(|| self.value(donor, column)),
                probabilities: mean_probabilities(&(self.predict)(&altered))?,
            });
        }
        Some(Dependence { column: column.name.clone(), examples: positions.len() as u64, values })
    }

    fn value(&self, position: u32, column: &UsedColumn) -> f64 {
        let at = column.values.start;
        match self.split.raw(position as usize) {
            RawValues::Bytes(values) => f64::from(values[at]),
            RawValues::Floats(values) => f64::from(values[at]),
            RawValues::Cells(values) => values[at],
        }
    }

    /// Examples at evenly spaced quantiles of the column, from the smallest number to the largest.
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
            // Most examples have the same number: take quantiles of the distinct numbers instead.
            known.dedup_by(|next, kept| next.0 == kept.0);
            evenly(&known)
        } else {
            chosen
        };
        chosen.into_iter().map(|(_, position)| position).collect()
    }

    /// One example for each of the most frequent words, in the order of the words.
    fn words(&self, column: &UsedColumn) -> Vec<u32> {
        // Words are encoded as numbers from 0. Their binary form, which is the key here, sorts like the numbers.
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

/// Up to [`VALUES`] distinct numbers at evenly spaced positions of `known`, which is sorted.
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

    /// 400 rows of two columns; the class is 1 if the first is above 0.5.
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

    /// A model that knows the rule of the first column, with a confidence of 90 %.
    fn rule_model(split: &Split) -> Predictions {
        let classes = (0..split.len()).map(|row| u32::from(split.raw(row).to_floats()[0] > 0.5));
        let predicted: Vec<u32> = classes.collect();
        let rows = predicted.iter().flat_map(|&class| if class == 0 { [0.9, 0.1] } else { [0.1, 0.9] });
        let names = vec!["low".to_owned(), "high".to_owned()];
        let rows = rows.collect();
        Predictions::new(names, split.labels().to_vec(), predicted, rows, vec![0.0; split.len()]).unwrap()
    }

    fn shape() -> Shape {
        Shape::Columns(vec!["signal".to_owned(), "noise".to_owned()])
    }

    #[test]
    fn the_importance_of_the_deciding_column_is_the_cost_of_guessing() {
        let found = Importance::measure(rule_model, &split(), &shape(), 42, 1 << 20).unwrap();
        assert_eq!((found.examples, found.shuffles), (400, 5));
        let [signal, noise] = &found.columns[..] else { panic!("two columns") };
        assert_eq!((signal.column.as_str(), noise.column.as_str()), ("signal", "noise"));
        // After shuffling, half of the predictions are wrong and cost -ln 0.1 instead of -ln 0.9.
        let cost = 0.5 * 9.0_f64.ln();
        assert!((signal.log_loss.mean - cost).abs() < 0.1, "{signal:?}");
        assert!((signal.accuracy.mean - 0.5).abs() < 0.05 && signal.accuracy.lower > 0.4, "{signal:?}");
        let none = Difference { mean: 0.0, lower: 0.0, upper: 0.0 };
        assert_eq!((noise.log_loss, noise.accuracy), (none, none));
    }

    #[test]
    fn the_predictions_depend_on_the_values() {
        let found = Importance::measure(rule_model, &split(), &shape(), 42, 1 << 20).unwrap();
        let [signal] = &found.dependence[..] else { panic!("one column matters") };
        assert_eq!((signal.values.len(), signal.examples), (12, 200));
        assert!(signal.values.is_sorted_by(|left, right| left.number < right.number));
        for value in &signal.values {
            let high = if value.number.unwrap() > 0.5 { 0.9 } else { 0.1 };
            assert!((value.probabilities[1] - high).abs() < 1e-6, "{value:?}");
        }
    }

    #[test]
    fn the_limit_of_predictions_limits_the_examples() {
        let measure = |most| Importance::measure(rule_model, &split(), &shape(), 42, most);
        let found = measure(4000).unwrap();
        assert_eq!((found.examples, found.shuffles), (200, 5));
        let found = measure(400).unwrap();
        assert_eq!((found.examples, found.shuffles), (100, 1));
        assert_eq!(measure(100), None);
    }
}

//! A trained perceptron as plain numbers: everything that another program needs to answer like Kiln. Also its weights
//! rounded to 16 bits, and the cost of the rounding.

use half::f16;
use kiln::{Mlp, Split, Trained};
use kiln_config::{Activation, DropoutMode, Experiment, Output};
use kiln_data::{Normalizer, Profile, Shape};
use kiln_model::{Parameter, parameters, with_parameters};
use kiln_table::Preparation;
use serde::Serialize;

use crate::ExportError;

/// A network with the preprocessing of raw values before it, and the calibration and the choice of a class after it.
#[derive(Clone, Debug)]
pub struct Network {
    /// The form of an example, and how it becomes features.
    pub input: Input,
    /// The networks: one, or several whose probabilities are averaged.
    pub members: Vec<Member>,
    /// The activation after every layer except the last.
    pub activation: Activation,
    /// The factor on every hidden unit at prediction with standard dropout (its keep probability); otherwise 1.
    pub keep: f32,
    /// Whether the probabilities are sigmoids divided by their sum, rather than a softmax.
    pub is_sigmoid: bool,
    /// The calibration of the probabilities.
    pub calibration: Option<Calibration>,
    /// The threshold that decides between two classes; without it, the most probable class is predicted.
    pub threshold: Option<Threshold>,
    /// The names of the classes, by number.
    pub classes: Vec<String>,
}

/// The examples that a network takes.
#[derive(Clone, Debug)]
pub enum Input {
    /// Pictures.
    Pixels(Pixels),
    /// Rows of a table; each column becomes features by its treatment.
    Columns(Box<Preparation>),
}

/// Pictures as whole numbers, plane by plane and row by row. A feature is `(value / divisor - mean) / deviation`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pixels {
    /// Channels, height, width.
    pub shape: [usize; 3],
    /// The greatest value; the least is 0.
    pub greatest: u8,
    /// See [`Pixels`].
    pub divisor: f32,
    /// See [`Pixels`].
    pub mean: f32,
    /// See [`Pixels`].
    pub deviation: f32,
}

/// One network of an ensemble, or the only network.
#[derive(Clone, Debug)]
pub struct Member {
    /// The embedding of measured numbers before the first layer.
    pub embedding: Option<Embedding>,
    /// The layers, first to last.
    pub layers: Vec<Layer>,
}

/// A linear layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The number of input features.
    pub inputs: usize,
    /// The number of output features.
    pub outputs: usize,
    /// Shape [outputs, inputs], row-major, as in PyTorch.
    pub weight: Vec<f32>,
    /// Shape `[outputs]`; zeros for a layer without bias.
    pub bias: Vec<f32>,
}

/// The embedding of measured numbers: each number x becomes `cos(2 pi (frequency x + phase))` for each of its waves, then a
/// linear layer of its own mixes these. The results follow the features.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// The indices of the features that are measured numbers.
    pub columns: Vec<usize>,
    /// Waves per number.
    pub waves: usize,
    /// Output features per number.
    pub size: usize,
    /// Shape [numbers, waves].
    pub frequency: Vec<f32>,
    /// In turns, shape [numbers, waves].
    pub phase: Vec<f32>,
    /// Shape [numbers, waves, size].
    pub weight: Vec<f32>,
    /// Shape [numbers, size].
    pub bias: Vec<f32>,
}

/// A calibration: p becomes `(1 - share) * softmax(ln(p) / temperature) + share / classes`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Above 1 for an overconfident network.
    pub temperature: f64,
    /// The share of the probability that is spread evenly over all classes.
    pub share: f64,
}

/// The decision between two classes: `positive` is predicted if its probability is at least `least`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Threshold {
    /// Number of the class.
    pub positive: usize,
    /// In (0, 1].
    pub least: f64,
}

impl Network {
    /// The network of `trained`, with its current weights.
    ///
    /// # Errors
    /// [`ExportError::FirstVersion`] for a run of Kiln's first version.
    pub fn of(trained: &Trained<Mlp>) -> Result<Self, ExportError> {
        let (experiment, profile) = (trained.experiment(), trained.profile());
        let stored = trained.model();
        let parameters = parameters(&stored.model);
        let count = experiment.model.members;
        let member = |number: usize| {
            let parent = if count == 1 { String::new() } else { format!("members.{number}.") };
            Member::of(&parameters, &parent, profile, experiment)
        };
        let dropout = &experiment.model;
        let keep =
            if dropout.dropout_mode == DropoutMode::Standard { (1.0 - dropout.dropout) as f32 } else { 1.0 };
        let threshold = stored.threshold.as_ref().and_then(|threshold| {
            let positive = profile.classes.iter().position(|class| *class == threshold.positive)?;
            Some(Threshold { positive, least: threshold.threshold })
        });
        Ok(Self {
            input: Input::of(profile)?,
            members: (0..count).map(member).collect(),
            activation: experiment.model.activation,
            keep,
            is_sigmoid: experiment.model.output == Output::Sigmoid,
            calibration: stored
                .calibration
                .map(|kept| Calibration { temperature: kept.temperature, share: kept.share }),
            threshold,
            classes: profile.classes.clone(),
        })
    }

    /// The number of all weights and biases.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let of_embedding = |embedding: &Embedding| {
            2 * embedding.frequency.len() + embedding.weight.len() + embedding.bias.len()
        };
        let of_layer = |layer: &Layer| layer.weight.len() + layer.bias.len();
        let of = |member: &Member| {
            member.embedding.as_ref().map_or(0, of_embedding)
                + member.layers.iter().map(of_layer).sum::<usize>()
        };
        self.members.iter().map(of).sum()
    }
}

impl Input {
    fn of(profile: &Profile) -> Result<Self, ExportError> {
        match (&profile.shape, &profile.normalizer) {
            (_, Normalizer::Table(preparation)) => Ok(Self::Columns(Box::new(preparation.clone()))),
            (&Shape::Image { height, width, channels }, normalizer) => {
                let (divisor, mean, deviation) = match *normalizer {
                    Normalizer::Divide { divisor } => (divisor, 0.0, 1.0),
                    Normalizer::Standardize { divisor, mean, deviation } => (divisor, mean, deviation),
                    Normalizer::Columns { .. } | Normalizer::Table(_) => {
                        return Err(ExportError::FirstVersion);
                    }
                };
                let greatest = profile.greatest_pixel.unwrap_or(u8::MAX);
                let shape = [channels, height, width];
                Ok(Self::Pixels(Pixels { shape, greatest, divisor, mean, deviation }))
            }
            (Shape::Columns(_), _) => Err(ExportError::FirstVersion),
        }
    }

    /// The number of features before the embedding and the first layer.
    #[must_use]
    pub fn features(&self) -> usize {
        match self {
            Self::Pixels(pixels) => pixels.shape.iter().product(),
            Self::Columns(preparation) => preparation.features(),
        }
    }
}

impl Member {
    fn of(parameters: &[Parameter], parent: &str, profile: &Profile, experiment: &Experiment) -> Self {
        let find =
            |name: &str| parameters.iter().find(|parameter| parameter.name == format!("{parent}{name}"));
        let values = |name: &str| find(name).map(|parameter| parameter.values.clone());
        let embedding = values("embedding.frequency").map(|frequency| Embedding {
            columns: profile.numbers(),
            waves: experiment.model.embedding_frequencies,
            size: experiment.model.embedding_size,
            frequency,
            phase: values("embedding.phase").unwrap_or_default(),
            weight: values("embedding.weight").unwrap_or_default(),
            bias: values("embedding.bias").unwrap_or_default(),
        });
        let layers = (0..).map_while(|index| {
            let weight = find(&format!("layers.{index}.weight"))?;
            let &[inputs, outputs] = &weight.shape[..] else { return None };
            let bias = values(&format!("layers.{index}.bias")).unwrap_or_else(|| vec![0.0; outputs]);
            Some(Layer { inputs, outputs, weight: transposed(&weight.values, outputs), bias })
        });
        Self { embedding, layers: layers.collect() }
    }
}

/// The transpose of a row-major matrix with `columns` columns.
pub(crate) fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| values[column..].iter().step_by(columns).copied()).collect()
}

impl Network {
    /// The network with every weight and bias rounded to 16-bit floating point (IEEE 754 binary16), ties to even.
    ///
    /// Frequencies and phases of the embedding keep their precision: they are few, and an error in a frequency grows with
    /// the distance of the number from zero.
    ///
    /// # Errors
    /// [`ExportError::Unsupported`] if a weight is too great for 16 bits and would become infinite.
    pub fn rounded_to_half(&self) -> Result<Self, ExportError> {
        let mut rounded = self.clone();
        for (member, network) in rounded.members.iter_mut().enumerate() {
            let embedding = network
                .embedding
                .iter_mut()
                .flat_map(|embedding| [&mut embedding.weight, &mut embedding.bias]);
            let layers = network.layers.iter_mut().flat_map(|layer| [&mut layer.weight, &mut layer.bias]);
            for value in embedding.chain(layers).flatten() {
                *value = nearest_half(*value).ok_or_else(|| too_great(*value, member))?;
            }
        }
        Ok(rounded)
    }
}

fn too_great(value: f32, member: usize) -> ExportError {
    ExportError::Unsupported {
        format: "16-bit floating point",
        holds: "numbers up to 65504",
        has: format!("a weight of {value} (network {}): export with 32 bits", member + 1),
    }
}

/// The 16-bit number nearest to `value`; `None` if that is infinite or NaN.
fn nearest_half(value: f32) -> Option<f32> {
    Some(f16::from_f32(value).to_f32()).filter(|number| number.is_finite())
}

/// The changes on test examples when weights are rounded to 16 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// The number of examples.
    pub examples: usize,
    /// The accuracy with 32-bit weights, in [0, 1].
    pub accuracy: f64,
    /// The accuracy with 16-bit weights, in [0, 1].
    pub accuracy_of_half: f64,
    /// The examples with another predicted class.
    pub changed: usize,
    /// The greatest difference of a probability.
    pub difference: f64,
}

impl Cost {
    /// Predicts `split` with Kiln itself, with the weights of `trained` and with the rounded weights.
    pub fn measure(trained: &Trained<Mlp>, split: &Split) -> Result<Self, ExportError> {
        let model = &trained.model().model;
        let rounded: Vec<Parameter> = parameters(model).into_iter().map(rounded).collect();
        let half = with_parameters(model.clone(), &rounded).map_err(kiln::Error::from)?;
        let (before, after) = (trained.predict(split), trained.predict_as(&half, split));
        let examples = before.len();
        let classes = before.predicted().iter().zip(after.predicted());
        let share = |predicted: &[u32]| {
            let right = predicted.iter().zip(before.truth()).filter(|(class, truth)| class == truth);
            right.count() as f64 / examples as f64
        };
        let difference = |(left, right): (&f32, &f32)| f64::from(left - right).abs();
        let differences = (0..examples)
            .flat_map(|at| before.probabilities(at).iter().zip(after.probabilities(at)))
            .map(difference);
        Ok(Self {
            examples,
            accuracy: share(before.predicted()),
            accuracy_of_half: share(after.predicted()),
            changed: classes.filter(|(before, after)| before != after).count(),
            difference: differences.fold(0.0, f64::max),
        })
    }
}

/// Rounds `parameter` like [`Network::rounded_to_half`], which has already refused weights that are too great.
fn rounded(mut parameter: Parameter) -> Parameter {
    if !parameter.name.ends_with("embedding.frequency") && !parameter.name.ends_with("embedding.phase") {
        for value in &mut parameter.values {
            *value = nearest_half(*value).unwrap_or(f32::INFINITY);
        }
    }
    parameter
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half_bits(value: f32) -> u16 {
        f16::from_f32(value).to_bits()
    }

    fn value_of(bits: u16) -> f32 {
        f16::from_bits(bits).to_f32()
    }

    #[test]
    fn rounding_keeps_every_16_bit_number() {
        for bits in (0..=u16::MAX).filter(|bits| bits & 0x7c00 != 0x7c00) {
            assert_eq!(half_bits(value_of(bits)), bits);
            assert_eq!(nearest_half(value_of(bits)).map(f32::to_bits), Some(value_of(bits).to_bits()));
        }
    }

    #[test]
    fn other_numbers_round_to_the_nearest_with_ties_to_even() {
        for bits in (0..0x7bff_u16).step_by(7) {
            let [low, high] = [bits, bits + 1].map(value_of);
            let middle = f32::midpoint(low, high);
            let even = if bits % 2 == 0 { bits } else { bits + 1 };
            assert_eq!(half_bits(middle), even, "{bits:x}");
            assert_eq!(half_bits(middle.next_down()), bits, "{bits:x}");
            assert_eq!(half_bits(-middle.next_up()), (bits + 1) | 0x8000, "{bits:x}");
        }
        // The values of numpy.float16.
        for (value, bits) in [(0.1, 0x2e66), (1.0 / 3.0, 0x3555), (65_504.0, 0x7bff), (6e-8, 1), (1e-8, 0)] {
            assert_eq!(half_bits(value), bits, "{value}");
        }
    }

    #[test]
    fn too_great_numbers_are_refused() {
        assert_eq!(nearest_half(65_519.996), Some(65_504.0));
        assert_eq!([65_520.0, -1e9, f32::INFINITY, f32::NAN].map(nearest_half), [None; 4]);
    }
}

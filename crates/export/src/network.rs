//! A trained perceptron as plain numbers: all that another program needs to answer as Kiln does.

use kiln::{Mlp, Trained};
use kiln_config::{Activation, DropoutMode, Experiment, Output};
use kiln_data::{Normalizer, Profile, Shape};
use kiln_model::{Parameter, parameters};
use kiln_table::Preparation;
use serde::Serialize;

use crate::ExportError;

/// A network with what comes before it, the treatment of raw values, and what comes after it, the calibration and the choice
/// of a class.
#[derive(Clone, Debug)]
pub struct Network {
    /// What an example is, and how it becomes features.
    pub input: Input,
    /// The networks: one, or several whose probabilities are averaged.
    pub members: Vec<Member>,
    /// After every layer but the last.
    pub activation: Activation,
    /// The factor on every hidden unit that standard dropout asks for; 1 without.
    pub keep: f32,
    /// Whether the outputs are sigmoids, divided by their sum, rather than a softmax.
    pub is_sigmoid: bool,
    /// What is made of the probabilities.
    pub calibration: Option<Calibration>,
    /// From which probability on one of two classes is named; without, the most probable is.
    pub threshold: Option<Threshold>,
    /// Names of the classes, by number.
    pub classes: Vec<String>,
}

/// What a network takes.
#[derive(Clone, Debug)]
pub enum Input {
    /// Pictures.
    Pixels(Pixels),
    /// Rows of a table, whose columns become features by their treatment.
    Columns(Box<Preparation>),
}

/// Pictures as whole numbers, plane by plane and row by row. A feature is `(value / divisor - mean) / deviation`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pixels {
    /// Planes, pixels from top to bottom, pixels from left to right.
    pub shape: [usize; 3],
    /// The greatest value; the least is 0.
    pub greatest: u8,
    /// Divides first.
    pub divisor: f32,
    /// Is subtracted then.
    pub mean: f32,
    /// Divides then.
    pub deviation: f32,
}

/// One network of an ensemble, or the only one.
#[derive(Clone, Debug)]
pub struct Member {
    /// What is made of measured numbers before the first layer.
    pub waves: Option<Waves>,
    /// First to last.
    pub layers: Vec<Layer>,
}

/// A linear layer.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Width of what goes in.
    pub inputs: usize,
    /// Width of what comes out.
    pub outputs: usize,
    /// Shape [outputs, inputs], row by row, as in PyTorch.
    pub weight: Vec<f32>,
    /// Shape `[outputs]`; zeros where the layer has none.
    pub bias: Vec<f32>,
}

/// The embedding of measured numbers: each number x becomes `cos(2 pi (frequency x + phase))` for each of its waves, and
/// these are mixed by a linear layer of its own; the results come behind the features.
#[derive(Clone, Debug)]
pub struct Waves {
    /// Which features are numbers.
    pub columns: Vec<usize>,
    /// Waves of each number.
    pub waves: usize,
    /// Features that they are mixed into.
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

/// A calibrated probability is `(1 - share) * softmax(ln(p) / temperature) + share / classes`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Above 1, the network was too sure.
    pub temperature: f64,
    /// Part of the probability that is spread over all classes.
    pub share: f64,
}

/// The class `positive` is named where its probability is at least `least`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Threshold {
    /// Number of the class.
    pub positive: usize,
    /// In (0, 1].
    pub least: f64,
}

impl Network {
    /// The network of `trained` with the weights that it was opened with.
    ///
    /// # Errors
    /// Where its run is of Kiln's first version, whose tables have no treatment of columns.
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

    /// Weights and biases in all.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let of_waves = |waves: &Waves| 2 * waves.frequency.len() + waves.weight.len() + waves.bias.len();
        let of_layer = |layer: &Layer| layer.weight.len() + layer.bias.len();
        let of = |member: &Member| {
            member.waves.as_ref().map_or(0, of_waves) + member.layers.iter().map(of_layer).sum::<usize>()
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

    /// The number of features that the first layer, or the embedding before it, takes.
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
        let waves = values("embedding.frequency").map(|frequency| Waves {
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
        Self { waves, layers: layers.collect() }
    }
}

/// A matrix of rows of `columns` values, turned: its columns one after another.
pub(crate) fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| values[column..].iter().step_by(columns).copied()).collect()
}

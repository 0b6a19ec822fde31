//! The multilayer perceptron as a Burn module.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::{log_softmax, sigmoid, softmax};
use burn::tensor::{Device, Tensor, TensorData};
use kiln_config::{Activation, LossName, Model, Output};
use kiln_cpu::{Dense, Dropout, Network, Pass};

use crate::activation::activate;
use crate::dropout::drop_units;
use crate::initialization::{check_weights, layer_widths, start_layer};
use crate::{ModelError, Parameter};

/// A multilayer perceptron: linear layers with an activation and dropout after each but the last.
#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    #[module(skip)]
    head: Head,
}

/// What is fixed about a network besides its weights.
#[derive(Clone, Debug)]
struct Head {
    activation: Activation,
    dropout: Dropout,
    output: Output,
}

impl Mlp {
    /// Builds the network for `inputs` features and `classes` classes on `device`, its weights drawn from
    /// `seed`.
    ///
    /// # Errors
    /// Where explicit weights do not fit.
    pub fn new(
        model: &Model,
        loss: LossName,
        [inputs, classes]: [usize; 2],
        seed: u64,
        device: &Device,
    ) -> Result<Self, ModelError> {
        check_weights(model, [inputs, classes])?;
        let widths = layer_widths(model, [inputs, classes]);
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(layer, pair)| {
                let shape = [pair[0], pair[1]];
                let start = start_layer(model, layer, shape, seed);
                linear(start.weight, model.bias.then_some(start.bias), shape, device)
            })
            .collect();
        let dropout = Dropout { probability: model.dropout, mode: model.dropout_mode, seed };
        let output = effective_output(model.output, loss);
        Ok(Self { layers, head: Head { activation: model.activation, dropout, output } })
    }

    /// The network's output for `features` of shape [batch, inputs]: shape [batch, classes].
    #[must_use]
    pub fn forward(&self, features: Tensor<2>, pass: Pass) -> Tensor<2> {
        self.output_of(self.logits(features, pass))
    }

    /// What the last layer's values, `logits`, are turned into; the shape stays.
    #[must_use]
    pub fn output_of(&self, logits: Tensor<2>) -> Tensor<2> {
        match self.head.output {
            Output::Auto | Output::Logits => logits,
            Output::LogSoftmax => log_softmax(logits, 1),
            Output::Softmax => softmax(logits, 1),
            Output::Sigmoid => sigmoid(logits),
        }
    }

    /// The class probabilities that an `output` of [`Mlp::forward`] stands for; each row sums to 1.
    #[must_use]
    pub fn probabilities(&self, output: Tensor<2>) -> Tensor<2> {
        match self.head.output {
            Output::Auto | Output::Logits => softmax(output, 1),
            Output::LogSoftmax => output.exp(),
            Output::Softmax => output,
            Output::Sigmoid => {
                let total = output.clone().sum_dim(1);
                output / total
            }
        }
    }

    /// What the last layer's values are turned into; never `auto`.
    #[must_use]
    pub fn output(&self) -> Output {
        self.head.output
    }

    /// The linear layers, first to last.
    #[must_use]
    pub fn layers(&self) -> &[Linear] {
        &self.layers
    }

    /// The same network for [`kiln_cpu`]: a copy, which knows no output function.
    ///
    /// # Panics
    /// If a parameter is not of 32-bit floats.
    #[must_use]
    pub fn to_network(&self) -> Network {
        let layers = self.layers.iter().map(|layer| {
            let weight = layer.weight.val();
            let bias = layer.bias.as_ref().map(|bias| values(bias.val()));
            let shape = weight.dims();
            Dense::new(&values(weight), bias.as_deref(), shape)
        });
        Network::new(self.head.activation, self.head.dropout, layers.collect())
    }

    /// Puts every parameter through `update`, in the fixed order of [`Mlp::parameters`].
    pub fn update_parameters(&mut self, update: &mut impl ParameterUpdate) {
        self.layers = std::mem::take(&mut self.layers)
            .into_iter()
            .map(|Linear { weight, bias }| Linear {
                weight: update.update(weight),
                bias: bias.map(|bias| update.update(bias)),
            })
            .collect();
    }

    /// What each hidden layer gives out in inference, first to last: shapes [batch, units].
    #[must_use]
    pub fn hidden_activations(&self, features: Tensor<2>) -> Vec<Tensor<2>> {
        let hidden = &self.layers[..self.layers.len() - 1];
        let mut input = features;
        hidden
            .iter()
            .enumerate()
            .map(|(index, layer)| {
                let activations = activate(self.head.activation, layer.forward(input.clone()));
                input = drop_units(&self.head.dropout, activations.clone(), index, Pass::Inference);
                activations
            })
            .collect()
    }

    /// The activation after each hidden layer.
    #[must_use]
    pub fn activation(&self) -> Activation {
        self.head.activation
    }

    /// The first layer whose weights, or else whose values before the activation, are not all finite.
    #[must_use]
    pub fn first_non_finite(&self, features: Tensor<2>, pass: Pass) -> Option<NonFinite> {
        let finite = |tensor: Tensor<2>| tensor.is_finite().all().into_scalar::<bool>();
        if let Some(layer) = self.layers.iter().position(|layer| !finite(layer.weight.val())) {
            return Some(NonFinite::Weights { layer });
        }
        let mut activations = features;
        for (index, layer) in self.layers.iter().enumerate() {
            let values = layer.forward(activations);
            if !finite(values.clone()) {
                return Some(NonFinite::Values { layer: index });
            }
            activations = drop_units(&self.head.dropout, activate(self.head.activation, values), index, pass);
        }
        None
    }

    /// Every parameter with its name and values, in a fixed order: weight then bias, first layer to last.
    #[must_use]
    pub fn parameters(&self) -> Vec<Parameter> {
        let values = self.layers.iter().flat_map(|layer| {
            let bias = layer.bias.as_ref().map(|bias| values(bias.val()));
            std::iter::once(values(layer.weight.val())).chain(bias)
        });
        self.named(values.collect())
    }

    /// Other values for every parameter, in the order of [`Mlp::parameters`], with their names and shapes.
    #[must_use]
    pub fn named(&self, values: Vec<Vec<f32>>) -> Vec<Parameter> {
        let shapes = self.layers.iter().enumerate().flat_map(|(index, layer)| {
            let weight = (format!("layers.{index}.weight"), layer.weight.val().dims().to_vec());
            let bias = |bias: &Param<Tensor<1>>| (format!("layers.{index}.bias"), bias.val().dims().to_vec());
            std::iter::once(weight).chain(layer.bias.as_ref().map(bias))
        });
        shapes.zip(values).map(|((name, shape), values)| Parameter { name, shape, values }).collect()
    }

    /// Replaces every parameter by the one of the same name in `stored`.
    ///
    /// # Errors
    /// Where a name is absent or a shape differs.
    pub fn load_parameters(mut self, stored: &[Parameter], device: &Device) -> Result<Self, ModelError> {
        for (index, layer) in self.layers.iter_mut().enumerate() {
            let [inputs, outputs] = layer.weight.val().dims();
            let weight = Parameter::find(stored, &format!("layers.{index}.weight"), &[inputs, outputs])?;
            let bias = match layer.bias {
                Some(_) => Some(Parameter::find(stored, &format!("layers.{index}.bias"), &[outputs])?),
                None => None,
            };
            *layer = linear(
                weight.values.clone(),
                bias.map(|bias| bias.values.clone()),
                [inputs, outputs],
                device,
            );
        }
        Ok(self)
    }

    fn logits(&self, features: Tensor<2>, pass: Pass) -> Tensor<2> {
        let (last, hidden) = self.layers.split_last().expect("a network has at least one layer");
        let activations = hidden.iter().enumerate().fold(features, |input, (index, layer)| {
            let activations = activate(self.head.activation, layer.forward(input));
            drop_units(&self.head.dropout, activations, index, pass)
        });
        last.forward(activations)
    }
}

/// Where a network first leaves the finite numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonFinite {
    /// The weights of a layer, numbered from 0.
    Weights {
        /// The layer.
        layer: usize,
    },
    /// What a layer computes, before its activation.
    Values {
        /// The layer.
        layer: usize,
    },
}

/// Something that is done to every parameter of a network, such as an optimizer's step.
pub trait ParameterUpdate {
    /// Returns the parameter's next value.
    fn update<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>>;
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("parameters are 32-bit floats")
}

/// `auto` spelled out.
fn effective_output(output: Output, loss: LossName) -> Output {
    match (output, loss) {
        (Output::Auto, LossName::Nll) => Output::LogSoftmax,
        (Output::Auto, LossName::CrossEntropy | LossName::Mse) => Output::Logits,
        (given, _) => given,
    }
}

fn linear(
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    [inputs, outputs]: [usize; 2],
    device: &Device,
) -> Linear {
    Linear {
        weight: Param::from_data(TensorData::new(weight, [inputs, outputs]), device),
        bias: bias.map(|bias| Param::from_data(TensorData::new(bias, [outputs]), device)),
    }
}

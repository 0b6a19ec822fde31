//! The network's parameters.

use kiln_config::Activation;

use crate::dropout::Dropout;
use crate::panels::Panels;

/// A multilayer perceptron: linear layers with an activation and dropout after each but the last.
#[derive(Clone, Debug)]
pub struct Network {
    pub(crate) activation: Activation,
    pub(crate) dropout: Dropout,
    pub(crate) layers: Vec<Dense>,
}

/// A linear layer.
#[derive(Clone, Debug)]
pub struct Dense {
    /// Shape [inputs, outputs].
    pub(crate) weight: Panels,
    /// Shape [1, outputs].
    pub(crate) bias: Option<Panels>,
}

impl Dense {
    /// A layer of `inputs` to `outputs` values; `weight` has the weights of the first input to all outputs first.
    ///
    /// # Panics
    /// If `weight` or `bias` have another number of values.
    #[must_use]
    pub fn new(weight: &[f32], bias: Option<&[f32]>, [inputs, outputs]: [usize; 2]) -> Self {
        assert_eq!(weight.len(), inputs * outputs, "a weight for every pair of input and output");
        assert!(bias.is_none_or(|bias| bias.len() == outputs), "a bias for every output");
        Self {
            weight: Panels::from_rows(weight, outputs),
            bias: bias.map(|bias| Panels::from_rows(bias, outputs)),
        }
    }

    pub(crate) fn inputs(&self) -> usize {
        self.weight.rows()
    }

    pub(crate) fn outputs(&self) -> usize {
        self.weight.columns()
    }
}

impl Network {
    /// Joins `layers`, first to last.
    ///
    /// # Panics
    /// If there is none, or one does not take what the one before gives.
    #[must_use]
    pub fn new(activation: Activation, dropout: Dropout, layers: Vec<Dense>) -> Self {
        assert!(!layers.is_empty(), "a network has a layer");
        assert!(
            layers.windows(2).all(|pair| pair[0].outputs() == pair[1].inputs()),
            "the layers fit together"
        );
        Self { activation, dropout, layers }
    }

    /// Values of an example.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.layers[0].inputs()
    }

    /// The values of every parameter, weight then bias, first layer to last.
    #[must_use]
    pub fn parameters(&self) -> Vec<Vec<f32>> {
        self.panels().map(Panels::to_rows).collect()
    }

    /// Every parameter, in the order of [`Network::parameters`].
    pub(crate) fn panels(&self) -> impl Iterator<Item = &Panels> {
        self.layers.iter().flat_map(|layer| std::iter::once(&layer.weight).chain(&layer.bias))
    }

    /// The same, to be changed.
    pub(crate) fn panels_mut(&mut self) -> impl Iterator<Item = &mut Panels> {
        self.layers.iter_mut().flat_map(|layer| std::iter::once(&mut layer.weight).chain(&mut layer.bias))
    }
}

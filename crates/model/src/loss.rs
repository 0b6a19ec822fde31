//! Cross-entropy, negative log-likelihood and squared error as PyTorch defines them, with class weights and label
//! smoothing.

use burn::tensor::activation::{log_softmax, sigmoid, softmax};
use burn::tensor::{Device, Int, Tensor, TensorData};
use kiln_config::{ClassWeights, LossName, Output};
use kiln_kernels::Fused;

use crate::ModelError;

/// A loss function with its class weights, and the network's output function.
#[derive(Clone, Debug)]
pub struct Loss {
    name: LossName,
    output: Output,
    label_smoothing: f64,
    class_weights: Vec<f32>,
}

impl Loss {
    /// The loss for data with `classes` classes and a network with the output function `output`. An error unless
    /// `class_weights` is a list, empty or with one entry per class.
    pub fn new(config: &kiln_config::Loss, output: Output, classes: usize) -> Result<Self, ModelError> {
        let ClassWeights::Each(weights) = &config.class_weights else {
            return Err(ModelError::UnresolvedClassWeights);
        };
        let found = weights.len();
        if found != 0 && found != classes {
            return Err(ModelError::ClassWeights { found, expected: classes });
        }
        Ok(Self {
            name: config.name,
            output: effective_output(output, config.name),
            label_smoothing: config.label_smoothing,
            class_weights: weights.iter().map(|&weight| weight as f32).collect(),
        })
    }

    /// Whether this is the plain cross-entropy of the logits, which has a kernel.
    fn is_plain_cross_entropy(&self) -> bool {
        let pair = matches!(
            (self.name, self.output),
            (LossName::CrossEntropy, Output::Logits | Output::LogSoftmax)
                | (LossName::Nll, Output::LogSoftmax)
        );
        pair && self.label_smoothing == 0.0 && self.class_weights.is_empty()
    }

    /// The output function; never `auto`.
    #[must_use]
    pub fn output_name(&self) -> Output {
        self.output
    }

    /// The mean loss of a batch, shape `[1]`, given the results of [`Loss::per_example`] and [`Loss::target_weights`].
    #[must_use]
    pub fn mean(&self, losses: Tensor<1>, weights: Option<&Tensor<1>>) -> Tensor<1> {
        match weights {
            None => losses.mean(),
            Some(weights) => losses.sum() / weights.clone().sum(),
        }
    }

    /// The loss of each example, shape `[batch]`, given `logits`, shape [batch, classes], and the true classes, shape
    /// `[batch]`. Under class weights, each loss is multiplied by the weight of its example.
    #[must_use]
    pub fn per_example(&self, logits: Tensor<2>, targets: Tensor<1, Int>, fused: Fused) -> Tensor<1> {
        if self.is_plain_cross_entropy() {
            return kiln_kernels::cross_entropy(logits, targets, fused);
        }
        let output = self.output(logits);
        match self.name {
            LossName::CrossEntropy => self.cross_entropy(log_softmax(output, 1), targets),
            LossName::Nll => self.negative_log_likelihood(&output, targets),
            LossName::Mse => squared_error(output, targets),
        }
    }

    /// Applies the output function to `logits`, shape [batch, classes].
    #[must_use]
    pub fn output(&self, logits: Tensor<2>) -> Tensor<2> {
        match self.output {
            Output::Auto | Output::Logits => logits,
            Output::LogSoftmax => log_softmax(logits, 1),
            Output::Softmax => softmax(logits, 1),
            Output::Sigmoid => sigmoid(logits),
        }
    }

    /// The weight of each example, shape `[batch]`; `None` without class weights.
    #[must_use]
    pub fn target_weights(&self, targets: &Tensor<1, Int>) -> Option<Tensor<1>> {
        let weights = (!self.class_weights.is_empty()).then(|| self.class_weights(&targets.device()));
        weights.map(|weights| weights.gather(0, targets.clone()))
    }

    fn cross_entropy(&self, log_probabilities: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let likelihood = self.negative_log_likelihood(&log_probabilities, targets);
        if self.label_smoothing == 0.0 {
            return likelihood;
        }
        let [_, classes] = log_probabilities.dims();
        let spread = if self.class_weights.is_empty() {
            log_probabilities
        } else {
            let weights = self.class_weights(&log_probabilities.device());
            log_probabilities * weights.unsqueeze::<2>()
        };
        let smooth = spread.sum_dim(1).squeeze_dim::<1>(1) * (-self.label_smoothing / classes as f64);
        likelihood * (1.0 - self.label_smoothing) + smooth
    }

    fn negative_log_likelihood(&self, log_probabilities: &Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let chosen = log_probabilities.clone().gather(1, targets.clone().unsqueeze_dim::<2>(1));
        let loss = chosen.squeeze_dim::<1>(1).neg();
        if self.class_weights.is_empty() {
            loss
        } else {
            let weights = self.class_weights(&loss.device()).gather(0, targets);
            loss * weights
        }
    }

    fn class_weights(&self, device: &Device) -> Tensor<1> {
        let shape = [self.class_weights.len()];
        Tensor::from_data(TensorData::new(self.class_weights.clone(), shape), device)
    }
}

/// Replaces `auto` by the output function that the loss requires.
fn effective_output(output: Output, loss: LossName) -> Output {
    match (output, loss) {
        (Output::Auto, LossName::Nll) => Output::LogSoftmax,
        (Output::Auto, LossName::CrossEntropy | LossName::Mse) => Output::Logits,
        (given, _) => given,
    }
}

/// The mean over classes of the squared distance to the one-hot target.
fn squared_error(output: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let [_, classes] = output.dims();
    let one_hot = targets.one_hot::<2>(classes).float();
    (output - one_hot).square().mean_dim(1).squeeze_dim::<1>(1)
}

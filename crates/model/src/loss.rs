//! Loss functions, as PyTorch takes them.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use kiln_config::{LossName, Output};

use crate::{Mlp, ModelError, Tally};

/// A loss function with its class weights and its penalties.
#[derive(Clone, Debug)]
pub struct Loss {
    name: LossName,
    label_smoothing: f64,
    class_weights: Vec<f32>,
    l1: f64,
    l2: f64,
}

impl Loss {
    /// Builds the loss for data of `classes` classes.
    ///
    /// # Errors
    /// Where `class_weights` does not have an entry per class.
    pub fn new(config: &kiln_config::Loss, classes: usize) -> Result<Self, ModelError> {
        let found = config.class_weights.len();
        if found != 0 && found != classes {
            return Err(ModelError::ClassWeights { found, expected: classes });
        }
        Ok(Self {
            name: config.name,
            label_smoothing: config.label_smoothing,
            class_weights: config.class_weights.iter().map(|&weight| weight as f32).collect(),
            l1: config.l1,
            l2: config.l2,
        })
    }

    /// Whether this is the cross-entropy of the softmax of the last layer's values and no more, given what they are
    /// turned into.
    #[must_use]
    pub fn is_plain_cross_entropy(&self, output: Output) -> bool {
        let pair = matches!(
            (self.name, output),
            (LossName::CrossEntropy, Output::Logits | Output::LogSoftmax)
                | (LossName::Nll, Output::LogSoftmax)
        );
        pair && self.label_smoothing == 0.0 && self.class_weights.is_empty()
    }

    /// The factors of the penalty on the weights: of their absolute values, and of their squares.
    #[must_use]
    pub fn penalty_factors(&self) -> [f64; 2] {
        [self.l1, self.l2]
    }

    /// The mean loss of a batch, shape `[1]`: `output` has shape [batch, classes], `targets` `[batch]`.
    ///
    /// With class weights the mean is weighted by each target's weight.
    #[must_use]
    pub fn mean(&self, output: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        if self.class_weights.is_empty() {
            return self.per_example(output, targets).mean();
        }
        let weights = self.class_weights(&output.device()).gather(0, targets.clone());
        self.per_example(output, targets).sum() / weights.sum()
    }

    /// The loss of each example, shape `[batch]`. Under class weights each is multiplied by its weight.
    #[must_use]
    pub fn per_example(&self, output: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        match self.name {
            LossName::CrossEntropy => self.cross_entropy(log_softmax(output, 1), targets),
            LossName::Nll => self.negative_log_likelihood(&output, targets),
            LossName::Mse => squared_error(output, targets),
        }
    }

    /// The weight of each target in a mean, shape `[batch]`.
    #[must_use]
    pub fn target_weights(&self, targets: Tensor<1, Int>) -> Tensor<1> {
        if self.class_weights.is_empty() {
            Tensor::ones(targets.dims(), &targets.device())
        } else {
            self.class_weights(&targets.device()).gather(0, targets)
        }
    }

    /// Adds a batch to `tally`, summed in double precision so that the figures do not depend on its size.
    pub fn tally(&self, output: Tensor<2>, targets: Tensor<1, Int>, tally: &mut Tally) {
        let [examples, _] = output.dims();
        let losses = self.per_example(output.clone(), targets.clone());
        let weights = self.target_weights(targets.clone());
        let correct = correct(output, targets).into_scalar::<i64>().unsigned_abs();
        tally.add_sum(sum(losses), sum(weights), correct, examples as u64);
    }

    /// What l1 and l2 add to the objective, if anything: shape `[1]`.
    #[must_use]
    pub fn penalty(&self, model: &Mlp) -> Option<Tensor<1>> {
        let weights = || model.layers().iter().map(|layer| layer.weight.val());
        let sum = |terms: Vec<Tensor<1>>| terms.into_iter().reduce(|total, term| total + term);
        let l1 = (self.l1 > 0.0).then(|| sum(weights().map(|w| w.abs().sum()).collect()));
        let l2 = (self.l2 > 0.0).then(|| sum(weights().map(|w| w.square().sum()).collect()));
        match (l1.flatten(), l2.flatten()) {
            (Some(l1), Some(l2)) => Some(l1 * self.l1 + l2 * self.l2),
            (Some(l1), None) => Some(l1 * self.l1),
            (None, Some(l2)) => Some(l2 * self.l2),
            (None, None) => None,
        }
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

/// How many rows of `output`, shape [batch, classes], are greatest at their target: shape `[1]`.
#[must_use]
pub fn correct(output: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1, Int> {
    output.argmax(1).squeeze_dim::<1>(1).equal(targets).int().sum()
}

fn sum(values: Tensor<1>) -> f64 {
    let values: Vec<f32> = values.into_data().try_into_vec().expect("all of Kiln's float tensors are 32-bit");
    values.into_iter().map(f64::from).sum()
}

/// The mean over classes of the squared distance to the one-hot target.
fn squared_error(output: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let [_, classes] = output.dims();
    let one_hot = targets.one_hot::<2>(classes).float();
    (output - one_hot).square().mean_dim(1).squeeze_dim::<1>(1)
}

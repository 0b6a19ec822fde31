//! Steps by Burn's autodiff, on any device.

use burn::module::Module;
use burn::tensor::Tensor;
use kiln_config::{Experiment, Training};
use kiln_data::{Batch, Epoch};
use kiln_model::{ModelError, Parameter, Tally};

use super::gradients::Gradients;
use super::optimizer::NetworkOptimizer;
use super::{Activations, Engine, Step, StepOutput, UpdateRule, host};
use crate::Classifier;

/// A network whose steps Burn computes.
pub(crate) struct GraphEngine {
    model: Classifier,
    optimizer: NetworkOptimizer,
    training: Training,
    on_host: bool,
    /// What the last forward pass is to be differentiated by.
    objective: Option<Tensor<1>>,
    /// Gradients of the batches since the last optimizer step.
    accumulated: Option<(Gradients, usize)>,
}

impl GraphEngine {
    /// An engine that has not stepped yet.
    pub(crate) fn new(model: Classifier, experiment: &Experiment, on_host: bool) -> Self {
        let rule = UpdateRule::new(&experiment.optimizer, on_host);
        let optimizer = NetworkOptimizer::new(rule, &model.mlp);
        let training = experiment.training.clone();
        Self { model, optimizer, training, on_host, objective: None, accumulated: None }
    }
}

impl Engine for GraphEngine {
    fn forward(&mut self, batch: Batch) -> StepOutput {
        let (objective, output) = self.model.forward(batch);
        self.objective = Some(objective);
        StepOutput::OnDevice(Box::new(output))
    }

    fn backward(&mut self) {
        let objective = self.objective.take().expect("a forward pass comes first");
        let gradients = Gradients::new(&self.model.mlp, self.model.backward(&objective), self.on_host);
        self.accumulated = Some(match self.accumulated.take() {
            Some((sum, count)) => (sum.add(gradients), count + 1),
            None => (gradients, 1),
        });
    }

    fn step(&mut self, Step { lr, norms }: Step) -> Option<Vec<f64>> {
        let (sum, count) = self.accumulated.take().expect("a backward pass comes first");
        let mut gradients = sum.mean_of(count);
        let norms = norms.then(|| gradients.norms());
        self.optimizer.step(&mut self.model.mlp, gradients.clip(&self.training), lr);
        norms
    }

    fn infer(&mut self, batches: Epoch) -> Tally {
        let (model, mut tally) = (self.model.valid(), Tally::default());
        batches.for_each(|batch| model.infer_into(batch, &mut tally));
        tally
    }

    fn hidden_activations(&mut self, batch: Batch) -> Vec<Activations> {
        let hidden = self.model.valid().mlp.hidden_activations(batch.features.inner());
        let activations = hidden.into_iter().map(|tensor| {
            let [_, units] = tensor.dims();
            Activations { values: host::take(tensor), units }
        });
        activations.collect()
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.model.mlp.parameters()
    }

    fn moments(&self) -> Vec<Parameter> {
        self.optimizer.state(&self.parameters())
    }

    fn restore_moments(&mut self, stored: &[Parameter], steps: usize) -> Result<(), ModelError> {
        let device = self.model.mlp.layers()[0].weight.val().inner().device();
        self.optimizer.restore(&self.parameters(), stored, steps, &device)
    }

    fn model(&self) -> Classifier {
        self.model.clone()
    }
}

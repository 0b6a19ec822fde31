//! Steps by Kiln's own kernels, on a CPU.

use burn::tensor::{Device, Tensor, TensorData};
use kiln_config::{Experiment, Training};
use kiln_cpu::{BatchLoss, Buffers, Pass, Penalty, Rule, Trainer, cross_entropy};
use kiln_data::{Batch, Epoch};
use kiln_model::{ModelError, Parameter, Tally};

use super::{Activations, Engine, Step, StepOutput, find_moments, host, name_moments};
use crate::Classifier;

/// A network whose steps [`kiln_cpu`] computes.
pub(crate) struct FusedEngine {
    /// What the network is besides its weights: those in here are the first ones, the trainer has the others.
    template: Classifier,
    trainer: Trainer,
    training: Training,
    /// Steps of the optimizer.
    steps: usize,
    /// The features of the last forward pass.
    features: Vec<f32>,
    inference: Buffers,
}

impl FusedEngine {
    /// An engine that has not stepped yet.
    pub(crate) fn new(model: Classifier, experiment: &Experiment) -> Self {
        let [l1, l2] = model.loss().penalty_factors().map(|factor| factor as f32);
        let rule = Rule::new(&experiment.optimizer);
        Self {
            trainer: Trainer::new(model.mlp.to_network(), rule, Penalty { l1, l2 }),
            template: model,
            training: experiment.training.clone(),
            steps: 0,
            features: Vec::new(),
            inference: Buffers::default(),
        }
    }

    fn clip(&mut self, norms: &[f64]) {
        let Training { max_value, max_norm, .. } = self.training;
        if let Some(bound) = max_value {
            self.trainer.clamp_kept(bound as f32);
        }
        let Some(max_norm) = max_norm else { return };
        let norm = match max_value {
            Some(_) => super::global_norm(&self.trainer.kept_norms()),
            None => super::global_norm(norms),
        };
        let factor = max_norm / (norm + super::gradients::NORM_EPSILON);
        if factor < 1.0 {
            self.trainer.scale_kept(factor as f32);
        }
    }
}

impl Engine for FusedEngine {
    fn forward(&mut self, batch: Batch) -> StepOutput {
        let Batch { features, targets, labels, step } = batch;
        let (examples, device) = (labels.len(), features.device());
        self.features = host::take(features.inner());
        let logits = self.trainer.forward(&self.features, step);
        let classes = logits.len() / examples;
        if self.template.is_plain_cross_entropy() {
            let BatchLoss { sum, correct } = cross_entropy(logits, &labels, classes);
            return StepOutput::Known { loss: sum / examples as f64, correct, examples: examples as u64 };
        }
        // Any other loss: Burn differentiates it, which on so few values costs little.
        let tensor = tensor(logits, examples, &device).require_grad();
        let (loss, output) = self.template.loss_of_logits(tensor.clone(), targets);
        let gradient = tensor.grad(&loss.backward()).expect("every loss depends on the logits");
        logits.copy_from_slice(&host::take(gradient));
        StepOutput::OnDevice(Box::new(output))
    }

    fn backward(&mut self) {
        self.trainer.backward_and_keep(&self.features);
    }

    fn step(&mut self, Step { lr, norms: wanted }: Step) -> Option<Vec<f64>> {
        let norms = self.trainer.kept_norms();
        self.clip(&norms);
        self.steps += 1;
        self.trainer.step_kept(lr, self.steps);
        wanted.then_some(norms)
    }

    fn backward_and_step(&mut self, step: Step) -> Option<Vec<f64>> {
        // Where nothing is done to all gradients together, the weights move while their gradients are made.
        let clips = self.training.max_norm.is_some() || self.training.max_value.is_some();
        if clips || self.trainer.keeps_gradients() {
            self.backward();
            return self.step(step);
        }
        self.steps += 1;
        let norms = self.trainer.backward_and_step(&self.features, step.lr, self.steps);
        step.norms.then_some(norms)
    }

    fn infer(&mut self, batches: Epoch) -> Tally {
        let mut tally = Tally::default();
        for Batch { features, targets, labels, .. } in batches {
            let (examples, device) = (labels.len(), features.device());
            let network = self.trainer.network();
            let logits = network.forward(&host::take(features), Pass::Inference, &mut self.inference);
            if self.template.is_plain_cross_entropy() {
                let BatchLoss { sum, correct } = cross_entropy(logits, &labels, logits.len() / examples);
                tally.add_sum(sum, examples as f64, correct, examples as u64);
            } else {
                let output = self.template.mlp.output_of(tensor(logits, examples, &device));
                self.template.loss().tally(output, targets, &mut tally);
            }
        }
        tally
    }

    fn hidden_activations(&mut self, batch: Batch) -> Vec<Activations> {
        let hidden = self.trainer.network().hidden(&host::take(batch.features.inner()), &mut self.inference);
        hidden.into_iter().map(|(values, units)| Activations { values, units }).collect()
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.template.mlp.named(self.trainer.network().parameters())
    }

    fn moments(&self) -> Vec<Parameter> {
        if self.steps == 0 {
            return Vec::new();
        }
        name_moments(&self.parameters(), self.trainer.moments())
    }

    fn restore_moments(&mut self, stored: &[Parameter], steps: usize) -> Result<(), ModelError> {
        self.steps = steps;
        if steps > 0 {
            let moments = find_moments(stored, &self.parameters(), self.trainer.keeps_moments())?;
            self.trainer.set_moments(&moments);
        }
        Ok(())
    }

    fn model(&self) -> Classifier {
        let device = self.template.mlp.layers()[0].weight.val().device();
        let mlp = self.template.mlp.clone().load_parameters(&self.parameters(), &device);
        Classifier::new(mlp.expect("the trainer has this network's shapes"), self.template.loss().clone())
    }
}

/// Logits of `examples` examples on `device`.
fn tensor(logits: &[f32], examples: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(logits.to_vec(), [examples, logits.len() / examples]), device)
}

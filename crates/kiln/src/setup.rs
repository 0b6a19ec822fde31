//! What a model is built for.

use std::any::TypeId;

use burn::module::ParamGroup;
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use kiln_config::Experiment;
use kiln_kernels::UpdateRule;
use kiln_model::{Fused, Loss, Mlp, Model, check_weights, named};

use crate::Error;

/// Experiment, data and device that a model is built for.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The experiment.
    pub experiment: Experiment,
    /// Values of an example.
    pub features: usize,
    /// Places of the measured numbers among them: those of a table's columns.
    pub numbers: Vec<usize>,
    /// Height and width, where examples are images.
    pub image_size: Option<[usize; 2]>,
    /// Planes that follow each other in an image: 1 of grey, or 3 of red, green and blue; none where examples are no
    /// images.
    pub channels: Option<usize>,
    /// Number of classes.
    pub classes: usize,
    /// Where the parameters go; with autodiff for training.
    pub device: Device,
    /// Whether Kiln's kernels compute where there are any.
    pub fused: Fused,
}

/// Builds the multilayer perceptron that the experiment describes.
///
/// # Panics
/// If explicit weights or class weights do not fit; [`Session`](crate::Session) and [`Trained`](crate::Trained) have
/// checked that.
#[must_use]
pub fn perceptron(setup: &Setup) -> Mlp {
    let shape = [setup.features, setup.classes];
    Mlp::with_numbers(&setup.experiment, shape, &setup.numbers, setup.fused, &setup.device)
        .expect("the setup was checked")
}

/// The optimizer that the experiment names, as PyTorch defines it; the parameters that `model` leaves out of weight
/// decay have a rule without it.
#[must_use]
pub fn optimizer<M: Model>(model: &M, setup: &Setup) -> ModuleOptimizer {
    let config = &setup.experiment.optimizer;
    let optimizer = ModuleOptimizer::from(UpdateRule::new(config, setup.fused));
    let parameters = named(model).into_iter();
    let spared: Vec<_> = parameters
        .filter(|parameter| !model.is_decayed(&parameter.path, parameter.shape.len()))
        .map(|parameter| parameter.id)
        .collect();
    if spared.is_empty() {
        return optimizer;
    }
    let without = kiln_config::Optimizer { weight_decay: Some(0.0), ..config.clone() };
    optimizer.with_group(ParamGroup::from_ids(spared), UpdateRule::new(&without, setup.fused), None)
}

/// Makes sure that `experiment` asks for the multilayer perceptron.
///
/// # Errors
/// Where it names another network.
pub fn check_perceptron(experiment: &Experiment) -> Result<(), Error> {
    if experiment.model.is_mlp() {
        return Ok(());
    }
    let name = experiment.model.name.clone();
    Err(Error::OtherModel { name, has: "the multilayer perceptron, \"mlp\", alone" })
}

impl Setup {
    /// Finds what would keep [`perceptron`] from being built, where the experiment asks for it.
    ///
    /// # Errors
    /// Where explicit weights or class weights do not fit.
    pub fn check(&self) -> Result<(), Error> {
        let Experiment { model, loss, .. } = &self.experiment;
        if model.is_mlp() {
            check_weights(model, [self.features, self.classes])?;
            Loss::new(loss, model.output, self.classes)?;
        }
        Ok(())
    }

    /// Builds a model whose starting values follow from the experiment's seed, whatever draws them.
    pub(crate) fn build<M: Model>(&self, build: impl FnOnce(&Self) -> M) -> Result<M, Error> {
        if TypeId::of::<M>() == TypeId::of::<Mlp>() {
            check_perceptron(&self.experiment)?;
        } else if self.experiment.model.is_mlp() {
            let name = self.experiment.model.name.clone();
            return Err(Error::OtherModel { name, has: "a network of its own, which needs another name" });
        }
        self.check()?;
        self.device.seed(self.experiment.seed);
        let model = build(self);
        // Burn draws a parameter when it is first looked at.
        let _drawn = named(&model);
        Ok(model)
    }
}

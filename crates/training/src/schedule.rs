//! Learning-rate schedules, as `torch.optim.lr_scheduler` defines them.

use std::f64::consts::PI;

use kiln_config::{LrScheduler, LrSchedulerName, Mode};
use serde::{Deserialize, Serialize};

/// A schedule over a run of known length.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    config: LrScheduler,
    base: f64,
    total_steps: usize,
    plateau: Plateau,
}

/// What reduce-on-plateau remembers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plateau {
    factor: f64,
    best: Option<f64>,
    bad_epochs: usize,
    cooldown_left: usize,
}

impl Schedule {
    /// The schedule for a run of `total_steps` optimizer steps from learning rate `base`.
    pub(crate) fn new(config: &LrScheduler, base: f64, total_steps: usize) -> Self {
        let plateau = Plateau { factor: 1.0, best: None, bad_epochs: 0, cooldown_left: 0 };
        Self { config: config.clone(), base, total_steps: total_steps.max(1), plateau }
    }

    /// The learning rate of optimizer step `step` (from 0) in `epoch` (from 0).
    pub(crate) fn rate(&self, step: usize, epoch: usize) -> f64 {
        let config = &self.config;
        let progress = (step as f64 / self.total_steps as f64).min(1.0);
        let factor = match config.name {
            LrSchedulerName::Constant => 1.0,
            LrSchedulerName::Linear => 1.0 - (1.0 - config.min_lr_factor) * progress,
            LrSchedulerName::Cosine => {
                config.min_lr_factor
                    + (1.0 - config.min_lr_factor) * f64::midpoint(1.0, (PI * progress).cos())
            }
            LrSchedulerName::Step => config.gamma.powf((epoch / config.step_size) as f64),
            LrSchedulerName::Exponential => config.gamma.powf(epoch as f64),
            LrSchedulerName::ReduceOnPlateau => self.plateau.factor,
        };
        let floor = if config.name == LrSchedulerName::ReduceOnPlateau { config.min_lr } else { 0.0 };
        self.warmup(step) * (self.base * factor).max(floor.min(self.base))
    }

    /// Tells reduce-on-plateau the monitored figure of an epoch.
    pub(crate) fn end_epoch(&mut self, figure: f64) {
        let LrScheduler { threshold, patience, cooldown, factor, mode, .. } = self.config;
        let state = &mut self.plateau;
        let improved = state.best.is_none_or(|best| match mode {
            Mode::Min => figure < best * (1.0 - threshold),
            Mode::Max => figure > best * (1.0 + threshold),
        });
        if improved {
            state.best = Some(figure);
            state.bad_epochs = 0;
        } else {
            state.bad_epochs += 1;
        }
        if state.cooldown_left > 0 {
            state.cooldown_left -= 1;
            state.bad_epochs = 0;
        }
        if state.bad_epochs > patience {
            state.factor = (state.factor * factor).max((self.config.min_lr / self.base).min(1.0));
            state.cooldown_left = cooldown;
            state.bad_epochs = 0;
        }
    }

    /// What a checkpoint keeps of the schedule; the rest follows from the step.
    pub(crate) fn state(&self) -> Plateau {
        self.plateau
    }

    /// Goes on from what a checkpoint kept.
    pub(crate) fn restore(&mut self, plateau: Plateau) {
        self.plateau = plateau;
    }

    fn warmup(&self, step: usize) -> f64 {
        let steps = self.config.warmup_steps;
        if step < steps { (step + 1) as f64 / steps as f64 } else { 1.0 }
    }
}

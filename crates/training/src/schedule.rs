//! Learning-rate schedules, as `torch.optim.lr_scheduler` defines them.

use std::f64::consts::PI;

use kiln_config::{Experiment, LrScheduler, LrSchedulerName, Mode, Training};
use kiln_data::DataSet;
use serde::{Deserialize, Serialize};

use crate::state::RunContext;

/// The learning rate over a run of known length: a linear warm-up, then the schedule that `lr_scheduler.name` names, as
/// PyTorch's `SequentialLR` combines `LinearLR` with another schedule.
///
/// The rate reaches `optimizer.lr` in the last step of the warm-up. It has the same value in the next step, where the
/// schedule begins. Linear and cosine then run over the remaining steps. Schedules that count epochs begin with the epoch
/// of that step, even if the epoch is almost over; reduce-on-plateau sees that epoch's figure first.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    config: LrScheduler,
    base: f64,
    length: Length,
    plateau: Plateau,
}

/// The length of a run in optimizer steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length {
    /// Steps of the whole run.
    pub(crate) steps: usize,
    /// Steps of a whole epoch.
    pub(crate) per_epoch: usize,
}

/// The state of reduce-on-plateau, which a checkpoint stores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plateau {
    factor: f64,
    best: Option<f64>,
    bad_epochs: usize,
    cooldown_left: usize,
}

impl Length {
    /// The length of a run with `batches` batches per epoch.
    pub(crate) fn new(training: &Training, batches: usize) -> Self {
        let per_epoch = batches.div_ceil(training.gradient_accumulation);
        let all = training.epochs * batches;
        let all = training.max_steps.map_or(all, |most| most.min(all));
        let steps = all / batches * per_epoch + (all % batches).div_ceil(training.gradient_accumulation);
        Self { steps, per_epoch }
    }
}

impl Schedule {
    /// `base` is `optimizer.lr`, the greatest learning rate.
    pub(crate) fn new(config: &LrScheduler, base: f64, length: Length) -> Self {
        let plateau = Plateau { factor: 1.0, best: None, bad_epochs: 0, cooldown_left: 0 };
        Self { config: config.clone(), base, length, plateau }
    }

    /// The learning rate of optimizer step `step` in `epoch`, both from 0.
    pub(crate) fn rate(&self, step: usize, epoch: usize) -> f64 {
        let config = &self.config;
        let warmup = config.warmup_steps;
        if step < warmup {
            return self.base * ((step + 1) as f64 / warmup as f64);
        }
        let steps_left = self.length.steps.saturating_sub(warmup).max(1);
        let progress = ((step - warmup) as f64 / steps_left as f64).min(1.0);
        let epoch = epoch.saturating_sub(warmup / self.length.per_epoch.max(1));
        let factor = match config.name {
            LrSchedulerName::Constant => 1.0,
            LrSchedulerName::Linear => 1.0 - (1.0 - config.min_lr_factor) * progress,
            LrSchedulerName::Cosine => {
                config.min_lr_factor
                    + (1.0 - config.min_lr_factor) * f64::midpoint(1.0, (PI * progress).cos())
            }
            LrSchedulerName::Coslog => f64::midpoint(1.0, -(2.0 * PI * (1.0 + 15.0 * progress).log2()).cos()),
            LrSchedulerName::Step => config.gamma.powf((epoch / config.step_size) as f64),
            LrSchedulerName::Exponential => config.gamma.powf(epoch as f64),
            LrSchedulerName::ReduceOnPlateau => self.plateau.factor,
        };
        let floor = if config.name == LrSchedulerName::ReduceOnPlateau { config.min_lr } else { 0.0 };
        (self.base * factor).max(floor.min(self.base))
    }

    /// Updates reduce-on-plateau with the monitored figure of an epoch. `steps` are the optimizer steps taken by its end;
    /// epochs within the warm-up do not count.
    pub(crate) fn end_epoch(&mut self, figure: f64, steps: usize) {
        if steps <= self.config.warmup_steps {
            return;
        }
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

    /// The state for a checkpoint. Everything else follows from the step.
    pub(crate) fn state(&self) -> Plateau {
        self.plateau
    }

    /// Continues from the state of a checkpoint.
    pub(crate) fn restore(&mut self, plateau: Plateau) {
        self.plateau = plateau;
    }
}

/// A warning if the run ends before its warm-up does.
#[must_use]
pub fn unfinished_warmup(experiment: &Experiment, data: &DataSet) -> Option<String> {
    let batches = RunContext::batching(experiment).batches(data.train.len());
    let length = Length::new(&experiment.training, batches.max(1));
    warning(experiment, length)
}

fn warning(experiment: &Experiment, length: Length) -> Option<String> {
    let (warmup, lr) = (experiment.lr_scheduler.warmup_steps, experiment.optimizer.lr);
    if warmup <= length.steps {
        return None;
    }
    let steps = length.steps;
    let reached = lr * steps as f64 / warmup as f64;
    Some(format!(
        "lr_scheduler.warmup_steps is {warmup}, but the run has {steps} optimizer steps: the learning rate reaches \
         {reached:.3e}, not optimizer.lr = {lr}. Use fewer warm-up steps or more epochs"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Length = Length { steps: 100, per_epoch: 10 };

    fn schedule(name: LrSchedulerName, warmup_steps: usize) -> Schedule {
        let config = LrScheduler { name, warmup_steps, gamma: 0.5, patience: 0, ..LrScheduler::default() };
        Schedule::new(&config, 1.0, LENGTH)
    }

    #[test]
    fn every_schedule_rises_to_the_whole_rate_and_never_above() {
        use LrSchedulerName::{Constant, Cosine, Exponential, Linear, ReduceOnPlateau, Step};
        for name in [Constant, Linear, Cosine, Step, Exponential, ReduceOnPlateau] {
            for warmup in [0, 1, 9, 10, 50, 100] {
                let mut schedule = schedule(name, warmup);
                let rates = (0..LENGTH.steps).map(|step| {
                    let rate = schedule.rate(step, step / LENGTH.per_epoch);
                    if (step + 1).is_multiple_of(LENGTH.per_epoch) {
                        schedule.end_epoch(1.0, step + 1);
                    }
                    rate
                });
                let rates: Vec<f64> = rates.collect();
                let what = format!("{name:?} after {warmup} steps");
                assert_eq!(rates.iter().copied().fold(0.0, f64::max), 1.0, "{what}");
                assert_eq!(rates[warmup.saturating_sub(1)], 1.0, "{what}");
                assert!(rates.get(warmup).is_none_or(|rate| *rate == 1.0), "{what}: {rates:?}");
                assert!(rates[..warmup].is_sorted(), "{what}: {rates:?}");
                assert!(rates[warmup..].is_sorted_by(|before, after| before >= after), "{what}: {rates:?}");
            }
        }
    }

    #[test]
    fn a_warm_up_longer_than_the_run_rises_to_the_end_and_is_reported() {
        let mut experiment = Experiment::default();
        for (warmup, is_reported) in [(0, false), (100, false), (101, true), (1000, true)] {
            experiment.lr_scheduler.warmup_steps = warmup;
            assert_eq!(warning(&experiment, LENGTH).is_some(), is_reported, "{warmup}");
        }
        assert_eq!(schedule(LrSchedulerName::Cosine, 1000).rate(99, 9), 0.1);
    }

    #[test]
    fn a_run_counts_optimizer_steps() {
        let training =
            |max_steps| Training { epochs: 3, gradient_accumulation: 4, max_steps, ..Training::default() };
        let steps = |max_steps| Length::new(&training(max_steps), 10).steps;
        assert_eq!([None, Some(1000), Some(15), Some(20), Some(1)].map(steps), [9, 9, 5, 6, 1]);
    }
}

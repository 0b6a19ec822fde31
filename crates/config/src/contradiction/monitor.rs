//! Watched figures: their direction, and whether anything measures them.

use super::{Case, Contradiction};
use crate::{LrSchedulerName, Mode, Monitor};

/// A section that watches a figure.
struct Watcher {
    monitor: Monitor,
    mode: Mode,
    monitor_key: &'static str,
    mode_key: &'static str,
    /// The key that makes it watch; for checkpoints, which always do, the figure itself.
    switch: &'static str,
    /// False where a figure that cannot be measured is replaced without harm.
    needs_figure: bool,
}

pub(super) fn contradictions(case: &Case<'_>) -> Vec<Contradiction> {
    watchers(case)
        .iter()
        .flat_map(|watcher| [watcher.unmeasured(case), watcher.wrong_way(case)])
        .flatten()
        .collect()
}

fn watchers(case: &Case<'_>) -> Vec<Watcher> {
    let experiment = case.experiment;
    let (checkpoint, stopping, scheduler) =
        (&experiment.checkpoint, &experiment.early_stopping, &experiment.lr_scheduler);
    let chosen = !case.resolved_before && !case.findings.is_untouched("checkpoint.monitor");
    let mut watchers = vec![Watcher {
        monitor: checkpoint.monitor,
        mode: checkpoint.mode,
        monitor_key: "checkpoint.monitor",
        mode_key: "checkpoint.mode",
        switch: "checkpoint.monitor",
        needs_figure: chosen,
    }];
    if stopping.enabled {
        watchers.push(Watcher {
            monitor: stopping.monitor,
            mode: stopping.mode,
            monitor_key: "early_stopping.monitor",
            mode_key: "early_stopping.mode",
            switch: "early_stopping.enabled",
            needs_figure: true,
        });
    }
    if scheduler.name == LrSchedulerName::ReduceOnPlateau {
        watchers.push(Watcher {
            monitor: scheduler.monitor,
            mode: scheduler.mode,
            monitor_key: "lr_scheduler.monitor",
            mode_key: "lr_scheduler.mode",
            switch: "lr_scheduler.name",
            needs_figure: true,
        });
    }
    watchers
}

impl Watcher {
    fn unmeasured(&self, case: &Case<'_>) -> Option<Contradiction> {
        let measured = !self.monitor.needs_validation() || case.experiment.data.has_validation();
        if measured || !self.needs_figure {
            return None;
        }
        let watching = if self.switch == self.monitor_key {
            String::new()
        } else {
            format!("{} with ", case.setting(self.switch))
        };
        let message = format!(
            "{watching}{} needs validation data, but {} holds out none; hold some out, or watch \"train_loss\" \
             or \"train_accuracy\"",
            case.setting(self.monitor_key),
            case.setting("data.validation"),
        );
        Some(Contradiction::new(&[self.monitor_key, "data.validation", self.switch], message))
    }

    fn wrong_way(&self, case: &Case<'_>) -> Option<Contradiction> {
        let better = self.monitor.mode();
        (self.mode != better).then(|| {
            let needed = match better {
                Mode::Min => "a lower loss is better: write \"min\"",
                Mode::Max => "a higher accuracy is better: write \"max\"",
            };
            let (mode, monitor) = (case.setting(self.mode_key), case.setting(self.monitor_key));
            let message = format!("{mode} does not fit {monitor}; {needed}");
            Contradiction::new(&[self.mode_key, self.monitor_key], message)
        })
    }
}

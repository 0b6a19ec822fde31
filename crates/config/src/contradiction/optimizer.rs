//! The optimizer's and the schedule's numbers among themselves.

use super::{Case, Contradiction};
use crate::{LrSchedulerName, OptimizerName};

pub(super) fn contradictions(case: &Case<'_>) -> Vec<Contradiction> {
    [nesterov(case), lowest_rate(case)].into_iter().flatten().collect()
}

/// PyTorch's condition: "Nesterov momentum requires a momentum and zero dampening".
fn nesterov(case: &Case<'_>) -> Option<Contradiction> {
    let optimizer = &case.experiment.optimizer;
    if optimizer.name != OptimizerName::Sgd || !optimizer.nesterov {
        return None;
    }
    let (key, needed) = if optimizer.momentum <= 0.0 {
        ("optimizer.momentum", "a momentum above 0")
    } else if optimizer.dampening > 0.0 {
        ("optimizer.dampening", "no dampening")
    } else {
        return None;
    };
    let message = format!("`optimizer.nesterov` = true needs {needed}, found {}", case.setting(key));
    Some(Contradiction::new(&["optimizer.nesterov", key], message))
}

fn lowest_rate(case: &Case<'_>) -> Option<Contradiction> {
    let (scheduler, lr) = (&case.experiment.lr_scheduler, case.experiment.optimizer.lr);
    let at_fault = scheduler.name == LrSchedulerName::ReduceOnPlateau && scheduler.min_lr > lr;
    at_fault.then(|| {
        let keys = ["lr_scheduler.min_lr", "optimizer.lr"];
        let message = format!(
            "{} is above {}, so the rate could never fall",
            case.setting(keys[0]),
            case.setting(keys[1])
        );
        Contradiction::new(&keys, message)
    })
}

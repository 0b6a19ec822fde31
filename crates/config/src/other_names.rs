//! What other programs call our keys, sections and names: no measure of spelling finds these.

/// Keys.
pub(crate) const OTHER_NAMES: &[(&str, &str)] = &[
    ("learning_rate", "optimizer.lr"),
    ("epsilon", "optimizer.eps"),
    ("beta1", "optimizer.betas"),
    ("beta2", "optimizer.betas"),
    ("beta_1", "optimizer.betas"),
    ("beta_2", "optimizer.betas"),
    ("decay", "optimizer.weight_decay"),
    ("num_epochs", "training.epochs"),
    ("max_epochs", "training.epochs"),
    ("clip_grad_norm", "training.max_norm"),
    ("grad_clip", "training.max_norm"),
    ("gradient_clip_val", "training.max_norm"),
    ("max_grad_norm", "training.max_norm"),
    ("clip_grad_value", "training.max_value"),
    ("accumulate_grad_batches", "training.gradient_accumulation"),
    ("hidden_layers", "model.hidden"),
    ("hidden_sizes", "model.hidden"),
    ("layers", "model.hidden"),
    ("units", "model.hidden"),
    ("nonlinearity", "model.activation"),
    ("init", "model.initialization"),
    ("dropout_rate", "model.dropout"),
    ("criterion", "loss.name"),
    ("smoothing", "loss.label_smoothing"),
    ("dataset", "data.source"),
    ("validation_split", "data.validation"),
    ("val_split", "data.validation"),
    ("validation_fraction", "data.validation"),
    ("test_split", "data.test"),
    ("max_samples", "data.limit"),
    ("label", "data.label_column"),
    ("target_column", "data.label_column"),
    ("random_seed", "seed"),
    ("random_state", "seed"),
    ("scheduler", "lr_scheduler.name"),
    ("warmup", "lr_scheduler.warmup_steps"),
    ("accelerator", "backend.name"),
    ("num_threads", "backend.threads"),
    ("save_every", "checkpoint.interval"),
    ("log_every", "dashboard.log_interval"),
];

/// Sections.
pub(crate) const OTHER_SECTIONS: &[(&str, &str)] = &[
    ("dataset", "data"),
    ("network", "model"),
    ("net", "model"),
    ("criterion", "loss"),
    ("scheduler", "lr_scheduler"),
    ("trainer", "training"),
    ("device", "backend"),
    ("logging", "dashboard"),
    ("logger", "dashboard"),
];

/// Names to choose from.
pub(crate) const OTHER_CHOICES: &[(&str, &str)] = &[
    ("val_loss", "validation_loss"),
    ("val_accuracy", "validation_accuracy"),
    ("val_acc", "validation_accuracy"),
    ("train_acc", "train_accuracy"),
    ("ce", "cross-entropy"),
    ("nll_loss", "nll"),
    ("mean_squared_error", "mse"),
    ("linear", "identity"),
    ("none", "identity"),
    ("swish", "silu"),
    ("kaiming_uniform", "he-uniform"),
    ("kaiming_normal", "he-normal"),
    ("glorot_uniform", "xavier-uniform"),
    ("glorot_normal", "xavier-normal"),
    ("reduce_lr_on_plateau", "reduce-on-plateau"),
    ("cpu", "flex"),
    ("gpu", "wgpu"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;

    #[test]
    fn other_names_lead_to_keys_and_sections_that_exist_and_are_none_themselves() {
        for (other, ours) in OTHER_NAMES {
            assert!(Keys::get().find(ours).is_some(), "{ours}");
            assert!(Keys::get().keys.iter().all(|key| key.leaf() != *other), "{other}");
            assert_eq!(crate::nearest::keys(other), [*ours]);
        }
        for (other, ours) in OTHER_SECTIONS {
            assert!(Keys::get().section(ours).is_some() && Keys::get().section(other).is_none(), "{other}");
        }
    }
}

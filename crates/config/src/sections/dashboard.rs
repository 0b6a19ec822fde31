//! `[dashboard]`: what to show while training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{AT_LEAST_1, Decides, number, plain};

/// `[dashboard]`: the view of a running training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dashboard {
    /// Which view; `--ui` on the command line goes before it.
    #[schemars(transform = plain().decides(Decides::Nothing))]
    pub ui: Ui,
    /// Batches between two lines of the plain view and two rows of the metric log, at least 1.
    #[schemars(transform = number(AT_LEAST_1).unit("batches").also_called("log_every"))]
    pub log_interval: usize,
}

impl Default for Dashboard {
    fn default() -> Self {
        Self { ui: Ui::Auto, log_interval: 300 }
    }
}

/// Views of a running training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ui {
    /// `tui` on a terminal, else `plain`.
    Auto,
    /// Burn's dashboard, full screen.
    Tui,
    /// Lines of text.
    Plain,
    /// JSON lines.
    Json,
    /// Nothing.
    None,
}

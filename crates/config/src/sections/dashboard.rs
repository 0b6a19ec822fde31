//! `[dashboard]`: what to show while training.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[dashboard]`: the view of a running training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dashboard {
    /// Which view; `--ui` on the command line goes before it.
    pub ui: Ui,
    /// Batches between two lines of the plain view and two rows of the metric log, at least 1.
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

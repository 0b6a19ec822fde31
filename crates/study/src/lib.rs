//! Many runs compared with care, and small networks traced by hand.
//!
//! A [`Plan`] is what a study file asks for; a [`Study`] trains each trial with each seed in a worker process
//! of its own and gives [`Findings`]: a ranking, verdicts, and what they mean in words. This crate knows
//! nothing of the command line, and never prints.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that fails to set itself up shall panic"))]

mod analysis;
mod check;
mod collapse;
mod comparison_page;
mod engine;
mod error;
mod findings;
mod outcome;
mod pictures;
mod plan;
mod preview;
mod report;
mod search;
mod standing;
mod statistics;
mod status;
mod stored;
mod study;
mod trace;
mod verdict;
mod work;

pub use analysis::Section;
pub use check::Check;
pub use collapse::Collapse;
pub use comparison_page::comparison_page;
pub use engine::Workers;
pub use error::StudyError;
pub use findings::{Findings, SeedFindings, TrialFindings};
pub use outcome::{CellState, Outcome};
pub use plan::{Claim, Expectation, Plan, PlanRequest, Rules, Trial};
pub use preview::Preview;
pub use report::{Report, Table, leaderboard, verdicts};
pub use search::{
    Condition, Confirm, Dimension, Domain, Halving, Importance, Interval, Method as SearchMethod,
};
pub use search::{Search, SearchReport, SearchedTrial, TrialStage, Winner};
pub use standing::{PairedTest, SIGNIFICANCE};
pub use statistics::{McNemar, Method, Spread};
pub use status::{BestTrial, RunningTask, StudyStatus, Submission};
pub use study::{Study, StudyReport, WorkerDone};
pub use trace::{Kind, Quantity, Trace, TraceFile, trace};
pub use verdict::Verdict;
pub use work::{CellEnd, Message, Order, Progress, TaskResult, View, Worker, WorkerEnd};
pub use work::{ClaimFigures, simulate_claims};

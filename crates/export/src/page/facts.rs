//! What a page says of its network besides answers.

use kiln::{Framing, Mlp, Trained};
use kiln_data::Frame;
use kiln_evaluation::{Interval, METRICS_FILE, Metrics};

use crate::about::weights_sha256;
use crate::{Cost, ExportError};

/// What a page says of its network besides answers.
#[derive(Clone, Debug, PartialEq)]
pub struct PageFacts {
    /// Name of the run.
    pub name: String,
    /// Name of the data that it was trained on.
    pub data: String,
    /// When it was trained, as 2024-02-29; empty where that is not known.
    pub date: String,
    /// Examples that it was trained on; none where that is not known.
    pub examples: Option<usize>,
    /// What its test found; none where these weights were not tested.
    pub tested: Option<Accuracy>,
    /// SHA-256 of the trained weights.
    pub sha256: String,
    /// How drawings are fitted to the network; none where pictures are only resized, or it takes none.
    pub frame: Option<Frame>,
    /// What 16 bits cost; none where weights have all their bits, or it was not measured.
    pub cost: Option<Cost>,
}

/// A tested accuracy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// Share of examples with the right class.
    pub share: f64,
    /// Its 95 % interval.
    pub interval: Option<Interval>,
    /// Examples that it was tested on.
    pub examples: u64,
}

impl PageFacts {
    /// The facts of `trained`, as its run keeps them. What weights of 16 bits cost is for the caller to measure.
    ///
    /// # Errors
    /// Where a file of the run cannot be read.
    pub fn of(trained: &Trained<Mlp>) -> Result<Self, ExportError> {
        let (run, profile) = (trained.run(), trained.profile());
        let status = run.status().map_err(kiln::Error::from)?;
        Ok(Self {
            name: run.name().to_owned(),
            data: profile.source.clone(),
            date: status.started.to_string().chars().take(10).collect(),
            examples: profile.examples.map(|counts| counts.train),
            tested: tested(trained)?,
            sha256: weights_sha256(trained),
            frame: Framing::of(profile).frame(profile),
            cost: None,
        })
    }
}

/// What the run's own test found, if it tested these weights.
fn tested(trained: &Trained<Mlp>) -> Result<Option<Accuracy>, ExportError> {
    let path = trained.run().evaluation("test").join(METRICS_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let metrics = Metrics::read(&path).map_err(kiln::Error::from)?;
    let is_of_these = metrics.checkpoint_step.is_some() && metrics.checkpoint_step == trained.model().step;
    let interval = metrics.intervals.as_ref().and_then(|intervals| intervals.of("accuracy"));
    let accuracy = Accuracy { share: metrics.accuracy(), interval, examples: metrics.examples };
    Ok(Some(accuracy).filter(|_| is_of_these))
}

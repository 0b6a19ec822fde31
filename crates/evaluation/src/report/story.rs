//! All that a report tells of, read from the run's folder.

use std::path::Path;

use kiln_artifacts::{MetricRow, Provenance, Run, Status};
use kiln_config::Experiment;
use kiln_data::Profile;
use kiln_diagnosis::Finding;

use super::findings_of_run;
use crate::pictures::{self, Picture};
use crate::threshold::ThresholdCurve;
use crate::{Evaluation, EvaluationError, Gallery, Importance, read_profile, weight_count};

/// A run.
pub(super) struct Story<'a> {
    pub(super) run: &'a Run,
    pub(super) experiment: &'a Experiment,
    /// None of a run that came to no evaluation.
    pub(super) tested: Option<Tested<'a>>,
    /// None of a run of the first version.
    pub(super) profile: Option<Profile>,
    pub(super) status: Status,
    /// None of a run that was killed before it had written down where it comes from.
    pub(super) provenance: Option<Provenance>,
    pub(super) rows: Vec<MetricRow>,
    pub(super) findings: Vec<Finding>,
    pub(super) pictures: Vec<Picture>,
    /// Weights and biases of the network; none where no checkpoint is left.
    pub(super) weights: Option<u64>,
}

/// What an evaluation of the run found.
pub(super) struct Tested<'a> {
    /// The evaluation's name, such as `test`.
    pub(super) name: &'a str,
    pub(super) evaluation: &'a Evaluation,
    pub(super) gallery: Option<&'a Gallery>,
    pub(super) importance: Option<Importance>,
    pub(super) thresholds: Option<ThresholdCurve>,
}

impl<'a> Tested<'a> {
    pub(super) fn read(
        run: &Run,
        name: &'a str,
        evaluation: &'a Evaluation,
        gallery: Option<&'a Gallery>,
    ) -> Result<Self, EvaluationError> {
        Ok(Self {
            name,
            evaluation,
            gallery,
            importance: Importance::read(&run.evaluation(name))?,
            thresholds: ThresholdCurve::read(run, evaluation.metrics.checkpoint_step)?,
        })
    }

    pub(super) fn classes(&self) -> &[String] {
        &self.evaluation.confusion.classes
    }

    /// With two classes, figures of the one follow from those of the other.
    pub(super) fn is_binary(&self) -> bool {
        self.classes().len() == 2
    }
}

impl<'a> Story<'a> {
    /// Reads what belongs to `run`; problems with pictures name their `place`.
    pub(super) fn new(
        run: &'a Run,
        experiment: &'a Experiment,
        tested: Option<Tested<'a>>,
        place: &Path,
    ) -> Result<Self, EvaluationError> {
        let rows = run.metric_rows()?;
        let status = run.status()?;
        let findings = findings_of_run(run, &rows, &status, experiment)?;
        let (epochs, scores) = rayon::join(
            || pictures::epoch_pictures(&rows, status.best.as_ref(), place),
            || match &tested {
                Some(tested) => pictures::evaluation_pictures(tested.evaluation, place),
                None => Ok(Vec::new()),
            },
        );
        let mut pictures = epochs?;
        pictures.extend(scores?);
        let step = tested.as_ref().and_then(|tested| tested.evaluation.metrics.checkpoint_step);
        Ok(Self {
            run,
            experiment,
            profile: if run.data_json().is_file() { Some(read_profile(run)?) } else { None },
            provenance: if run.run_json().is_file() { Some(run.provenance()?) } else { None },
            weights: weight_count(run, step),
            tested,
            status,
            rows,
            findings,
            pictures,
        })
    }

    /// The SVG of a picture, if it was drawn.
    pub(super) fn picture(&self, name: &str) -> Option<&str> {
        self.pictures.iter().find(|picture| picture.name == name).map(|picture| picture.svg.as_str())
    }
}

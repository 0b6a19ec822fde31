//! The answers as JSON.

use axum::http::StatusCode;
use axum::response::Response;
use kiln_data::Split;
use kiln_table::{Remarks, counted};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::model::Model;
use crate::protocol::check_finite;
use crate::refusal::{Refusal, json_response};

/// What was asked about.
pub(crate) struct Batch {
    /// Of each row or picture: what is not known of it, or why it cannot be answered.
    pub(crate) rows: Vec<Result<Vec<String>, String>>,
    /// Those that can be answered, in order; some at least.
    pub(crate) split: Split,
    /// What is remarkable about the rows of a table.
    pub(crate) remarks: Option<Remarks>,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    version: &'a str,
    predictions: Vec<Answer<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'a> {
    Given { class: &'a str, probabilities: Probabilities<'a>, warnings: &'a [String] },
    Refused { error: &'a str },
}

/// The probability of each class by its name.
struct Probabilities<'a> {
    classes: &'a [String],
    row: &'a [f32],
}

impl Serialize for Probabilities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.row.len()))?;
        for (class, probability) in self.classes.iter().zip(self.row) {
            map.serialize_entry(class, probability)?;
        }
        map.end()
    }
}

impl Batch {
    /// The number of rows that can be answered.
    pub(crate) fn len(&self) -> usize {
        self.split.len()
    }

    /// `rows` and the examples of those that can be answered.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn new(
        rows: Vec<Result<Vec<String>, String>>,
        split: Split,
        remarks: Option<Remarks>,
    ) -> Result<Self, Refusal> {
        if split.is_empty() { Err(Self::none(&rows)) } else { Ok(Self { rows, split, remarks }) }
    }

    /// That none of `rows` can be answered.
    pub(crate) fn none(rows: &[Result<Vec<String>, String>]) -> Refusal {
        let first = rows.iter().find_map(|row| row.as_ref().err());
        let first = first.map_or("expected one row or picture at least, found none", |first| first);
        let others = rows.len().saturating_sub(1);
        let message = if others == 0 {
            first.to_owned()
        } else {
            format!("{first}; {} can be answered neither", counted(others, "other"))
        };
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }
}

/// What `model` says of `batch`.
///
/// # Errors
/// Where a probability is not a finite number.
pub(crate) fn respond(model: &Model, batch: &Batch) -> Result<Response, Refusal> {
    let answers = model.trained.answer(&batch.split);
    check_finite(&answers)?;
    let classes = model.classes();
    let mut found = answers.classes.iter().zip(answers.probabilities.chunks_exact(classes.len()));
    let predictions = batch.rows.iter().map(|row| match row {
        Ok(warnings) => {
            let (&class, row) = found.next().expect("there is an answer for every row that can be answered");
            let probabilities = Probabilities { classes, row };
            Answer::Given { class: &classes[class as usize], probabilities, warnings }
        }
        Err(error) => Answer::Refused { error },
    });
    let predictions = predictions.collect();
    let body = Body { model: &model.name, version: &model.version, predictions };
    let json = serde_json::to_vec(&body).map_err(|error| Refusal::internal(error.to_string()))?;
    Ok(json_response(json))
}

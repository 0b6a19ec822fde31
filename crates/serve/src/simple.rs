//! Plain JSON: rows and pictures in, classes and probabilities out.

use std::fmt::Display;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use kiln_data::{Framing, RawValues, RowBuffer, Split, examples_of_pixels, inputs_of_picture};
use kiln_table::{Remarks, RowValue, counted, listed, quoted};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::catalog::{Columns, ModelInput, ServedVersion};
use crate::infer_request::check_rows;
use crate::json::{JsonItem, items};
use crate::protocol::check_finite;
use crate::request::{
    Received, Refusal, WorkSize, content_type, json_response, receive, run_work, wrong_type,
};
use crate::router::{Target, counted_for};
use crate::server::Server;

/// `POST /predict`, for the only model.
pub(crate) async fn predict(
    State(server): State<Arc<Server>>,
    request: Request,
) -> Result<Response, Refusal> {
    let model = Arc::clone(server.catalog().only()?);
    let answer = answer(&server, &model, request).await;
    Ok(counted_for(&model, answer))
}

/// `POST /models/{model}/predict`.
pub(crate) async fn predict_of_model(
    State(server): State<Arc<Server>>,
    target: Target,
    request: Request,
) -> Result<Response, Refusal> {
    let model = Arc::clone(server.catalog().find(&target.model, None)?);
    let answer = answer(&server, &model, request).await;
    Ok(counted_for(&model, answer))
}

async fn answer(server: &Server, model: &Arc<ServedVersion>, request: Request) -> Result<Response, Refusal> {
    let limits = server.limits;
    let received = receive(request, &limits).await?;
    let slot = received.slot.clone();
    let batch: Batch = match &model.input {
        ModelInput::Rows(_) => {
            let (reader, size) = (Arc::clone(model), WorkSize::of_body(received.body.len()));
            run_work(size, slot.clone(), move || read_rows(&reader, &received, limits.rows)).await?
        }
        ModelInput::Pictures(_) => {
            let reader = Arc::clone(model);
            // A picture may need much more memory than its file.
            run_work(WorkSize::Large, slot.clone(), move || read_pictures(&reader, &received, limits.rows))
                .await?
        }
    };
    let (rows, refused) = (batch.split.len(), batch.rows.len() - batch.split.len());
    let (answering, size) = (Arc::clone(model), WorkSize::of_rows(rows, model.weights));
    let (response, remarks) =
        run_work(size, slot, move || Ok((respond(&answering, &batch)?, batch.remarks))).await?;
    model.count_rows(rows, refused, remarks.as_ref());
    Ok(response)
}

/// The name of the list of rows in a body.
const ROWS: &str = "rows";

/// The rows in the body, at most `most`. A row that cannot be read does not affect the others.
fn read_rows(model: &ServedVersion, received: &Received, most: usize) -> Result<Batch, Refusal> {
    let ModelInput::Rows(columns) = &model.input else { unreachable!("the network takes rows") };
    let kind = content_type(&received.parts.headers);
    if !matches!(&*kind, "" | "application/json") {
        return Err(wrong_type("application/json with the rows of a table", &kind));
    }
    let (items, count) = items(&received.body, ROWS, most)?;
    check_rows(count, most)?;
    let mut given = RowBuffer::new(&columns.preparation);
    let rows = items.iter().map(|item| push_row(&mut given, columns, item)).collect();
    let (split, remarks) = given.finish();
    Batch::new(rows, split, Some(remarks))
}

/// Adds a row to `given`; returns the warnings about it, or why it cannot be read.
fn push_row(given: &mut RowBuffer, columns: &Columns, item: &JsonItem<'_>) -> Result<Vec<String>, String> {
    let JsonItem::Object(entries) = item else {
        return Err(format!("expected a row as an object, found {}", item.kind()));
    };
    let mut values: Vec<Option<RowValue<'_>>> = vec![None; columns.used.len()];
    for (name, item) in entries {
        // As in a file, there may be columns that the network does not use.
        let Some(index) = columns.index_of(name) else { continue };
        let value = item.value().ok_or_else(|| {
            let column = quoted(name);
            format!("column {column}: expected a number, a string, a boolean or null, found {}", item.kind())
        })?;
        if values[index].replace(value).is_some() {
            return Err(format!("column {}: expected one value, found two", quoted(name)));
        }
    }
    let absent = || columns.names().zip(&values).filter(|(_, value)| value.is_none()).map(|(name, _)| name);
    if absent().next().is_some() {
        let found = listed(entries.iter().map(|(name, _)| &**name), 12);
        let found = if found.is_empty() { "none".to_owned() } else { found };
        let absent = listed(absent(), 12);
        return Err(format!(
            "expected a value, or null for a missing value, in the columns {absent}; found {found}"
        ));
    }
    given.push(|used| values[used].unwrap_or(RowValue::Missing)).map_err(|error| error.to_string())
}

/// The bytes of each picture file, or why they cannot be read.
type Files = Vec<Result<Bytes, String>>;

/// The name of the list of pictures in a JSON body.
const IMAGES: &str = "images";

/// The files in the body, at most `most`.
fn files(received: &Received, most: usize) -> Result<Files, Refusal> {
    let kind = content_type(&received.parts.headers);
    let files = match &*kind {
        "application/json" => return files_in_json(&received.body, most),
        "multipart/form-data" => files_in_multipart(received, most)
            .now_or_never()
            .unwrap_or_else(|| Err(Refusal::internal("parsing a complete body had to wait")))?,
        "application/octet-stream" => vec![Ok(received.body.clone())],
        kind if kind.starts_with("image/") => vec![Ok(received.body.clone())],
        other => {
            let expected = "image/png or another image type, multipart/form-data with files, or application/json with \
                            {\"images\": [\"<base64>\"]}";
            return Err(wrong_type(expected, other));
        }
    };
    check_rows(files.len(), most)?;
    Ok(files)
}

/// The pictures in the body, at most `most`, prepared like the training pictures. A picture that cannot be read does not
/// affect the others.
fn read_pictures(model: &ServedVersion, received: &Received, most: usize) -> Result<Batch, Refusal> {
    let profile = model.trained.profile();
    let (mut pixels, mut rows) = (Vec::new(), Vec::new());
    for file in files(received, most)? {
        received.slot.check()?;
        let inputs = file.and_then(|file| {
            inputs_of_picture(&file, profile, Framing::of(profile)).map_err(|error| error.to_string())
        });
        rows.push(inputs.map(|inputs| {
            if let RawValues::Bytes(levels) = inputs.examples.raw(0) {
                pixels.extend_from_slice(levels);
            }
            inputs.notices
        }));
    }
    if pixels.is_empty() {
        return Err(Batch::none(&rows));
    }
    let split = examples_of_pixels(pixels, profile).map_err(|error| Refusal::internal(error.to_string()))?;
    Ok(Batch { rows, split, remarks: None })
}

fn files_in_json(body: &[u8], most: usize) -> Result<Files, Refusal> {
    let (items, count) = items(body, IMAGES, most)?;
    check_rows(count, most)?;
    let decoded = |item: &JsonItem<'_>| {
        let JsonItem::Text(text) = item else {
            return Err(format!("expected a picture in base64, found {}", item.kind()));
        };
        // Browsers write a data URL: data:image/png;base64,...
        let text = text
            .strip_prefix("data:")
            .and_then(|text| text.split_once(','))
            .map_or(&**text, |(_, text)| text);
        STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(|error| format!("expected base64, found other text: {error}"))
    };
    Ok(items.iter().map(decoded).collect())
}

async fn files_in_multipart(received: &Received, most: usize) -> Result<Files, Refusal> {
    let mut request = Request::new(Body::from(received.body.clone()));
    *request.headers_mut() = received.parts.headers.clone();
    // The body has passed the limit already.
    DefaultBodyLimit::disable().apply(&mut request);
    let wrong = |error: &dyn Display| Refusal::bad(format!("the body is not multipart/form-data: {error}"));
    let mut multipart =
        Multipart::from_request(request, &()).await.map_err(|error| wrong(&error.body_text()))?;
    let mut files = Vec::new();
    while let Some(field) = multipart.next_field().await.map_err(|error| wrong(&error.body_text()))? {
        check_rows(files.len() + 1, most)?;
        files.push(Ok(field.bytes().await.map_err(|error| wrong(&error.body_text()))?));
    }
    Ok(files)
}

/// The rows or pictures of a request.
struct Batch {
    /// For each row or picture, the warnings about it, or why it cannot be answered.
    rows: Vec<Result<Vec<String>, String>>,
    /// The examples that can be answered, in order; at least one.
    split: Split,
    /// The remarks about the rows of a table.
    remarks: Option<Remarks>,
}

#[derive(Serialize)]
struct ResponseBody<'a> {
    model: &'a str,
    version: &'a str,
    predictions: Vec<Prediction<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Prediction<'a> {
    Answered { class: &'a str, probabilities: Probabilities<'a>, warnings: &'a [String] },
    Refused { error: &'a str },
}

/// The probability of each class, by name.
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
    /// `rows`, with the examples that can be answered; 422 if it has none.
    fn new(
        rows: Vec<Result<Vec<String>, String>>,
        split: Split,
        remarks: Option<Remarks>,
    ) -> Result<Self, Refusal> {
        if split.is_empty() { Err(Self::none(&rows)) } else { Ok(Self { rows, split, remarks }) }
    }

    /// The refusal, with status 422, of a request without any row that can be answered.
    fn none(rows: &[Result<Vec<String>, String>]) -> Refusal {
        let first = rows.iter().find_map(|row| row.as_ref().err());
        let first = first.map_or("expected at least one row or picture, found none", |first| first);
        let others = rows.len().saturating_sub(1);
        let message = if others == 0 {
            first.to_owned()
        } else {
            format!("{first}; the other {} cannot be answered either", counted(others, "example"))
        };
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }
}

/// The predictions of `model` for `batch`.
fn respond(model: &ServedVersion, batch: &Batch) -> Result<Response, Refusal> {
    let answers = model.trained.predict_unlabelled(&batch.split);
    check_finite(&answers)?;
    let classes = model.classes();
    let mut found = answers.classes.iter().zip(answers.probabilities.chunks_exact(classes.len()));
    let predictions = batch.rows.iter().map(|row| match row {
        Ok(warnings) => {
            let (&class, row) = found.next().expect("every row that can be answered has an answer");
            let probabilities = Probabilities { classes, row };
            Prediction::Answered { class: &classes[class as usize], probabilities, warnings }
        }
        Err(error) => Prediction::Refused { error },
    });
    let predictions = predictions.collect();
    let body = ResponseBody { model: &model.name, version: &model.version, predictions };
    let json = serde_json::to_vec(&body).map_err(|error| Refusal::internal(error.to_string()))?;
    Ok(json_response(json))
}

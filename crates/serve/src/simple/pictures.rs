//! Pictures as files: one as the body, several as multipart or as base64 in JSON.

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use kiln_data::Raw;
use kiln_data::{Framing, examples_of_pixels, inputs_of_picture};

use crate::body::{Received, content_type, wrong_type};
use crate::model::Model;
use crate::protocol::check_rows;
use crate::refusal::Refusal;
use crate::simple::answers::Batch;
use crate::simple::rows::{Item, items};

/// The bytes of picture files, or what is wrong with one.
type Files = Vec<Result<Bytes, String>>;

/// What a body of JSON may call its pictures.
const IMAGES: &str = "images";

/// The files in the body, `most` at most.
///
/// # Errors
/// Where the body is not of one of the types that hold pictures, or cannot be taken apart.
fn files(received: &Received, most: usize) -> Result<Files, Refusal> {
    let kind = content_type(&received.parts.headers);
    let files = match &*kind {
        "application/json" => return of_json(&received.body, most),
        "multipart/form-data" => of_multipart(received, most)
            .now_or_never()
            .unwrap_or_else(|| Err(Refusal::internal("a body that was there was waited for")))?,
        "application/octet-stream" => vec![Ok(received.body.clone())],
        kind if kind.starts_with("image/") => vec![Ok(received.body.clone())],
        other => {
            let expected = "image/png or another picture, multipart/form-data with files, or application/json with \
                            {\"images\": [\"<base64>\"]}";
            return Err(wrong_type(expected, other));
        }
    };
    check_rows(files.len(), most)?;
    Ok(files)
}

/// The pictures in the body, `most` at most, as the training pictures were read. One that cannot be read keeps none of the others.
///
/// # Errors
/// Those of [`files`]; where none can be read, or the time is over.
pub(crate) fn read(model: &Model, received: &Received, most: usize) -> Result<Batch, Refusal> {
    let profile = model.trained.profile();
    let (mut pixels, mut rows) = (Vec::new(), Vec::new());
    for file in files(received, most)? {
        received.place.check()?;
        let inputs = file.and_then(|file| {
            inputs_of_picture(&file, profile, Framing::of(profile)).map_err(|error| error.to_string())
        });
        rows.push(inputs.map(|inputs| {
            if let Raw::Bytes(levels) = inputs.examples.raw(0) {
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

fn of_json(body: &[u8], most: usize) -> Result<Files, Refusal> {
    let (items, count) = items(body, IMAGES, most)?;
    check_rows(count, most)?;
    let decoded = |item: &Item<'_>| {
        let Item::Text(text) = item else {
            return Err(format!("expected a picture in base64, found {}", item.kind()));
        };
        // Browsers write what it is before it: data:image/png;base64,...
        let text = text
            .strip_prefix("data:")
            .and_then(|text| text.split_once(','))
            .map_or(&**text, |(_, text)| text);
        STANDARD
            .decode(text)
            .map(Bytes::from)
            .map_err(|error| format!("expected base64, found another text: {error}"))
    };
    Ok(items.iter().map(decoded).collect())
}

async fn of_multipart(received: &Received, most: usize) -> Result<Files, Refusal> {
    let mut request = Request::new(Body::from(received.body.clone()));
    *request.headers_mut() = received.parts.headers.clone();
    // The body is within the limit already.
    DefaultBodyLimit::disable().apply(&mut request);
    let wrong =
        |error: &dyn std::fmt::Display| Refusal::bad(format!("the body is not multipart/form-data: {error}"));
    let mut multipart =
        Multipart::from_request(request, &()).await.map_err(|error| wrong(&error.body_text()))?;
    let mut files = Vec::new();
    while let Some(field) = multipart.next_field().await.map_err(|error| wrong(&error.body_text()))? {
        check_rows(files.len() + 1, most)?;
        files.push(Ok(field.bytes().await.map_err(|error| wrong(&error.body_text()))?));
    }
    Ok(files)
}

//! Pictures as files: one as the body, several as multipart or as base64 in JSON.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Multipart, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kiln_data::Raw;
use kiln_data::{Framing, examples_of_pixels, inputs_of_picture};
use serde::Deserialize;

use crate::body::{Received, content_type, wrong_type};
use crate::model::Model;
use crate::object::Object;
use crate::protocol::check_rows;
use crate::refusal::Refusal;
use crate::simple::answers::Batch;

/// The bytes of picture files, or what is wrong with one.
pub(crate) type Files = Vec<Result<Bytes, String>>;

#[derive(Deserialize)]
struct Images {
    images: Vec<String>,
}

/// The files in the body, `most` at most.
///
/// # Errors
/// Where the body is not of one of the types that hold pictures, or cannot be taken apart.
pub(crate) async fn parts(received: &Received, most: usize) -> Result<Files, Refusal> {
    let kind = content_type(&received.parts.headers);
    let files = match &*kind {
        "application/json" => of_json(&received.body)?,
        "multipart/form-data" => of_multipart(received, most).await?,
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

/// The pictures in `files`, as the training pictures were read. One that cannot be read keeps none of the others.
///
/// # Errors
/// Where none can be read.
pub(crate) fn read(model: &Model, files: &Files) -> Result<Batch, Refusal> {
    let profile = model.trained.profile();
    let (mut pixels, mut rows) = (Vec::new(), Vec::new());
    for file in files {
        let inputs = file.clone().and_then(|file| {
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

fn of_json(body: &[u8]) -> Result<Files, Refusal> {
    let Object(Images { images }) = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad(format!("the body is not {{\"images\": [\"<base64>\"]}}: {error}")))?;
    let decoded = |text: &String| {
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
    Ok(images.iter().map(decoded).collect())
}

async fn of_multipart(received: &Received, most: usize) -> Result<Files, Refusal> {
    let mut request = Request::new(Body::from(received.body.clone()));
    *request.headers_mut() = received.parts.headers.clone();
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

//! `POST /v2/models/{model}/infer`.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request as HttpRequest, State};
use axum::response::Response;

use crate::body::{Received, content_type, receive, wrong_type};
use crate::gate::counted;
use crate::model::Model;
use crate::protocol::examples::{Examples, examples};
use crate::protocol::outputs::{Wanted, respond, wanted};
use crate::protocol::request::Request;
use crate::refusal::Refusal;
use crate::router::Target;
use crate::state::Server;
use crate::work::{Size, done};

/// A request that was read and checked.
struct Job {
    id: Option<String>,
    examples: Examples,
    wanted: Vec<Wanted>,
}

/// Answers an inference request.
pub(crate) async fn infer(
    State(server): State<Arc<Server>>,
    target: Target,
    request: HttpRequest,
) -> Result<Response, Refusal> {
    let model = Arc::clone(server.catalog().find(&target.model, target.version.as_deref())?);
    let answer = answer(&server, &model, request).await;
    Ok(counted(&model, answer))
}

async fn answer(server: &Server, model: &Arc<Model>, request: HttpRequest) -> Result<Response, Refusal> {
    let limits = server.limits;
    let Received { parts, body, place } = receive(request, &limits).await?;
    let kind = content_type(&parts.headers);
    if !matches!(&*kind, "" | "application/json" | "application/octet-stream") {
        return Err(wrong_type("application/json, or application/octet-stream for binary tensors", &kind));
    }
    let (reader, size) = (Arc::clone(model), Size::of_body(body.len()));
    let read = move || {
        let request = Request::read(&parts.headers, &body)?;
        let wanted = wanted(request.outputs.as_deref(), request.is_binary)?;
        let examples = examples(&reader, &request.inputs, limits.rows)?;
        Ok(Job { id: request.id.map(Cow::into_owned), examples, wanted })
    };
    let Job { id, examples, wanted } = done(size, place.clone(), limits.time, read).await?;
    let model = Arc::clone(model);
    let size = Size::of_rows(examples.split.len(), model.weights);
    done(size, place, limits.time, move || {
        let answers = model.trained.answer(&examples.split);
        let response = respond(&model, id.as_deref(), &answers, &wanted)?;
        model.metrics.count_rows(answers.classes.len(), examples.remarks.as_ref());
        Ok(response)
    })
    .await
}

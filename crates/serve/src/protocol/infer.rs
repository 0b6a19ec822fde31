//! `POST /v2/models/{model}/infer`.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request as HttpRequest, State};
use axum::response::Response;
use kiln::Answers;

use crate::body::{Received, content_type, receive, wrong_type};
use crate::gate::counted;
use crate::model::Model;
use crate::protocol::examples::{Examples, examples};
use crate::protocol::outputs::{Wanted, respond, wanted};
use crate::protocol::request::Request;
use crate::refusal::Refusal;
use crate::router::Target;
use crate::state::Server;
use crate::work::{Place, Size, done};

/// A request that was read and checked.
pub(crate) struct Asked {
    pub(crate) id: Option<String>,
    pub(crate) examples: Examples,
    pub(crate) wanted: Vec<Wanted>,
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
    let size = Size::of_body(body.len());
    let read = move |model: &Model| {
        let request = Request::read(&parts.headers, &body)?;
        let wanted = wanted(request.outputs.as_deref(), request.is_binary)?;
        let examples = examples(model, &request.inputs, limits.rows)?;
        Ok(Asked { id: request.id.map(Cow::into_owned), examples, wanted })
    };
    answered(model, place, size, read, respond).await
}

/// What `write` makes of the answers to what `read`, work of this `size`, has found to be asked.
///
/// # Errors
/// Those of the two; 504 past the time, 500 after a panic.
pub(crate) async fn answered<T: Send + 'static>(
    model: &Arc<Model>,
    place: Place,
    size: Size,
    read: impl FnOnce(&Model) -> Result<Asked, Refusal> + Send + 'static,
    write: impl FnOnce(&Model, &Answers, &Asked) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let reader = Arc::clone(model);
    let asked = done(size, place.clone(), move || read(&reader)).await?;
    let rows = asked.examples.split.len();
    let (answering, size) = (Arc::clone(model), Size::of_rows(rows, model.weights));
    let (answer, remarks) = done(size, place, move || {
        let answers = answering.trained.answer(&asked.examples.split);
        Ok((write(&answering, &answers, &asked)?, asked.examples.remarks))
    })
    .await?;
    model.count_rows(rows, 0, remarks.as_ref());
    Ok(answer)
}

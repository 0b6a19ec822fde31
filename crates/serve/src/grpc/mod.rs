//! The Open Inference Protocol over gRPC: the same calls, for clients that speak it.

mod frame;
mod infer;
mod messages;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use kiln_table::quoted;

use crate::body::{Received, receive};
use crate::gate::counted;
use crate::model::Model;
use crate::protocol::{self, model_metadata, server_metadata};
use crate::refusal::Refusal;
use crate::state::Server;
use crate::work::{Place, Size, done};

pub(crate) use self::frame::refused;
use self::frame::{PREFIX, read, written};
use self::infer::infer;
use self::messages::{
    Flag, InferRequest, ModelAsked, ModelMetadata, ServerMetadata, TensorMetadata, check_counts,
};

/// The path of every call, before its name.
pub(crate) const SERVICE: &str = "/inference.GRPCInferenceService/";

/// Whether `path` is a call that asks how the server is, which it may be asked by anybody.
pub(crate) fn is_health(path: &str) -> bool {
    path.strip_prefix(SERVICE).is_some_and(|call| matches!(call, "ServerLive" | "ServerReady"))
}

/// Answers a call.
pub(crate) async fn call(State(server): State<Arc<Server>>, request: Request) -> Response {
    let is_ready = !server.is_draining();
    let path = request.uri().path().to_owned();
    match path.trim_start_matches(SERVICE) {
        "ServerLive" => written(Ok(Flag { is_set: true })),
        "ServerReady" => written(Ok(Flag { is_set: is_ready })),
        "ServerMetadata" => written(Ok(of_server(server_metadata(server.allow_reload)))),
        "ModelReady" => written(asked(&server, request).await.map(|_| Flag { is_set: is_ready })),
        "ModelMetadata" => {
            let of = |model: Arc<Model>| of_model(model_metadata(&server.catalog(), &model));
            written(asked(&server, request).await.map(of))
        }
        "ModelInfer" => model_infer(&server, request).await,
        other => {
            let message = format!("there is no call {} here", quoted(other));
            refused(&Refusal::new(StatusCode::NOT_IMPLEMENTED, message))
        }
    }
}

async fn model_infer(server: &Server, request: Request) -> Response {
    match inference(server, request).await {
        Err(refusal) => refused(&refusal),
        Ok((model, request, size, place)) => {
            let answer = infer(server, &model, request, size, place).await;
            counted(&model, written(answer))
        }
    }
}

/// An inference request, the model that it is about, and how much work it is to read it.
async fn inference(
    server: &Server,
    request: Request,
) -> Result<(Arc<Model>, InferRequest, Size, Place), Refusal> {
    let Received { body, place, .. } = receive(request, &server.limits).await?;
    let size = Size::of_body(body.len());
    let request: InferRequest = done(size, place.clone(), move || {
        check_counts(body.get(PREFIX..).unwrap_or_default())?;
        read(&body)
    })
    .await?;
    let model = find(server, &request.model_name, &request.model_version)?;
    Ok((model, request, size, place))
}

/// The model that a request is about.
async fn asked(server: &Server, request: Request) -> Result<Arc<Model>, Refusal> {
    let Received { body, .. } = receive(request, &server.limits).await?;
    let ModelAsked { name, version } = read(&body)?;
    find(server, &name, &version)
}

fn find(server: &Server, name: &str, version: &str) -> Result<Arc<Model>, Refusal> {
    server.catalog().find(name, Some(version).filter(|version| !version.is_empty())).cloned()
}

fn of_server(metadata: protocol::ServerMetadata) -> ServerMetadata {
    ServerMetadata {
        name: metadata.name.to_owned(),
        version: metadata.version.to_owned(),
        extensions: metadata.extensions.into_iter().map(str::to_owned).collect(),
    }
}

fn of_model(metadata: protocol::ModelMetadata<'_>) -> ModelMetadata {
    ModelMetadata {
        name: metadata.name.to_owned(),
        versions: metadata.versions.into_iter().map(str::to_owned).collect(),
        platform: metadata.platform.to_owned(),
        inputs: metadata.inputs.into_iter().map(of_tensor).collect(),
        outputs: metadata.outputs.into_iter().map(of_tensor).collect(),
    }
}

fn of_tensor(metadata: protocol::TensorMetadata<'_>) -> TensorMetadata {
    let (name, datatype) = (metadata.name.to_owned(), metadata.datatype.to_owned());
    TensorMetadata { name, datatype, shape: metadata.shape }
}

//! The Open Inference Protocol over gRPC: the same calls, for clients that speak it.

mod frame;
mod infer;
mod messages;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use kiln_table::quoted;
use serde_json::Value;

use crate::body::{Received, receive};
use crate::gate::counted;
use crate::model::Model;
use crate::protocol::{model_metadata, server_metadata};
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
        "ServerMetadata" => written(Ok(of_server(&server_metadata(server.allow_reload)))),
        "ModelReady" => written(asked(&server, request).await.map(|_| Flag { is_set: is_ready })),
        "ModelMetadata" => {
            let of = |model: Arc<Model>| of_model(&model_metadata(&server.catalog(), &model));
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

fn of_server(metadata: &Value) -> ServerMetadata {
    ServerMetadata {
        name: text(&metadata["name"]),
        version: text(&metadata["version"]),
        extensions: texts(&metadata["extensions"]),
    }
}

fn of_model(metadata: &Value) -> ModelMetadata {
    let tensor = |tensor: &Value| TensorMetadata {
        name: text(&tensor["name"]),
        datatype: text(&tensor["datatype"]),
        shape: tensor["shape"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect(),
    };
    let tensors = |tensors: &Value| tensors.as_array().into_iter().flatten().map(tensor).collect();
    ModelMetadata {
        name: text(&metadata["name"]),
        versions: texts(&metadata["versions"]),
        platform: text(&metadata["platform"]),
        inputs: tensors(&metadata["inputs"]),
        outputs: tensors(&metadata["outputs"]),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

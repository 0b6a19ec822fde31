//! The Open Inference Protocol over gRPC, with the same calls as over plain HTTP.
//!
//! A unary call is one framed message in each direction over HTTP/2, with the status in the trailers. This module writes the
//! frame itself, because a gRPC library brings a server of its own, without the limits, slots and shutdown of this one.

mod messages;

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::{BodyExt, Full};
use kiln_table::quoted;
use prost::Message;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as PlainError;

use self::messages::{
    Choice, Contents, Flag, InferRequest, InferResponse, InputTensor, ModelMetadata, ModelRequest,
    ServerMetadata, TensorMetadata, check_counts,
};
use crate::catalog::ServedVersion;
use crate::infer_request::{RequestedOutput, examples};
use crate::json::{JsonData, Values};
use crate::protocol::{
    self, InferenceTask, check_finite, model_metadata, requested_outputs, run_inference, server_metadata,
};
use crate::request::{InternalError, Received, Refusal, Slot, WorkSize, receive, run_work};
use crate::router::{LoggedStatus, counted_for};
use crate::server::Server;
use crate::tensor::{Datatype, Tensor, TensorHeader};

/// The path of a call up to its name.
pub(crate) const SERVICE: &str = "/inference.GRPCInferenceService/";

/// Whether `path` is a health check, which needs no token.
pub(crate) fn is_health(path: &str) -> bool {
    path.strip_prefix(SERVICE).is_some_and(|call| matches!(call, "ServerLive" | "ServerReady"))
}

/// Answers a call.
pub(crate) async fn call(State(server): State<Arc<Server>>, request: Request) -> Response {
    let is_ready = !server.is_draining();
    let path = request.uri().path().to_owned();
    match path.trim_start_matches(SERVICE) {
        "ServerLive" => response(Ok(Flag { is_set: true })),
        "ServerReady" => response(Ok(Flag { is_set: is_ready })),
        "ServerMetadata" => response(Ok(server_message(server_metadata(server.allow_reload)))),
        "ModelReady" => response(requested_model(&server, request).await.map(|_| Flag { is_set: is_ready })),
        "ModelMetadata" => {
            let of = |model: Arc<ServedVersion>| model_message(model_metadata(&server.catalog(), &model));
            response(requested_model(&server, request).await.map(of))
        }
        "ModelInfer" => model_infer(&server, request).await,
        other => {
            let message = format!("the service has no call {}", quoted(other));
            refused(&Refusal::new(StatusCode::NOT_IMPLEMENTED, message))
        }
    }
}

async fn model_infer(server: &Server, request: Request) -> Response {
    match read_inference(server, request).await {
        Err(refusal) => refused(&refusal),
        Ok((model, request, size, slot)) => {
            let answer = infer(server, &model, request, size, slot).await;
            counted_for(&model, response(answer))
        }
    }
}

/// An inference request with its model and the work of parsing its tensors.
async fn read_inference(
    server: &Server,
    request: Request,
) -> Result<(Arc<ServedVersion>, InferRequest, WorkSize, Slot), Refusal> {
    let Received { body, slot, .. } = receive(request, &server.limits).await?;
    let size = WorkSize::of_body(body.len());
    let request: InferRequest = run_work(size, slot.clone(), move || {
        check_counts(body.get(PREFIX..).unwrap_or_default())?;
        read(&body)
    })
    .await?;
    let model = find_model(server, &request.model_name, &request.model_version)?;
    Ok((model, request, size, slot))
}

/// The model that a readiness or metadata request names.
async fn requested_model(server: &Server, request: Request) -> Result<Arc<ServedVersion>, Refusal> {
    let Received { body, .. } = receive(request, &server.limits).await?;
    let ModelRequest { name, version } = read(&body)?;
    find_model(server, &name, &version)
}

fn find_model(server: &Server, name: &str, version: &str) -> Result<Arc<ServedVersion>, Refusal> {
    server.catalog().find(name, Some(version).filter(|version| !version.is_empty())).cloned()
}

fn server_message(metadata: protocol::ServerMetadata) -> ServerMetadata {
    ServerMetadata {
        name: metadata.name.to_owned(),
        version: metadata.version.to_owned(),
        extensions: metadata.extensions.into_iter().map(str::to_owned).collect(),
    }
}

fn model_message(metadata: protocol::ModelMetadata<'_>) -> ModelMetadata {
    ModelMetadata {
        name: metadata.name.to_owned(),
        versions: metadata.versions.into_iter().map(str::to_owned).collect(),
        platform: metadata.platform.to_owned(),
        inputs: metadata.inputs.into_iter().map(tensor_message).collect(),
        outputs: metadata.outputs.into_iter().map(tensor_message).collect(),
    }
}

fn tensor_message(metadata: protocol::TensorMetadata<'_>) -> TensorMetadata {
    let (name, datatype) = (metadata.name.to_owned(), metadata.datatype.to_owned());
    TensorMetadata { name, datatype, shape: metadata.shape }
}

/// The response of `model` to `request`.
async fn infer(
    server: &Server,
    model: &Arc<ServedVersion>,
    request: InferRequest,
    size: WorkSize,
    slot: Slot,
) -> Result<InferResponse, Refusal> {
    let limits = server.limits;
    let read = move |model: &ServedVersion| {
        let outputs = request.outputs.iter();
        let outputs: Vec<RequestedOutput<'_>> = outputs
            .map(|output| Ok(RequestedOutput::new(&output.name, classification(output)?)))
            .collect::<Result<_, Refusal>>()?;
        let outputs = requested_outputs(Some(&outputs), true)?;
        let examples = examples(model, &tensors(&request)?, limits.rows)?;
        Ok(InferenceTask { id: Some(request.id), examples, outputs })
    };
    run_inference(model, slot, size, read, |model, answers, task| {
        check_finite(answers)?;
        let mut response = InferResponse {
            model_name: model.name.clone(),
            model_version: model.version.clone(),
            id: task.id.clone().unwrap_or_default(),
            ..InferResponse::default()
        };
        for spec in &task.outputs {
            let output = spec.of(model, answers);
            let mut bytes = Vec::new();
            output.data.write(&mut bytes);
            let shape = output.shape.iter().filter_map(|&length| i64::try_from(length).ok()).collect();
            let (name, datatype) = (output.name.to_owned(), output.datatype.to_owned());
            response.outputs.push(TensorMetadata { name, datatype, shape });
            response.raw_output_contents.push(bytes);
        }
        Ok(response)
    })
    .await
}

fn classification(output: &messages::RequestedOutput) -> Result<Option<u64>, Refusal> {
    let Some(parameter) = output.parameters.get("classification") else { return Ok(None) };
    let count = match parameter.choice.as_ref() {
        Some(Choice::Int64(count)) => u64::try_from(*count).ok(),
        Some(Choice::Uint64(count)) => Some(*count),
        _ => None,
    };
    let place = || format!("output {}", quoted(&output.name));
    count.map(Some).ok_or_else(|| Refusal::at(place(), "classification as a whole number", "something else"))
}

/// The tensors, with values in their `contents`, or all in `raw_input_contents`.
fn tensors(request: &InferRequest) -> Result<Vec<Tensor<'_>>, Refusal> {
    let (count, raw) = (request.inputs.len(), &request.raw_input_contents);
    if raw.is_empty() {
        return request.inputs.iter().map(tensor_of_contents).collect();
    }
    if raw.len() != count || request.inputs.iter().any(|input| input.contents.is_some()) {
        let expected = format!("one for each of {count} inputs, and no `contents` in them");
        return Err(Refusal::at("raw_input_contents", expected, raw.len()));
    }
    request
        .inputs
        .iter()
        .zip(raw)
        .map(|(input, bytes)| Tensor::from_binary(header_of(input)?, bytes))
        .collect()
}

fn header_of(input: &InputTensor) -> Result<TensorHeader<'_>, Refusal> {
    let name: &str = &input.datatype;
    let datatype = Datatype::deserialize(IntoDeserializer::<PlainError>::into_deserializer(name));
    let datatype = datatype
        .map_err(|error| Refusal::bad(format!("input {}: datatype: {error}", quoted(&input.name))))?;
    Ok(TensorHeader { name: Cow::Borrowed(&input.name), datatype, shape: input.shape.clone() })
}

fn tensor_of_contents(input: &InputTensor) -> Result<Tensor<'_>, Refusal> {
    let header = header_of(input)?;
    let place = || format!("input {}", quoted(&input.name));
    let contents = input.contents.as_ref();
    let contents =
        contents.ok_or_else(|| Refusal::at(place(), "`contents` or `raw_input_contents`", "neither"))?;
    let values = values(contents, header.datatype)
        .map_err(|text| Refusal::at(place(), format!("text {text} in UTF-8"), "other bytes"))?;
    let lengths = vec![values.len()];
    Tensor::from_json(header, JsonData { values, lengths })
}

/// The values in the field that the protocol defines for this datatype, or the index of a text that is not UTF-8.
fn values(contents: &Contents, datatype: Datatype) -> Result<Values<'_>, usize> {
    Ok(match datatype {
        Datatype::Bool => Values::Booleans(contents.bools.clone()),
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => numbers(&contents.ints, |&value| value.into()),
        Datatype::Int64 => numbers(&contents.long_ints, |&value| value as f64),
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => {
            numbers(&contents.uints, |&value| value.into())
        }
        Datatype::Uint64 => numbers(&contents.long_uints, |&value| value as f64),
        Datatype::Fp16 | Datatype::Fp32 => numbers(&contents.floats, |&value| value.into()),
        Datatype::Fp64 => numbers(&contents.doubles, |&value| value),
        Datatype::Bytes => {
            let text =
                |(at, bytes)| str::from_utf8(bytes).map(|text| Some(Cow::Borrowed(text))).map_err(|_| at);
            Values::Texts(
                contents.bytes.iter().map(Vec::as_slice).enumerate().map(text).collect::<Result<_, _>>()?,
            )
        }
    })
}

fn numbers<'a, T>(values: &[T], number: impl Fn(&T) -> f64) -> Values<'a> {
    Values::Numbers(values.iter().map(number).collect())
}

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// Bytes before the message: a flag for compression, and the length in 4 bytes.
const PREFIX: usize = 5;

/// The only message in `body`; an error if it is incomplete or compressed.
fn read<M: Message + Default>(body: &Bytes) -> Result<M, Refusal> {
    let (length, is_compressed) = match body.first_chunk::<PREFIX>() {
        Some([flag, length @ ..]) => (*length, *flag != 0),
        None => return Err(Refusal::at("the body", "one message", "less than a frame")),
    };
    if is_compressed {
        let message = "the body: expected one message that is not compressed, found a compressed one";
        return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, message));
    }
    let (length, found) = (u32::from_be_bytes(length) as usize, body.len() - PREFIX);
    if length != found {
        return Err(Refusal::at("the body", format!("one message of {length} bytes"), format!("{found}")));
    }
    M::decode(body.slice(PREFIX..)).map_err(|error| Refusal::bad(format!("the message: {error}")))
}

/// `answer` as a framed message with its status, or as a refusal.
fn response(answer: Result<impl Message, Refusal>) -> Response {
    let mut response = match answer {
        Ok(message) => {
            let mut bytes = vec![0; PREFIX];
            bytes[1..].copy_from_slice(&(message.encoded_len() as u32).to_be_bytes());
            bytes.extend(message.encode_to_vec());
            let trailers = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
            let body = Full::new(Bytes::from(bytes)).with_trailers(async { Some(Ok(trailers)) });
            Response::new(Body::new(body))
        }
        Err(refusal) => return refused(&refusal),
    };
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response
}

/// `refusal` as a response without a message.
pub(crate) fn refused(refusal: &Refusal) -> Response {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response.headers_mut().insert(STATUS, HeaderValue::from(status(refusal.status)));
    if let Ok(message) = HeaderValue::try_from(escaped(&refusal.message)) {
        response.headers_mut().insert(MESSAGE, message);
    }
    response.extensions_mut().insert(LoggedStatus(refusal.status));
    if refusal.status == StatusCode::INTERNAL_SERVER_ERROR {
        response.extensions_mut().insert(InternalError(refusal.message.clone()));
    }
    response
}

/// The gRPC status code that is closest to the HTTP status.
fn status(status: StatusCode) -> u16 {
    match status {
        StatusCode::NOT_FOUND => 5,
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::FORBIDDEN => 7,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => 8,
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => 4,
        StatusCode::NOT_IMPLEMENTED => 12,
        StatusCode::INTERNAL_SERVER_ERROR => 13,
        _ => 3,
    }
}

/// `message` percent-encoded: all bytes except printable ASCII, and `%` itself.
fn escaped(message: &str) -> String {
    let mut escaped = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_checked() {
        let request = ModelRequest { name: "digits".to_owned(), version: String::new() };
        let message = request.encode_to_vec();
        let frame = |flag: u8, length: u32| {
            let length = length.to_be_bytes();
            Bytes::from([&[flag][..], &length, &message].concat())
        };
        let right = message.len() as u32;
        assert_eq!(read::<ModelRequest>(&frame(0, right)).unwrap(), request);
        for (body, words) in [
            (frame(1, right), "found a compressed one"),
            (frame(0, u32::MAX), "one message of 4294967295 bytes, found 8"),
            (frame(0, right - 1), "one message of 7 bytes, found 8"),
            (Bytes::from_static(b"\0\0\0"), "found less than a frame"),
            (Bytes::from_static(b"\0\0\0\0\x02\x0a\xff"), "the message: "),
        ] {
            let message = read::<ModelRequest>(&body).unwrap_err().message;
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn a_refusal_is_sent_in_headers() {
        let response = response(Err::<ModelRequest, _>(Refusal::bad("50 % of ä")));
        assert_eq!(response.headers()[STATUS], "3");
        assert_eq!(response.headers()[MESSAGE], "50 %25 of %C3%A4");
    }
}

//! One message in, one message out: gRPC's frame and status around them.
//!
//! A call of one message is its length and its bytes over HTTP/2, and a status in the trailers. The frame is written here
//! because a gRPC library brings a server of its own, without this one's limits, places and way to end.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::{BodyExt, Full};
use prost::Message;

use crate::gate::CountedAs;
use crate::refusal::{Failed, Refusal};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// A byte that says whether the message is compressed, and its length.
pub(super) const PREFIX: usize = 5;

/// The message in `body`.
///
/// # Errors
/// Where it is none, or compressed.
pub(super) fn read<M: Message + Default>(body: &Bytes) -> Result<M, Refusal> {
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

/// `answer` as a response.
pub(super) fn written(answer: Result<impl Message, Refusal>) -> Response {
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

/// A response of headers alone.
pub(crate) fn refused(refusal: &Refusal) -> Response {
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response.headers_mut().insert(STATUS, HeaderValue::from(status(refusal.status)));
    if let Ok(message) = HeaderValue::try_from(escaped(&refusal.message)) {
        response.headers_mut().insert(MESSAGE, message);
    }
    response.extensions_mut().insert(CountedAs(refusal.status));
    if refusal.status == StatusCode::INTERNAL_SERVER_ERROR {
        response.extensions_mut().insert(Failed(refusal.message.clone()));
    }
    response
}

/// The status of gRPC that comes nearest.
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

/// `message` with every byte but those of printable ASCII, and `%`, as `%` and two digits.
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
    use crate::grpc::messages::ModelAsked;

    #[test]
    fn a_frame_is_not_believed() {
        let asked = ModelAsked { name: "digits".to_owned(), version: String::new() };
        let message = asked.encode_to_vec();
        let frame = |flag: u8, length: u32| {
            let length = length.to_be_bytes();
            Bytes::from([&[flag][..], &length, &message].concat())
        };
        let right = message.len() as u32;
        assert_eq!(read::<ModelAsked>(&frame(0, right)).unwrap(), asked);
        for (body, words) in [
            (frame(1, right), "found a compressed one"),
            (frame(0, u32::MAX), "one message of 4294967295 bytes, found 8"),
            (frame(0, right - 1), "one message of 7 bytes, found 8"),
            (Bytes::from_static(b"\0\0\0"), "found less than a frame"),
            (Bytes::from_static(b"\0\0\0\0\x02\x0a\xff"), "the message: "),
        ] {
            let message = read::<ModelAsked>(&body).unwrap_err().message;
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_headers() {
        let response = written(Err::<ModelAsked, _>(Refusal::bad("50 % of ä")));
        assert_eq!(response.headers()[STATUS], "3");
        assert_eq!(response.headers()[MESSAGE], "50 %25 of %C3%A4");
    }
}

//! The body of a request, within the limits of size and time.

use std::io::Read;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt;
use kiln_table::quoted;

use crate::refusal::Refusal;
use crate::settings::Limits;
use crate::work::{Place, Size, done};

/// A request whose body is there.
pub(crate) struct Received {
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
    pub(crate) place: Place,
}

/// Reads the body of `request`, and unpacks it where it is compressed.
///
/// # Errors
/// 413 where it is too large, as sent or unpacked; 408 where it does not arrive in time; 400 where it is cut short; 415 where it
/// is compressed in another way.
pub(crate) async fn receive(request: Request, limits: &Limits) -> Result<Received, Refusal> {
    let (mut parts, body) = request.into_parts();
    let place = parts.extensions.remove::<Place>();
    let place = place.ok_or_else(|| Refusal::internal("a request without a place among the others"))?;
    let announced =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if let Some(length) = announced.filter(|length: &usize| *length > limits.body_bytes) {
        return Err(too_large(limits, format!("{length} bytes")));
    }
    let packing = Packing::of(&parts.headers)?;
    let reading = collect(body, announced.unwrap_or(0), limits);
    let bytes = tokio::time::timeout(place.left(), reading).await.map_err(|_| {
        let message = format!("the body did not arrive within {} s", place.time().as_secs_f64());
        Refusal::new(StatusCode::REQUEST_TIMEOUT, message)
    })??;
    let body = match packing {
        Packing::None => bytes,
        packing => {
            let limits = *limits;
            // However short it is, what it unpacks to may be long.
            done(Size::Large, place.clone(), move || packing.unpacked(&bytes, &limits)).await?
        }
    };
    Ok(Received { parts, body, place })
}

/// The type of the body, without its parameters; empty where there is none.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let text = headers.get(header::CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    text.map_or_else(String::new, |text| text.split(';').next().unwrap_or_default().trim().to_lowercase())
}

/// That the body has another type than `expected`.
pub(crate) fn wrong_type(expected: &str, found: &str) -> Refusal {
    let message = format!("header Content-Type: expected {expected}, found {}", quoted(found));
    Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
}

async fn collect(mut body: Body, announced: usize, limits: &Limits) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut whole: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::bad(format!("the body did not arrive whole: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > limits.body_bytes.saturating_sub(first.len() + whole.len()) {
            return Err(too_large(limits, "more"));
        }
        // Most bodies come in one piece, which is not copied.
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(announced.max(first.len() + data.len()));
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    Ok(if whole.is_empty() { first } else { whole.into() })
}

fn too_large(limits: &Limits, found: impl std::fmt::Display) -> Refusal {
    Refusal::too_large("the body", format!("{} bytes", limits.body_bytes), found)
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Deflate,
}

impl Packing {
    fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let encodings: Vec<_> = headers.get_all(header::CONTENT_ENCODING).iter().collect();
        let text = encodings.iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let text = text.collect::<Vec<_>>().join(", ").trim().to_lowercase();
        match &*text {
            "" | "identity" => Ok(Self::None),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            other => {
                let found = quoted(other);
                let message =
                    format!("header Content-Encoding: expected gzip, deflate or identity, found {found}");
                Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
            }
        }
    }

    fn unpacked(self, bytes: &[u8], limits: &Limits) -> Result<Bytes, Refusal> {
        let reader: Box<dyn Read + '_> = match self {
            Self::None => Box::new(bytes),
            Self::Gzip => Box::new(MultiGzDecoder::new(bytes)),
            Self::Deflate => Box::new(ZlibDecoder::new(bytes)),
        };
        let mut unpacked = Vec::new();
        let most = limits.body_bytes as u64;
        reader.take(most + 1).read_to_end(&mut unpacked).map_err(|error| {
            Refusal::bad(format!("the body is not what its Content-Encoding says: {error}"))
        })?;
        if unpacked.len() > limits.body_bytes {
            return Err(too_large(limits, "more when unpacked"));
        }
        Ok(unpacked.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn a_bomb_is_not_unpacked() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![b' '; 1 << 20]).unwrap();
        let packed = encoder.finish().unwrap();
        let limits = Limits { body_bytes: 10_000, ..Limits::default() };
        let refusal = Packing::Gzip.unpacked(&packed, &limits).unwrap_err();
        assert_eq!(refusal.status, StatusCode::PAYLOAD_TOO_LARGE);
        let limits = Limits::default();
        assert_eq!(Packing::Gzip.unpacked(&packed, &limits).unwrap().len(), 1 << 20);
        assert!(Packing::Gzip.unpacked(&packed[..packed.len() - 9], &limits).is_err());
        assert!(Packing::Deflate.unpacked(b"no", &limits).is_err());
    }

    #[test]
    fn encodings_are_told_apart() {
        let of = |text: &str| {
            Packing::of(&HeaderMap::from_iter([(header::CONTENT_ENCODING, text.parse().unwrap())]))
        };
        assert_eq!((of("GZIP"), of("identity")), (Ok(Packing::Gzip), Ok(Packing::None)));
        assert_eq!(of("br").unwrap_err().status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert!(of("gzip, gzip").is_err());
    }
}

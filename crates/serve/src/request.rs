//! A request: its slot and its deadline, its body within the limits, and its refusal.

use std::any::Any;
use std::fmt::Display;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt;
use kiln_files::shortened;
use kiln_table::quoted;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use crate::Limits;

/// One of the slots for requests that are answered at the same time, with the request's deadline. Work that continues after
/// its request has timed out keeps the slot.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    #[expect(dead_code, reason = "held until the work ends")]
    permit: Arc<OwnedSemaphorePermit>,
    begun: Instant,
    time: Duration,
}

/// How much computation a step needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkSize {
    /// Some tens of microseconds: it runs on the thread of its connection, because another thread would cost more than it
    /// saves.
    Small,
    /// More: it runs on a blocking thread.
    Large,
}

/// The largest body, in bytes, that counts as small work.
const SMALL_BODY: usize = 64 << 10;
/// The largest number of multiply-adds that counts as small work: about a quarter of a millisecond.
const SMALL_PRODUCT: usize = 1 << 21;

impl Slot {
    /// A slot for `time`, from now on.
    pub(crate) fn new(permit: OwnedSemaphorePermit, time: Duration) -> Self {
        Self { permit: Arc::new(permit), begun: Instant::now(), time }
    }

    /// The time limit of the request.
    pub(crate) fn time(&self) -> Duration {
        self.time
    }

    /// The remaining time.
    fn left(&self) -> Duration {
        self.time.saturating_sub(self.begun.elapsed())
    }

    /// 504 if the time is over.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.left().is_zero() { Err(timed_out(self.time)) } else { Ok(()) }
    }
}

impl WorkSize {
    /// The work of parsing a body of `bytes` bytes.
    pub(crate) fn of_body(bytes: usize) -> Self {
        if bytes <= SMALL_BODY { Self::Small } else { Self::Large }
    }

    /// The work of predicting `rows` rows with a network of `weights` weights.
    pub(crate) fn of_rows(rows: usize, weights: usize) -> Self {
        let is_small = rows.checked_mul(weights).is_some_and(|product| product <= SMALL_PRODUCT);
        if is_small { Self::Small } else { Self::Large }
    }
}

/// Runs `work` within the remaining time. A panic in it becomes an error of this request alone.
///
/// # Errors
/// The error of `work`; 504 after the deadline, 500 after a panic.
pub(crate) async fn run_work<T: Send + 'static>(
    size: WorkSize,
    slot: Slot,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let work = || catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(&*panic)));
    if size == WorkSize::Small {
        return work();
    }
    let (left, time) = (slot.left(), slot.time);
    let task = tokio::task::spawn_blocking(move || {
        // Waiting for a thread may have taken all the time, and the client has its 504 already.
        slot.check()?;
        work()
    });
    match tokio::time::timeout(left, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(Refusal::internal(format!("the work did not finish: {error}"))),
        Err(_) => Err(timed_out(time)),
    }
}

fn timed_out(time: Duration) -> Refusal {
    let message =
        format!("the answer was not computed within {} s: send fewer rows per request", time.as_secs_f64());
    Refusal::new(StatusCode::GATEWAY_TIMEOUT, message)
}

/// The answer to a request whose handler panicked.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Refusal {
    let message = panic.downcast_ref::<&str>().map(ToString::to_string);
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Refusal::internal(format!("internal error of the server: {message}"))
}

/// A request whose body has arrived.
pub(crate) struct Received {
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
    pub(crate) slot: Slot,
}

/// Reads the body of `request` and decompresses it.
///
/// # Errors
/// 413 if the body is too large, as sent or decompressed; 408 if it does not arrive in time; 400 if it is incomplete; 415 if
/// its encoding is unknown.
pub(crate) async fn receive(request: Request, limits: &Limits) -> Result<Received, Refusal> {
    let (mut parts, body) = request.into_parts();
    let slot = parts.extensions.remove::<Slot>();
    let slot = slot.ok_or_else(|| Refusal::internal("a request without a slot"))?;
    let announced =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if let Some(length) = announced.filter(|length: &usize| *length > limits.body_bytes) {
        return Err(too_large(limits, format!("{length} bytes")));
    }
    let encoding = Encoding::of(&parts.headers)?;
    let reading = collect(body, announced.unwrap_or(0), limits);
    let bytes = tokio::time::timeout(slot.left(), reading).await.map_err(|_| {
        let message = format!("the body did not arrive within {} s", slot.time().as_secs_f64());
        Refusal::new(StatusCode::REQUEST_TIMEOUT, message)
    })??;
    let body = match encoding {
        Encoding::None => bytes,
        encoding => {
            let limits = *limits;
            // Even a short body may decompress to a long one.
            run_work(WorkSize::Large, slot.clone(), move || encoding.decoded(&bytes, &limits)).await?
        }
    };
    Ok(Received { parts, body, slot })
}

/// The media type of the body in lower case, without its parameters; empty if absent.
pub(crate) fn content_type(headers: &HeaderMap) -> String {
    let text = headers.get(header::CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    text.map_or_else(String::new, |text| text.split(';').next().unwrap_or_default().trim().to_lowercase())
}

/// The refusal of a body whose media type is not one of `expected`.
pub(crate) fn wrong_type(expected: &str, found: &str) -> Refusal {
    let message = format!("header Content-Type: expected {expected}, found {}", quoted(found));
    Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
}

async fn collect(mut body: Body, announced: usize, limits: &Limits) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut whole: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::bad(format!("the body is incomplete: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > limits.body_bytes.saturating_sub(first.len() + whole.len()) {
            return Err(too_large(limits, "more"));
        }
        // Most bodies arrive in one piece; do not copy it.
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

fn too_large(limits: &Limits, found: impl Display) -> Refusal {
    Refusal::too_large("the body", format!("{} bytes", limits.body_bytes), found)
}

/// The content encoding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    None,
    Gzip,
    Deflate,
}

impl Encoding {
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

    fn decoded(self, bytes: &[u8], limits: &Limits) -> Result<Bytes, Refusal> {
        let reader: Box<dyn Read + '_> = match self {
            Self::None => Box::new(bytes),
            Self::Gzip => Box::new(MultiGzDecoder::new(bytes)),
            Self::Deflate => Box::new(ZlibDecoder::new(bytes)),
        };
        let mut decoded = Vec::new();
        let most = limits.body_bytes as u64;
        reader.take(most + 1).read_to_end(&mut decoded).map_err(|error| {
            Refusal::bad(format!("the body cannot be decoded as its Content-Encoding says: {error}"))
        })?;
        if decoded.len() > limits.body_bytes {
            return Err(too_large(limits, "more after decompression"));
        }
        Ok(decoded.into())
    }
}

/// Why a request is not answered: a status and a message, which the client receives as `{"error": "..."}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    header: Option<(HeaderName, HeaderValue)>,
}

/// The greatest length of a message, in characters.
const MESSAGE_LENGTH: usize = 2000;

/// Marks a response with status 500, for the event [`Event::Failed`](crate::Event::Failed).
#[derive(Clone, Debug)]
pub(crate) struct InternalError(pub(crate) String);

impl Refusal {
    /// Shortens a long message: some quote the request.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: shortened(&message.into(), MESSAGE_LENGTH), header: None }
    }

    /// 400: the request is wrong.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 400: the request is wrong at `place`.
    pub(crate) fn at(place: impl Display, expected: impl Display, found: impl Display) -> Self {
        Self::bad(format!("{place}: expected {expected}, found {found}"))
    }

    /// 500: the server is wrong.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    pub(crate) fn too_large(what: &str, expected: impl Display, found: impl Display) -> Self {
        let message = format!("{what}: expected {expected} at most, found {found}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    pub(crate) fn too_many(limit: usize) -> Self {
        Self::busy(format!("the server is busy with {limit} requests, its limit: try again later"))
    }

    /// 429: the client may try again in a second.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        let mut refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, message);
        refusal.header = Some((header::RETRY_AFTER, HeaderValue::from_static("1")));
        refusal
    }

    pub(crate) fn unauthorized(message: &str) -> Self {
        let mut refusal = Self::new(StatusCode::UNAUTHORIZED, message);
        refusal.header =
            Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer, Basic realm=\"kiln\"")));
        refusal
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let failed =
            (self.status == StatusCode::INTERNAL_SERVER_ERROR).then(|| InternalError(self.message.clone()));
        let body = json!({ "error": self.message }).to_string();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if let Some(failed) = failed {
            response.extensions_mut().insert(failed);
        }
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// A JSON answer.
pub(crate) fn json_response(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::thread;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tokio::sync::Semaphore;

    use super::*;

    fn slot(slots: &Arc<Semaphore>) -> Slot {
        Slot::new(Arc::clone(slots).try_acquire_owned().unwrap(), Duration::from_millis(20))
    }

    #[test]
    fn a_panic_is_an_error_and_late_work_keeps_its_slot_until_it_ends() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let slots = Arc::new(Semaphore::new(1));
        for size in [WorkSize::Small, WorkSize::Large] {
            let panics = || -> Result<(), Refusal> { panic!("so it goes") };
            let refusal = runtime.block_on(run_work(size, slot(&slots), panics)).unwrap_err();
            assert_eq!(refusal, Refusal::internal("internal error of the server: so it goes"));
        }
        let slow = || {
            thread::sleep(Duration::from_millis(300));
            Ok(())
        };
        let refusal = runtime.block_on(run_work(WorkSize::Large, slot(&slots), slow)).unwrap_err();
        assert_eq!((refusal.status, slots.available_permits()), (StatusCode::GATEWAY_TIMEOUT, 0));
        while slots.available_permits() == 0 {
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn sizes_do_not_overflow() {
        assert_eq!(WorkSize::of_rows(1, 470_000), WorkSize::Small);
        assert_eq!(WorkSize::of_rows(usize::MAX, 2), WorkSize::Large);
    }

    #[test]
    fn decompression_stops_at_the_limit() {
        let mut writer = GzEncoder::new(Vec::new(), Compression::best());
        writer.write_all(&vec![b' '; 1 << 20]).unwrap();
        let encoded = writer.finish().unwrap();
        let limits = Limits { body_bytes: 10_000, ..Limits::default() };
        let refusal = Encoding::Gzip.decoded(&encoded, &limits).unwrap_err();
        assert_eq!(refusal.status, StatusCode::PAYLOAD_TOO_LARGE);
        let limits = Limits::default();
        assert_eq!(Encoding::Gzip.decoded(&encoded, &limits).unwrap().len(), 1 << 20);
        assert!(Encoding::Gzip.decoded(&encoded[..encoded.len() - 9], &limits).is_err());
        assert!(Encoding::Deflate.decoded(b"no", &limits).is_err());
    }

    #[test]
    fn encodings_are_recognized() {
        let of = |text: &str| {
            Encoding::of(&HeaderMap::from_iter([(header::CONTENT_ENCODING, text.parse().unwrap())]))
        };
        assert_eq!((of("GZIP"), of("identity")), (Ok(Encoding::Gzip), Ok(Encoding::None)));
        assert_eq!(of("br").unwrap_err().status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert!(of("gzip, gzip").is_err());
    }
}

//! One connection, from its first request to its last.

use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// How long a connection waits for a head: for one that has begun to arrive, and for the next request.
const HEAD_TIME: Duration = Duration::from_secs(75);
/// How long a connection without a request stays open once the server is to end: a request that was on its way is answered,
/// and told that it was the last.
const LINGER: Duration = Duration::from_millis(500);

/// Answers the requests of a connection until it closes, or until `ends` turns true and those that are there are answered.
pub(crate) async fn answer(stream: TcpStream, router: Router, ends: watch::Receiver<bool>) {
    // An answer is one write: waiting to fill a packet would only hold it up.
    let _ = stream.set_nodelay(true);
    #[cfg(feature = "grpc")]
    if http2::is_asked_for(&stream, ends.clone()).await {
        return http2::answer(stream, router, ends).await;
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    until_the_end(connection, ends, http1::Connection::graceful_shutdown).await;
}

/// Drives `connection` until it is done. Once `ends` turns true, `finish` tells it to take no further request.
async fn until_the_end<C: Future>(
    connection: C,
    mut ends: watch::Receiver<bool>,
    finish: impl FnOnce(Pin<&mut C>),
) {
    let mut connection = std::pin::pin!(connection);
    // Clients that leave, or that send no HTTP, are not reported.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = ends.wait_for(|ends| *ends) => {}
    }
    if tokio::time::timeout(LINGER, connection.as_mut()).await.is_err() {
        finish(connection.as_mut());
        let _ = connection.await;
    }
}

/// HTTP/2, which gRPC is spoken over.
#[cfg(feature = "grpc")]
mod http2 {
    use hyper::server::conn::http2;
    use hyper_util::rt::TokioExecutor;

    use super::{
        Duration, HEAD_TIME, Router, TcpStream, TokioIo, TokioTimer, TowerToHyperService, until_the_end,
        watch,
    };

    /// What a connection of HTTP/2 begins with.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    /// How long to wait for the rest of it.
    const PAUSE: Duration = Duration::from_millis(5);

    /// Whether a connection begins so. One that is silent for too long, or when the server is to end, does not.
    pub(super) async fn is_asked_for(stream: &TcpStream, mut ends: watch::Receiver<bool>) -> bool {
        let looking = async {
            let mut first = [0; PREFACE.len()];
            loop {
                match stream.peek(&mut first).await {
                    Ok(_) if first == *PREFACE => return true,
                    Ok(found @ 1..) if PREFACE.starts_with(&first[..found]) => {
                        tokio::time::sleep(PAUSE).await;
                    }
                    _ => return false,
                }
            }
        };
        tokio::select! {
            is_asked_for = tokio::time::timeout(HEAD_TIME, looking) => is_asked_for.unwrap_or(false),
            _ = ends.wait_for(|ends| *ends) => false,
        }
    }

    /// As [`super::answer`]. Clients that are silent stay, as gRPC's do, if they answer pings.
    pub(super) async fn answer(stream: TcpStream, router: Router, ends: watch::Receiver<bool>) {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(HEAD_TIME)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        until_the_end(connection, ends, http2::Connection::graceful_shutdown).await;
    }
}

//! One connection, from its first request to its last.

use std::time::Duration;

use axum::Router;
#[cfg(not(feature = "grpc"))]
use hyper::server::conn::http1;
#[cfg(feature = "grpc")]
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::{TokioIo, TokioTimer};
#[cfg(feature = "grpc")]
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// How long a connection waits for a head: for one that has begun to arrive, and for the next request.
const HEAD_TIME: Duration = Duration::from_secs(75);
/// How long a connection without a request stays open once the server is to end: a request that was on its way is answered,
/// and told that it was the last.
const LINGER: Duration = Duration::from_millis(500);

/// Answers the requests of a connection until it closes, or until `ends` turns true and those that are there are answered.
pub(crate) async fn answer(stream: TcpStream, router: Router, mut ends: watch::Receiver<bool>) {
    // An answer is one write: waiting to fill a packet would only hold it up.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router);
    #[cfg(not(feature = "grpc"))]
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service);
    #[cfg(feature = "grpc")]
    let builder = {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME);
        builder.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD_TIME);
        builder
    };
    #[cfg(feature = "grpc")]
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // A client that went away, or sent no HTTP, is no event.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = ends.wait_for(|ends| *ends) => {}
    }
    if tokio::time::timeout(LINGER, connection.as_mut()).await.is_err() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

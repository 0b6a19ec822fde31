//! The server from its first connection to its last.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::ServeError;
use crate::connection::answer;
use crate::event::{Event, Observer, served};
use crate::router::router;
use crate::settings::Settings;
use crate::signals::{Signal, Signals};
use crate::state::Server;

/// How long nothing is accepted where the system gives no further connection, mostly because files are used up.
const PAUSE: Duration = Duration::from_millis(20);

/// Opens the runs and answers requests until SIGTERM or SIGINT; SIGHUP opens the runs anew. `observer` hears what happens.
///
/// At the end the server is first not ready and takes no new connections, then answers the requests that are there, and
/// connections on which more come close after their answers.
///
/// # Errors
/// Where a run cannot be opened or the address not listened on; where requests are not answered in the time to drain, or a
/// second signal ends the server at once.
pub fn serve(
    settings: &Settings,
    observer: impl Fn(&Event<'_>) + Send + Sync + 'static,
) -> Result<(), ServeError> {
    let server = Arc::new(Server::open(settings, Observer::new(observer))?);
    let address = SocketAddr::new(settings.host, settings.port);
    let listener = StdListener::bind(address).map_err(|cause| ServeError::Listen { address, cause })?;
    listener.set_nonblocking(true).map_err(|cause| ServeError::Listen { address, cause })?;
    let threads = available_parallelism().map_or(1, NonZeroUsize::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.max(2))
        // Large work is computed by rayon's threads besides: more would only wait for the processor.
        .max_blocking_threads(threads.max(2))
        .thread_name("serve")
        .enable_all()
        .build()
        .map_err(ServeError::Start)?;
    let result = runtime.block_on(run(&server, listener, settings.drain));
    // Work that nobody waits for any more is left behind.
    runtime.shutdown_background();
    result
}

async fn run(server: &Arc<Server>, listener: StdListener, drain: Duration) -> Result<(), ServeError> {
    let mut signals = Signals::new().map_err(ServeError::Start)?;
    let listener = TcpListener::from_std(listener).map_err(ServeError::Start)?;
    let address = listener.local_addr().map_err(ServeError::Start)?;
    let (end, ends) = watch::channel(false);
    // Every connection holds a sender: the receiver ends when the last one does.
    let (open, mut closed) = mpsc::channel::<()>(1);
    let router = router(server);
    let take = |stream| {
        let (router, ends, open) = (router.clone(), ends.clone(), open.clone());
        tokio::spawn(async move {
            answer(stream, router, ends).await;
            drop(open);
        });
    };
    server.observer.tell(&Event::Ready { address, models: &served(&server.catalog()) });
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => take(stream),
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            asked = signals.next() => match asked {
                Signal::Stop => break,
                Signal::Reload => reload(server),
            },
        }
    }
    server.drain();
    // The system has made some connections already, whose clients may have sent requests.
    let listener = listener.into_std().map_err(ServeError::Start)?;
    while let Ok((stream, _)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok()
            && let Ok(stream) = TcpStream::from_std(stream)
        {
            take(stream);
        }
    }
    drop(listener);
    let requests = server.metrics.in_flight.load(Ordering::Relaxed);
    server.observer.tell(&Event::Draining { requests });
    let _ = end.send(true);
    drop(open);
    let deadline = tokio::time::sleep(drain);
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            _ = closed.recv() => return Ok(()),
            () = &mut deadline => {
                // Those that have no request are closed by now.
                let connections = closed.sender_strong_count();
                return Err(ServeError::Cut { connections, seconds: drain.as_secs() });
            },
            asked = signals.next() => if asked == Signal::Stop {
                return Err(ServeError::Stopped { connections: closed.sender_strong_count() });
            },
        }
    }
}

/// Opens the runs anew, on a thread of its own; what comes of it, the observer hears.
fn reload(server: &Arc<Server>) {
    let server = Arc::clone(server);
    tokio::task::spawn_blocking(move || drop(server.reload()));
}

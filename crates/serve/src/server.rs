//! The server: the state that all requests share, its connections, its signals, and its shutdown.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::thread::available_parallelism;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::catalog::Catalog;
use crate::metrics::Metrics;
use crate::router::router;
use crate::{Event, Limits, ServeError, ServedModel, Settings, Token};

/// How long to wait after a failed `accept`, which mostly means that the process has no free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Opens the runs and answers requests until SIGTERM or SIGINT; SIGHUP reopens the runs. `observer` receives every event.
///
/// To shut down, the server first reports that it is not ready and accepts no new connections. It then answers the open
/// requests and closes each connection after its next answer.
///
/// # Errors
/// A run cannot be opened, the server cannot listen on the address, the drain time is over before every request is answered,
/// or a second signal stops the server at once.
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
        // Rayon's threads share the large work: further blocking threads would only wait for the processor.
        .max_blocking_threads(threads.max(2))
        .thread_name("serve")
        .enable_all()
        .build()
        .map_err(ServeError::Start)?;
    let result = runtime.block_on(run(&server, listener, settings.drain));
    // Do not wait for work whose requests are already over.
    runtime.shutdown_background();
    result
}

async fn run(server: &Arc<Server>, listener: StdListener, drain: Duration) -> Result<(), ServeError> {
    let mut signals = Signals::new().map_err(ServeError::Start)?;
    let listener = TcpListener::from_std(listener).map_err(ServeError::Start)?;
    let address = listener.local_addr().map_err(ServeError::Start)?;
    let (end, ends) = watch::channel(false);
    // Every connection holds a sender: the receiver finishes with the last connection.
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
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            signal = signals.next() => match signal {
                Signal::Stop => break,
                Signal::Reload => reload(server),
            },
        }
    }
    server.drain();
    // The system has already completed some connections, and their clients may have sent requests.
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
                // Idle connections are closed by now.
                let connections = closed.sender_strong_count();
                return Err(ServeError::Cut { connections, seconds: drain.as_secs() });
            },
            signal = signals.next() => if signal == Signal::Stop {
                return Err(ServeError::Stopped { connections: closed.sender_strong_count() });
            },
        }
    }
}

/// Reopens the runs on another thread. The observer receives the result.
fn reload(server: &Arc<Server>) {
    let server = Arc::clone(server);
    tokio::task::spawn_blocking(move || drop(server.reload()));
}

/// The state that all requests share.
pub(crate) struct Server {
    runs: Vec<String>,
    artifacts: PathBuf,
    catalog: RwLock<Arc<Catalog>>,
    /// Locked during a reload.
    reloading: Mutex<()>,
    pub(crate) limits: Limits,
    pub(crate) token: Option<Token>,
    pub(crate) allow_reload: bool,
    pub(crate) metrics: Metrics,
    /// One permit for each request that the server may answer at the same time.
    pub(crate) slots: Arc<Semaphore>,
    is_draining: AtomicBool,
    pub(crate) observer: Observer,
}

impl Server {
    fn open(settings: &Settings, observer: Observer) -> Result<Self, ServeError> {
        let metrics = Metrics::default();
        let catalog = Catalog::open(&settings.runs, &settings.artifacts, &metrics)?;
        Ok(Self {
            runs: settings.runs.clone(),
            artifacts: settings.artifacts.clone(),
            catalog: RwLock::new(Arc::new(catalog)),
            reloading: Mutex::default(),
            limits: settings.limits,
            token: settings.token.clone(),
            allow_reload: settings.allow_reload,
            metrics,
            slots: Arc::new(Semaphore::new(settings.limits.concurrency.min(Semaphore::MAX_PERMITS))),
            is_draining: AtomicBool::new(false),
            observer,
        })
    }

    /// The current models. A request keeps the catalog that it started with, also after a reload.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reopens all runs and replaces the catalog. If one run cannot be opened, the previous catalog stays.
    fn reload(&self) -> Result<(), ServeError> {
        self.reload_alone(&self.reloading.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Like [`Server::reload`], but `None` if another reload is in progress.
    pub(crate) fn try_reload(&self) -> Option<Result<(), ServeError>> {
        match self.reloading.try_lock() {
            Ok(alone) => Some(self.reload_alone(&alone)),
            Err(TryLockError::Poisoned(alone)) => Some(self.reload_alone(&alone.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn reload_alone(&self, _alone: &MutexGuard<'_, ()>) -> Result<(), ServeError> {
        let opened = Catalog::open(&self.runs, &self.artifacts, &self.metrics);
        self.metrics.reloads[usize::from(opened.is_err())].fetch_add(1, Ordering::Relaxed);
        match opened {
            Ok(catalog) => {
                let catalog = Arc::new(catalog);
                *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&catalog);
                self.observer.tell(&Event::Reloaded { models: &served(&catalog) });
                Ok(())
            }
            Err(error) => {
                self.observer.tell(&Event::ReloadFailed { error: &error });
                Err(error)
            }
        }
    }

    /// Whether the server is shutting down.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Starts the shutdown: the server is no longer ready and closes each connection after its next answer.
    fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }
}

/// The function that receives events.
pub(crate) struct Observer(Box<dyn Fn(&Event<'_>) + Send + Sync>);

impl Observer {
    fn new(observer: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        Self(Box::new(observer))
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        (self.0)(event);
    }
}

/// The models in `catalog`.
fn served(catalog: &Catalog) -> Vec<ServedModel> {
    let one = |name: &str| {
        let versions = catalog.versions(name).iter();
        let unfinished = versions.clone().filter(|model| !model.is_finished);
        ServedModel {
            name: name.to_owned(),
            unfinished: unfinished.map(|model| model.version.clone()).collect(),
            versions: versions.map(|model| model.version.clone()).collect(),
        }
    };
    catalog.names().map(one).collect()
}

/// How long a connection waits for the rest of a request header, and for the next request.
const HEADER_TIME: Duration = Duration::from_secs(75);
/// How long an idle connection stays open during the shutdown: a request on its way still gets an answer, which closes the
/// connection.
const LINGER: Duration = Duration::from_millis(500);

/// Answers the requests of a connection until it closes, or until `ends` becomes true and the open requests are answered.
async fn answer(stream: TcpStream, router: Router, ends: watch::Receiver<bool>) {
    // An answer is one write: waiting until a packet is full would only delay it.
    let _ = stream.set_nodelay(true);
    #[cfg(feature = "grpc")]
    if http2::is_asked_for(&stream, ends.clone()).await {
        return http2::answer(stream, router, ends).await;
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    until_the_end(connection, ends, http1::Connection::graceful_shutdown).await;
}

/// Drives `connection` to its end. Once `ends` becomes true, `finish` makes it accept no further request.
async fn until_the_end<C: Future>(
    connection: C,
    mut ends: watch::Receiver<bool>,
    finish: impl FnOnce(Pin<&mut C>),
) {
    let mut connection = std::pin::pin!(connection);
    // Errors are not reported: the client left, or did not send HTTP.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = ends.wait_for(|ends| *ends) => {}
    }
    if tokio::time::timeout(LINGER, connection.as_mut()).await.is_err() {
        finish(connection.as_mut());
        let _ = connection.await;
    }
}

/// HTTP/2, the transport of gRPC.
#[cfg(feature = "grpc")]
mod http2 {
    use hyper::server::conn::http2;
    use hyper_util::rt::TokioExecutor;

    use super::{
        Duration, HEADER_TIME, Router, TcpStream, TokioIo, TokioTimer, TowerToHyperService, until_the_end,
        watch,
    };

    /// The first bytes of an HTTP/2 connection.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    /// The time between two looks for the rest of the preface.
    const PAUSE: Duration = Duration::from_millis(5);

    /// Whether the connection begins with the preface; false if it stays silent for too long, or the server shuts down.
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
            is_asked_for = tokio::time::timeout(HEADER_TIME, looking) => is_asked_for.unwrap_or(false),
            _ = ends.wait_for(|ends| *ends) => false,
        }
    }

    /// Like [`super::answer`]. Silent clients stay connected if they answer pings, as gRPC clients do.
    pub(super) async fn answer(stream: TcpStream, router: Router, ends: watch::Receiver<bool>) {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(HEADER_TIME)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        until_the_end(connection, ends, http2::Connection::graceful_shutdown).await;
    }
}

/// The request that a signal makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP: reopen the runs.
    Reload,
}

/// The signals that arrive from now on.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}

/// Ctrl-C, where there are no Unix signals.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Stop
    }
}

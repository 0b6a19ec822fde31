//! What all requests share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};

use tokio::sync::Semaphore;

use crate::ServeError;
use crate::catalog::Catalog;
use crate::event::{Event, Observer};
use crate::metrics::Metrics;
use crate::settings::{Limits, Settings};
use crate::token::Token;

/// What all requests share.
pub(crate) struct Server {
    words: Vec<String>,
    artifacts: PathBuf,
    catalog: RwLock<Arc<Catalog>>,
    /// Held by the reload that goes on.
    reloading: Mutex<()>,
    pub(crate) limits: Limits,
    pub(crate) token: Option<Token>,
    pub(crate) allow_reload: bool,
    pub(crate) metrics: Metrics,
    /// A place for each request that may be answered at a time.
    pub(crate) places: Arc<Semaphore>,
    is_draining: AtomicBool,
    pub(crate) observer: Observer,
}

impl Server {
    /// Opens the runs.
    ///
    /// # Errors
    /// Where one cannot be opened.
    pub(crate) fn open(settings: &Settings, observer: Observer) -> Result<Self, ServeError> {
        let metrics = Metrics::default();
        let catalog = Catalog::open(&settings.runs, &settings.artifacts, &metrics)?;
        Ok(Self {
            words: settings.runs.clone(),
            artifacts: settings.artifacts.clone(),
            catalog: RwLock::new(Arc::new(catalog)),
            reloading: Mutex::default(),
            limits: settings.limits,
            token: settings.token.clone(),
            allow_reload: settings.allow_reload,
            metrics,
            places: Arc::new(Semaphore::new(settings.limits.concurrency.min(Semaphore::MAX_PERMITS))),
            is_draining: AtomicBool::new(false),
            observer,
        })
    }

    /// The models as they are now; who has them in hand goes on with them after a reload.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens the runs anew and puts them in place of those that were; where one cannot be opened, all stays as it was.
    ///
    /// # Errors
    /// Where one cannot be opened.
    pub(crate) fn reload(&self) -> Result<(), ServeError> {
        self.reload_alone(&self.reloading.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// As [`Server::reload`]; none where a reload goes on already.
    pub(crate) fn try_reload(&self) -> Option<Result<(), ServeError>> {
        match self.reloading.try_lock() {
            Ok(alone) => Some(self.reload_alone(&alone)),
            Err(TryLockError::Poisoned(alone)) => Some(self.reload_alone(&alone.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn reload_alone(&self, _alone: &MutexGuard<'_, ()>) -> Result<(), ServeError> {
        let opened = Catalog::open(&self.words, &self.artifacts, &self.metrics);
        self.metrics.reloads[usize::from(opened.is_err())].fetch_add(1, Ordering::Relaxed);
        match opened {
            Ok(catalog) => {
                let catalog = Arc::new(catalog);
                *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&catalog);
                self.observer.tell(&Event::Reloaded { models: &crate::event::served(&catalog) });
                Ok(())
            }
            Err(error) => {
                self.observer.tell(&Event::ReloadFailed { error: &error });
                Err(error)
            }
        }
    }

    /// Whether the server is about to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// From now on the server is not ready, and connections are closed after their next answer.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }
}

//! What a server tells whoever started it: this crate prints nothing.

use std::net::SocketAddr;
use std::time::Duration;

use crate::ServeError;
use crate::catalog::Catalog;

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The server listens and answers.
    Ready {
        /// The address, with the port that was chosen.
        address: SocketAddr,
        /// The models.
        models: &'a [Served],
    },
    /// A request was answered.
    Answered {
        /// Its method.
        method: &'a str,
        /// Its path.
        path: &'a str,
        /// The status of the answer.
        status: u16,
        /// From the request's head to its answer.
        took: Duration,
    },
    /// A request was answered with 500: it met a defect of the server, or of a network.
    Failed {
        /// The path of the request.
        path: &'a str,
        /// What it was told.
        message: &'a str,
    },
    /// The runs were opened anew.
    Reloaded {
        /// The models.
        models: &'a [Served],
    },
    /// The runs could not be opened anew; those that were are still served.
    ReloadFailed {
        /// Why.
        error: &'a ServeError,
    },
    /// A signal asked the server to end: it takes no new connections, and answers the requests that are there.
    Draining {
        /// How many.
        requests: usize,
    },
}

/// A model that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Its name.
    pub name: String,
    /// Its versions, ids of runs, the newest last.
    pub versions: Vec<String>,
    /// Those of them whose training was not finished when they were opened.
    pub unfinished: Vec<String>,
}

/// Whoever hears of events.
pub(crate) struct Observer(Box<dyn Fn(&Event<'_>) + Send + Sync>);

impl Observer {
    pub(crate) fn new(observer: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        Self(Box::new(observer))
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        (self.0)(event);
    }
}

/// The models in `catalog`.
pub(crate) fn served(catalog: &Catalog) -> Vec<Served> {
    let one = |name: &str| {
        let versions = catalog.versions(name).iter();
        let unfinished = versions.clone().filter(|model| !model.is_finished);
        Served {
            name: name.to_owned(),
            unfinished: unfinished.map(|model| model.version.clone()).collect(),
            versions: versions.map(|model| model.version.clone()).collect(),
        }
    };
    catalog.names().map(one).collect()
}

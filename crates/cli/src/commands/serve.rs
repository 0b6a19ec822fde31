//! `kiln serve`.

use std::fs;
use std::time::Duration;

use kiln_serve::{Event, Limits, ServeError, Served, Settings, Token};
use schemars::JsonSchema;
use serde::Serialize;

use crate::arguments::Serve;
use crate::failure::Failure;
use crate::output::{print_json, say};

/// What is served, once it is.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Serving<'a> {
    /// Address and port.
    address: String,
    models: Vec<ServedModel<'a>>,
}

/// A network under its name.
#[derive(Serialize, JsonSchema)]
struct ServedModel<'a> {
    name: &'a str,
    /// Ids of its runs, the one that answers where none is asked for last.
    versions: Vec<&'a str>,
}

impl<'a> ServedModel<'a> {
    fn of(model: &'a Served) -> Self {
        Self { name: &model.name, versions: model.versions.iter().map(|version| &**version).collect() }
    }
}

/// Serves until a signal ends it.
pub(crate) fn serve(arguments: Serve) -> Result<(), Failure> {
    let token = token(&arguments)?;
    let limits = Limits {
        body_bytes: arguments.max_body as usize * (1 << 20),
        rows: arguments.max_rows as usize,
        concurrency: arguments.max_concurrency as usize,
        time: Duration::from_secs(arguments.timeout.into()),
    };
    let settings = Settings {
        runs: arguments.runs,
        artifacts: arguments.root.artifacts,
        host: arguments.host,
        port: arguments.port,
        token,
        allow_reload: arguments.allow_reload,
        drain: Duration::from_secs(arguments.drain),
        limits,
    };
    if settings.token.is_none() && !settings.host.is_loopback() {
        say("warning: anybody who reaches this address can ask: --token-file asks them for a token");
    }
    let (log, json) = (arguments.log, arguments.json);
    Ok(kiln_serve::serve(&settings, move |event| tell(event, log, json))?)
}

/// The token that requests must bring. One that is empty would be no token, and looks like one.
fn token(arguments: &Serve) -> Result<Option<Token>, Failure> {
    let token = match &arguments.token_file {
        Some(path) => {
            let cannot =
                |cause| Failure::usage(format!("cannot read the token in {}: {cause}", path.display()));
            Some(fs::read_to_string(path).map_err(cannot)?)
        }
        None => arguments.token.clone(),
    };
    let token = token.map(|token| token.trim().to_owned());
    match token {
        Some(token) if token.is_empty() => Err(Failure::usage("the token is empty")),
        token => Ok(token.as_deref().map(Token::new)),
    }
}

fn tell(event: &Event<'_>, log: bool, as_json: bool) {
    match event {
        Event::Ready { address, models } => {
            say(&format!("ready on http://{address}: {}", named(models)));
            if as_json {
                let models = models.iter().map(ServedModel::of).collect();
                print_json(&Serving { address: address.to_string(), models });
            }
            warn(models);
        }
        Event::Answered { method, path, status, took } if log => {
            say(&format!("{method} {} {status} {} us", kiln_table::escaped(path), took.as_micros()));
        }
        Event::Failed { path, message } => say(&format!("error: {}: {message}", kiln_table::escaped(path))),
        Event::Reloaded { models } => {
            say(&format!("reloaded: {}", named(models)));
            warn(models);
        }
        Event::ReloadFailed { error } => {
            say(&format!("error: not reloaded, the models that were are still served: {error}"));
        }
        Event::Draining { requests } => say(&format!("ending: {requests} requests are still to be answered")),
        _ => {}
    }
}

/// Warns of models that answer before their training is over.
fn warn(models: &[Served]) {
    for model in models {
        for version in &model.unfinished {
            say(&format!(
                "warning: the training of {} ({version}) is not finished: this is its best checkpoint so far",
                model.name
            ));
        }
    }
}

/// The models with the versions that answer.
fn named(models: &[Served]) -> String {
    let one = |model: &Served| {
        let newest = model.versions.last().map_or("", |version| version);
        match model.versions.len() {
            1 => format!("{} ({newest})", model.name),
            count => format!("{} ({newest}, the latest of {count})", model.name),
        }
    };
    models.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Run { word, cause } => Self::from(*cause).about(&word),
            ServeError::Name { .. } | ServeError::Twice { .. } => Self::usage(error.to_string()),
            ServeError::Stopped { .. } => Self::interrupted(error.to_string()),
            error => Self::failed(error.to_string()),
        }
    }
}

//! `kiln serve`: the networks of runs behind HTTP.

use std::fs;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use kiln_serve::{Event, Limits, ServeError, ServedModel, Settings, Token};
use kiln_table::escaped;
use schemars::JsonSchema;
use serde::Serialize;

use super::{RootArgument, run_names};
use crate::failure::Failure;
use crate::output::{print_json, say};

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// The runs (folder, name, start of an id, or `latest`). A model has the name of its experiment, or NAME. Several runs with
    /// one name are versions of one model; the latest version answers by default.
    #[arg(required = true, value_name = "[NAME=]RUN", add = ArgValueCompleter::new(run_names))]
    runs: Vec<String>,
    /// The address or host name to listen on. 0.0.0.0 means all addresses of this machine.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = address)]
    host: IpAddr,
    /// The port. 0 chooses a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// A file with the bearer token that requests must send. The token may also be in the variable `KILN_TOKEN`.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The bearer token itself.
    #[arg(long, env = "KILN_TOKEN", hide = true, hide_env_values = true)]
    token: Option<String>,
    /// Also reload the runs at POST /v2/repository/models/NAME/load, not only at SIGHUP.
    #[arg(long)]
    allow_reload: bool,
    /// Seconds to finish pending requests after SIGTERM or Ctrl-C.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain: u64,
    /// The largest request body, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    max_body: u32,
    /// The largest number of rows in a request.
    #[arg(long, value_name = "N", default_value_t = 1 << 16, value_parser = clap::value_parser!(u32).range(1..))]
    max_rows: u32,
    /// The largest number of concurrent requests; further ones get status 429.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    max_concurrency: u32,
    /// The time limit of a request in seconds, from its head to its answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    /// Log every request to stderr.
    #[arg(long)]
    log: bool,
    #[command(flatten)]
    root: RootArgument,
    /// Print the address and the models as JSON when the server is ready.
    #[arg(long)]
    json: bool,
}

/// A server that is ready.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Serving<'a> {
    /// Address and port.
    address: String,
    models: Vec<ModelAnswer<'a>>,
}

/// A served model.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ServedModel")]
struct ModelAnswer<'a> {
    name: &'a str,
    /// The ids of its runs. The last one answers by default.
    versions: Vec<&'a str>,
}

impl<'a> ModelAnswer<'a> {
    fn of(model: &'a ServedModel) -> Self {
        Self { name: &model.name, versions: model.versions.iter().map(|version| &**version).collect() }
    }
}

/// Serves until a signal ends it.
pub(crate) fn serve(arguments: ServeArguments) -> Result<(), Failure> {
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
        say(
            "warning: anyone who can reach this address can use the models; require a token with --token-file",
        );
    }
    let (log, json) = (arguments.log, arguments.json);
    Ok(kiln_serve::serve(&settings, move |event| tell(event, log, json))?)
}

/// The token that requests must send. An empty token is an error: it would protect nothing.
fn token(arguments: &ServeArguments) -> Result<Option<Token>, Failure> {
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
                let models = models.iter().map(ModelAnswer::of).collect();
                print_json(&Serving { address: address.to_string(), models });
            }
            warn(models);
        }
        Event::Answered { method, path, status, took } if log => {
            say(&format!("{method} {} {status} {} us", escaped(path), took.as_micros()));
        }
        Event::Failed { path, message } => say(&format!("error: {}: {message}", escaped(path))),
        Event::Reloaded { models } => {
            say(&format!("reloaded: {}", named(models)));
            warn(models);
        }
        Event::ReloadFailed { error } => {
            say(&format!("error: reload failed, the previous models are still served: {error}"));
        }
        Event::Draining { requests } => say(&format!("ending: {requests} requests are pending")),
        _ => {}
    }
}

/// Warns about models whose training is not finished.
fn warn(models: &[ServedModel]) {
    for model in models {
        for version in &model.unfinished {
            say(&format!(
                "warning: the training of {} ({version}) is not finished; serving its best checkpoint so far",
                model.name
            ));
        }
    }
}

/// The models, each with the version that answers by default.
fn named(models: &[ServedModel]) -> String {
    let one = |model: &ServedModel| {
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

/// The address of an IP address or host name.
fn address(text: &str) -> Result<IpAddr, String> {
    let found = (text, 0).to_socket_addrs().map_err(|error| error.to_string())?;
    let addresses: Vec<_> = found.map(|address| address.ip()).collect();
    // If a name has both kinds of address, prefer IPv4: more clients try it.
    addresses
        .iter()
        .find(|address| address.is_ipv4())
        .or(addresses.first())
        .copied()
        .ok_or("no address".into())
}

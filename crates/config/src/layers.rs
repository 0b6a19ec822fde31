//! The layers of an experiment: bases, the file, the environment, the command line. Later layers override earlier ones.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeValue;

use crate::document::{Document, read_file, syntax_fault};
use crate::keys::{Keys, ValueKind};
use crate::problem::{PRESET, nearest_keys, nearest_word, question};
use crate::reader::{LayerSource, Reader, ReaderState, SpannedValue, shown};
use crate::{ConfigFault, Origin, Patch, Problem, Source};

/// Prefix of the environment variables that set keys.
const PREFIX: &str = "KILN_";

/// Environment variables with the same prefix that the program itself reads. They do not set keys.
pub const RESERVED_VARIABLES: [&str; 4] = ["KILN_DATA_DIR", "KILN_ARTIFACTS", "KILN_LOG", "KILN_TOKEN"];

/// Built-in bases by their name in `extends`. They cannot collide with files, whose names end in `.toml`.
const PRESETS: [(&str, &str); 1] = [("tabular", include_str!("../../../configs/presets/tabular.toml"))];

/// The values of all layers.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    pub(crate) state: ReaderState,
    /// False if a text could not be read, so that its values are missing.
    pub(crate) complete: bool,
    rank: usize,
}

/// A file in a chain of `extends`.
struct ChainFile {
    name: String,
    text: String,
    /// Identifies the file; its folder is where relative bases are found.
    path: PathBuf,
}

impl Layers {
    /// Reads the file and its bases. Returns the file's own text.
    pub(crate) fn source(&mut self, source: &Source) -> String {
        self.complete = true;
        let chain = match first(source) {
            Ok(first) => self.chain(first),
            Err(fault) => {
                self.broken(Problem::new(None, fault));
                return String::new();
            }
        };
        for file in chain.iter().rev() {
            self.document(&Document::new(&file.name, &file.text));
        }
        chain.into_iter().next().map(|file| file.text).unwrap_or_default()
    }

    /// Reads a table from another file as a layer of its own.
    pub(crate) fn patch(&mut self, patch: &Patch<'_>) {
        self.rank += 1;
        let source = LayerSource::Text(patch.document);
        let keys = Keys::experiment();
        Reader { keys, source, rank: self.rank, state: &mut self.state }.document(patch.table);
    }

    /// Reads the environment variables that name keys.
    pub(crate) fn environment(&mut self, environment: &[(String, String)]) {
        self.rank += 1;
        for (variable, value) in environment {
            read_variable(&mut self.state, self.rank, variable, value);
        }
    }

    /// Reads `key=value` arguments.
    pub(crate) fn overrides(&mut self, overrides: &[String]) {
        self.rank += 1;
        for text in overrides {
            read_argument(Keys::experiment(), &mut self.state, self.rank, text);
        }
    }

    /// The file, its base, its base's base and so on.
    fn chain(&mut self, first: ChainFile) -> Vec<ChainFile> {
        let mut chain = vec![first];
        let mut seen = vec![identity(&chain[0].path)];
        while let Some(next) = chain.last().and_then(|file| self.base(file, &chain, &seen)) {
            seen.push(identity(&next.path));
            chain.push(next);
        }
        chain
    }

    fn base(&mut self, file: &ChainFile, chain: &[ChainFile], seen: &[PathBuf]) -> Option<ChainFile> {
        let document = Document::new(&file.name, &file.text);
        let table = document.table().ok()?;
        let (key, value) = table.iter().find(|(name, _)| name.get_ref() == "extends")?;
        let named = value.get_ref().as_str()?;
        if let Some((_, text)) = PRESETS.iter().find(|(preset, _)| *preset == named) {
            let name = format!("{PRESET}{named}");
            return Some(ChainFile { name, text: (*text).to_owned(), path: PathBuf::from(named) });
        }
        let path = file.path.parent().unwrap_or(Path::new("")).join(named);
        let fault = if seen.contains(&identity(&path)) {
            circle(chain, &path)
        } else {
            match read_file(&path) {
                Ok(text) => return Some(ChainFile { name: path.display().to_string(), text, path }),
                Err(fault) => as_base(fault),
            }
        };
        self.broken(Problem::new(document.origin(&key.span()), fault));
        None
    }

    fn document(&mut self, document: &Document<'_>) {
        self.rank += 1;
        match document.table() {
            Ok(mut table) => {
                let mut reader = Reader {
                    keys: Keys::experiment(),
                    source: LayerSource::Text(document),
                    rank: self.rank,
                    state: &mut self.state,
                };
                if let Some((name, value)) = table.remove_entry("extends") {
                    reader.extends(&name.span(), &value);
                }
                reader.document(&table);
            }
            Err(problems) => {
                self.complete = false;
                self.state.problems.extend(problems);
            }
        }
    }

    fn broken(&mut self, problem: Problem) {
        self.complete = false;
        self.state.problems.push(problem);
    }
}

impl Reader<'_> {
    /// Checks the type of `extends`. [`Layers::source`] has already followed it.
    fn extends(&mut self, span: &std::ops::Range<usize>, value: &SpannedValue<'_>) {
        if !matches!(value.get_ref(), DeValue::String(_)) {
            let fault = ConfigFault::WrongType {
                key: "extends".to_owned(),
                expected: "the path of a file, in quotes".to_owned(),
                found: shown(value.get_ref()),
                hint: String::new(),
            };
            self.report("extends", span, fault);
        }
    }
}

fn first(source: &Source) -> Result<ChainFile, ConfigFault> {
    Ok(match source {
        Source::File(path) => {
            ChainFile { name: path.display().to_string(), text: read_file(path)?, path: path.clone() }
        }
        Source::Text { name, text } => {
            ChainFile { name: name.clone(), text: text.clone(), path: PathBuf::new() }
        }
    })
}

/// Adds to the message about an unreadable file that `extends` names it.
fn as_base(mut fault: ConfigFault) -> ConfigFault {
    if let ConfigFault::Unreadable { role, .. } = &mut fault {
        *role = ", which `extends` names";
    }
    fault
}

fn circle(chain: &[ChainFile], path: &Path) -> ConfigFault {
    let names = chain.iter().map(|file| file.name.clone()).chain([path.display().to_string()]);
    ConfigFault::Circle { chain: names.collect::<Vec<_>>().join(" -> ") }
}

/// The same path for every way to write it. A file that does not exist keeps the path as written.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Reads `KILN_OPTIMIZER__LR`. Skips reserved variables and those of other programs.
fn read_variable(state: &mut ReaderState, rank: usize, variable: &str, value: &str) {
    let Some(rest) = variable.strip_prefix(PREFIX) else { return };
    if RESERVED_VARIABLES.contains(&variable) {
        return;
    }
    let path = rest.to_lowercase().replace("__", ".");
    let origin = Origin::Environment { variable: variable.to_owned() };
    let keys = Keys::experiment();
    if keys.find(&path).is_some() || keys.section(&path).is_some() || path == "extends" {
        return read_value(keys, state, rank, origin, &path, value);
    }
    let hint = question(&nearest_variable(variable, &path).into_iter().collect::<Vec<_>>());
    let fault = ConfigFault::UnknownVariable { variable: variable.to_owned(), hint };
    state.problems.push(Problem::new(origin, fault));
}

/// Reads `optimizer.lr=1e-3`.
pub(crate) fn read_argument(keys: &Keys, state: &mut ReaderState, rank: usize, text: &str) {
    let origin = Origin::CommandLine { text: text.to_owned() };
    match text.split_once('=').map(|(path, value)| (path.trim(), value)) {
        Some((path, value)) if !path.is_empty() => read_value(keys, state, rank, origin, path, value),
        _ => state.problems.push(Problem::new(origin, ConfigFault::Override)),
    }
}

fn read_value(keys: &Keys, state: &mut ReaderState, rank: usize, origin: Origin, path: &str, value: &str) {
    let mut reader = Reader { keys, source: LayerSource::Fixed(origin), rank, state };
    match parsed(keys, path, value.trim()) {
        Ok(found) => reader.entry(path, &(0..0), &found),
        Err(fault) => reader.report(path, &(0..0), fault),
    }
}

/// The value as TOML. Text that is not TOML stays text, and so does any value of a key that holds text.
fn parsed<'i>(keys: &Keys, path: &str, value: &'i str) -> Result<SpannedValue<'i>, ConfigFault> {
    let holds_text = keys.find(path).is_some_and(|key| key.field.kind == ValueKind::Text);
    let text = || Spanned::new(0..value.len(), DeValue::String(Cow::Borrowed(value)));
    match DeValue::parse(value) {
        Ok(found) if !holds_text || found.get_ref().is_str() => Ok(found),
        Err(error)
            if value.starts_with(if holds_text { &['"', '\''][..] } else { &['"', '\'', '[', '{'] }) =>
        {
            Err(syntax_fault(error.message(), value))
        }
        _ => Ok(text()),
    }
}

/// The variable that was probably meant: first by spelling, then by the key that its words resemble.
fn nearest_variable(variable: &str, path: &str) -> Option<String> {
    let names: Vec<String> = Keys::experiment().keys.iter().map(|key| variable_of(&key.path)).collect();
    let all = names.iter().map(String::as_str).chain(RESERVED_VARIABLES);
    // The common prefix makes any two variables look alike, so it is not compared.
    let rest = variable.trim_start_matches(PREFIX);
    let meant = nearest_keys(Keys::experiment(), path).first().map(|key| variable_of(key));
    let spelt = nearest_word(rest, all.map(|name| name.trim_start_matches(PREFIX)));
    spelt.map(|rest| format!("{PREFIX}{rest}")).or(meant)
}

/// `KILN_OPTIMIZER__LR` for `optimizer.lr`.
fn variable_of(path: &str) -> String {
    format!("{PREFIX}{}", path.replacen('.', "__", 1).to_uppercase())
}

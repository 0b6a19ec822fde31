//! The layers of an experiment, later over earlier: bases, the file, the environment, the command line.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use crate::document::Document;
use crate::keys::Keys;
use crate::reader::{Place, Reader};
use crate::setting::Findings;
use crate::{Fault, Patch, Problem, Source, file, given};

/// What the name of a built-in base begins with, as origins have it.
pub(crate) const PRESET: &str = "preset ";

/// Bases that are built in, by the name that `extends` gives them; a file is named with its ending.
const PRESETS: [(&str, &str); 1] = [("tabular", include_str!("../../../configs/presets/tabular.toml"))];

/// What all layers said.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    pub(crate) findings: Findings,
    /// False when a text could not be read at all, so that values are missing.
    pub(crate) complete: bool,
    rank: usize,
}

/// A file of the chain that `extends` makes.
struct Link {
    name: String,
    text: String,
    /// Where relative bases are looked for, and what tells this file from others.
    path: PathBuf,
}

impl Layers {
    /// Reads the file and its bases. Gives the file's own text.
    pub(crate) fn source(&mut self, source: &Source) -> String {
        self.complete = true;
        let chain = match first(source) {
            Ok(first) => self.chain(first),
            Err(fault) => {
                self.broken(Problem::new(None, fault));
                return String::new();
            }
        };
        for link in chain.iter().rev() {
            self.document(&Document::new(&link.name, &link.text));
        }
        chain.into_iter().next().map(|link| link.text).unwrap_or_default()
    }

    /// Reads a table of another file as a layer of its own.
    pub(crate) fn patch(&mut self, patch: &Patch<'_>) {
        self.rank += 1;
        let place = Place::Text(patch.document);
        let keys = Keys::experiment();
        Reader { keys, place, rank: self.rank, findings: &mut self.findings }.document(patch.table);
    }

    /// Reads variables as keys.
    pub(crate) fn environment(&mut self, environment: &[(String, String)]) {
        self.rank += 1;
        for (variable, value) in environment {
            given::variable(&mut self.findings, self.rank, variable, value);
        }
    }

    /// Reads `key=value` arguments.
    pub(crate) fn overrides(&mut self, overrides: &[String]) {
        self.rank += 1;
        for text in overrides {
            given::argument(Keys::experiment(), &mut self.findings, self.rank, text);
        }
    }

    /// The file, its base, its base's base and so on.
    fn chain(&mut self, first: Link) -> Vec<Link> {
        let mut chain = vec![first];
        let mut seen = vec![identity(&chain[0].path)];
        while let Some(next) = chain.last().and_then(|link| self.base(link, &chain, &seen)) {
            seen.push(identity(&next.path));
            chain.push(next);
        }
        chain
    }

    fn base(&mut self, link: &Link, chain: &[Link], seen: &[PathBuf]) -> Option<Link> {
        let document = Document::new(&link.name, &link.text);
        let table = document.table().ok()?;
        let (key, value) = table.iter().find(|(name, _)| name.get_ref() == "extends")?;
        let named = value.get_ref().as_str()?;
        if let Some((_, text)) = PRESETS.iter().find(|(preset, _)| *preset == named) {
            let name = format!("{PRESET}{named}");
            return Some(Link { name, text: (*text).to_owned(), path: PathBuf::from(named) });
        }
        let path = link.path.parent().unwrap_or(Path::new("")).join(named);
        let fault = if seen.contains(&identity(&path)) {
            circle(chain, &path)
        } else {
            match file::read(&path) {
                Ok(text) => return Some(Link { name: path.display().to_string(), text, path }),
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
                    place: Place::Text(document),
                    rank: self.rank,
                    findings: &mut self.findings,
                };
                if let Some((name, value)) = table.remove_entry("extends") {
                    reader.extends(&name.span(), &value);
                }
                reader.document(&table);
            }
            Err(problems) => {
                self.complete = false;
                self.findings.problems.extend(problems);
            }
        }
    }

    fn broken(&mut self, problem: Problem) {
        self.complete = false;
        self.findings.problems.push(problem);
    }
}

impl Reader<'_> {
    /// What a text names is followed elsewhere; anything but text is a mistake.
    fn extends(&mut self, span: &std::ops::Range<usize>, value: &crate::reader::Found<'_>) {
        if !matches!(value.get_ref(), DeValue::String(_)) {
            let fault = Fault::WrongType {
                key: "extends".to_owned(),
                expected: "the path of a file, in quotes".to_owned(),
                found: crate::shown::shown(value.get_ref()),
                hint: String::new(),
            };
            self.report("extends", span, fault);
        }
    }
}

fn first(source: &Source) -> Result<Link, Fault> {
    Ok(match source {
        Source::File(path) => {
            Link { name: path.display().to_string(), text: file::read(path)?, path: path.clone() }
        }
        Source::Text { name, text } => Link { name: name.clone(), text: text.clone(), path: PathBuf::new() },
    })
}

/// The message about a base that cannot be read says what named it.
fn as_base(mut fault: Fault) -> Fault {
    if let Fault::Unreadable { role, .. } = &mut fault {
        *role = ", which `extends` names";
    }
    fault
}

fn circle(chain: &[Link], path: &Path) -> Fault {
    let names = chain.iter().map(|link| link.name.clone()).chain([path.display().to_string()]);
    Fault::Circle { chain: names.collect::<Vec<_>>().join(" -> ") }
}

/// One path for all ways to write it; a file that is not there is known by what was written.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

//! `kiln schema`: the JSON that the program prints, as one vocabulary.

use kiln::Event;
use kiln_artifacts::{Comparison, RunSummary};
use kiln_config::Explanation;
use kiln_config::facts::Facts;
use kiln_data::Description;
use kiln_study::{Preview, Report, SearchReport, StudyStatus, Trace};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::bench::StepTimes;
use super::config::{CheckedExperiment, ShownExperiment};
use super::doctor::BackendCheck;
use super::evaluate::Evaluated;
use super::export::ExportedNetwork;
use super::new::NewExperiment;
use super::predict::Answer;
use super::predict_pictures::PredictedPictures;
use super::predict_table::PredictedTable;
use super::report::WrittenReport;
use super::resume::FinishedRun;
use super::runs::{DeletedRuns, ShownRun};
#[cfg(feature = "serve")]
use super::serve::Serving;
use super::session::{FailedRun, SessionEvent, TrainedRun};
use crate::failure::{Failed, Failure};
use crate::output::print_json;

/// The version of the JSON that the program prints. It is raised when a field goes or changes its meaning; a new field
/// does not raise it, so who reads an answer should pass over fields that it does not know.
const VERSION: u32 = 1;

/// Gives the schema of a type; what it refers to stays with the generator.
type Subschema = fn(&mut SchemaGenerator) -> schemars::Schema;

/// What stdout may hold with `--json`, by verb. Beside these, every verb may answer with an error.
const ANSWERS: &[(&str, &[Subschema])] = &[
    ("new", &[of::<NewExperiment<'static>>]),
    ("train", &[of::<TrainedRun<'static>>, of::<FailedRun>]),
    ("resume", &[of::<TrainedRun<'static>>, of::<FinishedRun>, of::<FailedRun>]),
    ("evaluate", &[of::<Evaluated<'static>>]),
    ("predict", &[of::<Vec<Answer>>, of::<PredictedTable<'static>>, of::<PredictedPictures<'static>>]),
    ("export", &[of::<ExportedNetwork>]),
    ("import", &[of::<TrainedRun<'static>>]),
    #[cfg(feature = "serve")]
    ("serve", &[of::<Serving<'static>>]),
    ("report", &[of::<WrittenReport<'static>>]),
    ("runs list", &[of::<Vec<RunSummary>>]),
    ("runs show", &[of::<ShownRun<'static>>]),
    ("runs compare", &[of::<Comparison>]),
    ("runs delete", &[of::<DeletedRuns<'static>>]),
    ("data", &[of::<Description>]),
    ("config check", &[of::<CheckedExperiment>]),
    ("config show", &[of::<ShownExperiment>]),
    ("config explain", &[of::<Vec<String>>, of::<Explanation>]),
    ("study", &[of::<Report>, of::<SearchReport>, of::<Preview>]),
    ("study status", &[of::<StudyStatus>]),
    ("trace", &[of::<Trace>]),
    ("bench", &[of::<StepTimes>]),
    ("doctor", &[of::<Vec<BackendCheck>>]),
];

/// What a line on stderr may be with `--ui json`.
const EVENTS: &[Subschema] = &[of::<Event>, of::<SessionEvent<'static>>];

const ERROR: &[Subschema] = &[of::<Failed>];

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> schemars::Schema {
    generator.subschema_for::<T>()
}

/// Prints the JSON Schema of every answer, or of that of one verb.
pub(crate) fn schema(verb: &[String]) -> Result<(), Failure> {
    if verb.is_empty() {
        print_json(&whole());
        return Ok(());
    }
    let verb = verb.iter().flat_map(|word| word.split_whitespace()).collect::<Vec<_>>().join(" ");
    let Some(schema) = one(&verb) else {
        let verbs = ANSWERS.iter().map(|(verb, _)| *verb).collect::<Vec<_>>().join(", ");
        return Err(Failure::usage(format!(
            "`{verb}` has no answer in JSON; these have: {verbs}; and there are `events` and `error`"
        )));
    };
    print_json(&schema);
    Ok(())
}

/// Every word that may follow `kiln schema`.
pub(crate) fn words() -> Vec<String> {
    let verbs = ANSWERS.iter().flat_map(|(verb, _)| verb.split(' ')).chain(["events", "error"]);
    let mut words: Vec<String> = verbs.map(str::to_owned).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The schema of all answers.
fn whole() -> Value {
    let mut generator = generator();
    let answers: Map<String, Value> =
        ANSWERS.iter().map(|(verb, options)| ((*verb).to_owned(), any(&mut generator, options))).collect();
    let (events, error) = (any(&mut generator, EVENTS), any(&mut generator, ERROR));
    let body = json!({ "answers": answers, "events": events, "error": error });
    let description = "`answers` has, by command, what is on stdout with `--json`; a command that fails may have `error` \
                       there instead. `events` is a line on stderr of a training with `--ui json`.";
    document("Answers of kiln", "urn:kiln:schema", description, body, generator)
}

/// The schema of what one verb prints, of `events` or of `error`.
fn one(verb: &str) -> Option<Value> {
    let mut generator = generator();
    let id = format!("urn:kiln:schema:{}", verb.replace(' ', "-"));
    let (title, description, options) = match verb {
        "events" => {
            let description = "A line on stderr of a training with `--ui json`.";
            ("Events of a training".to_owned(), description, EVENTS.to_vec())
        }
        "error" => {
            let description =
                "What is on stdout with `--json` where a command failed before it had an answer.";
            ("An error".to_owned(), description, ERROR.to_vec())
        }
        verb => {
            let (_, options) = ANSWERS.iter().find(|(name, _)| *name == verb)?;
            let description = "What is on stdout; the last option is that of an error.";
            (format!("kiln {verb} --json"), description, [options, ERROR].concat())
        }
    };
    let body = any(&mut generator, &options);
    Some(document(&title, &id, description, body, generator))
}

/// The schema of a value that is one of `options`.
fn any(generator: &mut SchemaGenerator, options: &[Subschema]) -> Value {
    let mut options: Vec<Value> = options.iter().map(|option| option(generator).to_value()).collect();
    match options.len() {
        1 => options.remove(0),
        _ => json!({ "anyOf": options }),
    }
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_serialize().into_generator()
}

/// A whole schema: `body` with what it refers to.
fn document(title: &str, id: &str, description: &str, body: Value, mut generator: SchemaGenerator) -> Value {
    let mut document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": id,
        "title": title,
        "description": description,
        "version": VERSION,
    });
    let fields = document.as_object_mut().expect("it was made as an object");
    if let Value::Object(body) = body {
        fields.extend(body);
    }
    fields.insert("$defs".to_owned(), Value::Object(generator.take_definitions(true)));
    Facts::strip(&mut document);
    unwrap_lines(&mut document);
    document
}

/// Descriptions are comments of the source, which has lines of its own.
fn unwrap_lines(node: &mut Value) {
    match node {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "description" => {
                        let paragraphs = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " "));
                        *text = paragraphs.collect::<Vec<_>>().join("\n\n");
                    }
                    value => unwrap_lines(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(unwrap_lines),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;
    use crate::arguments::Arguments;

    /// Every verb with the flag `--json`, below `command`.
    fn verbs(command: &Command, above: &str) -> Vec<String> {
        let mut found = Vec::new();
        for verb in command.get_subcommands() {
            let name = format!("{above} {}", verb.get_name()).trim_start().to_owned();
            if verb.get_arguments().any(|argument| argument.get_long() == Some("json")) {
                found.push(name.clone());
            }
            found.extend(verbs(verb, &name));
        }
        found
    }

    #[test]
    fn every_verb_with_json_has_its_answer_here() {
        let mut verbs = verbs(&Arguments::command(), "");
        let mut known: Vec<_> = ANSWERS.iter().map(|(verb, _)| (*verb).to_owned()).collect();
        verbs.sort_unstable();
        known.sort_unstable();
        assert_eq!(verbs, known);
    }

    #[test]
    fn types_have_names_of_their_own_and_descriptions_of_plain_text() {
        let whole = whole();
        for (name, schema) in whole["$defs"].as_object().unwrap() {
            assert!(!name.ends_with(|last: char| last.is_ascii_digit()), "two types are called {name}");
            assert!(schema["description"].is_string(), "{name} has no description");
        }
        let text = whole.to_string();
        for mark in ["[`", "](", "x-kiln"] {
            assert!(!text.contains(mark), "{mark}: {}", &text[text.find(mark).unwrap()..][..80]);
        }
    }
}

//! `kiln schema`: the JSON Schema of everything that the program prints as JSON.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use kiln::Event;
use kiln_artifacts::{RunComparison, RunSummary};
use kiln_config::Explanation;
use kiln_config::facts::Facts;
use kiln_data::DataDescription;
use kiln_study::{Preview, SearchReport, StudyStatus, Trace, TrialsReport};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::config::{ShownExperiment, ValidExperiment};
use super::evaluate::{Evaluated, ExportedNetwork};
use super::machine::{BackendCheck, StepTimes};
use super::new::NewExperiment;
use super::predict::PredictedFile;
use super::predict_csv::{PredictedPictures, PredictedTable};
use super::runs::{DeletedRuns, ShownRun, WrittenReport};
use super::schema_words;
#[cfg(feature = "serve")]
use super::serve::Serving;
use super::train::{FailedRun, FinishedRun, SessionEvent, TrainedRun};
use crate::failure::{Failed, Failure};
use crate::output::print_json;

#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {
    /// A command, such as `train` or `runs list`, `events` for the lines of `--ui json`, or `error`. Default: all of them.
    #[arg(add = ArgValueCompleter::new(schema_words))]
    pub(crate) verb: Vec<String>,
}

/// The version of the JSON output. A field that is removed or changes its meaning raises it. A new field does not, so
/// programs should ignore fields that they do not know.
const VERSION: u32 = 1;

/// Makes the schema of a type. Types that it refers to become definitions in the generator.
type Subschema = fn(&mut SchemaGenerator) -> schemars::Schema;

/// The possible outputs on stdout with `--json`, by command. Every command may also print an error.
const ANSWERS: &[(&str, &[Subschema])] = &[
    ("new", &[of::<NewExperiment<'static>>]),
    ("train", &[of::<TrainedRun<'static>>, of::<FailedRun>]),
    ("resume", &[of::<TrainedRun<'static>>, of::<FinishedRun>, of::<FailedRun>]),
    ("evaluate", &[of::<Evaluated<'static>>]),
    ("predict", &[of::<Vec<PredictedFile>>, of::<PredictedTable<'static>>, of::<PredictedPictures<'static>>]),
    ("export", &[of::<ExportedNetwork>]),
    ("import", &[of::<TrainedRun<'static>>]),
    #[cfg(feature = "serve")]
    ("serve", &[of::<Serving<'static>>]),
    ("report", &[of::<WrittenReport<'static>>]),
    ("runs list", &[of::<Vec<RunSummary>>]),
    ("runs show", &[of::<ShownRun<'static>>]),
    ("runs compare", &[of::<RunComparison>]),
    ("runs delete", &[of::<DeletedRuns<'static>>]),
    ("data", &[of::<DataDescription>]),
    ("config check", &[of::<ValidExperiment>]),
    ("config show", &[of::<ShownExperiment>]),
    ("config explain", &[of::<Vec<String>>, of::<Explanation>]),
    ("study", &[of::<TrialsReport>, of::<SearchReport>, of::<Preview>]),
    ("study status", &[of::<StudyStatus>]),
    ("trace", &[of::<Trace>]),
    ("bench", &[of::<StepTimes>]),
    ("doctor", &[of::<Vec<BackendCheck>>]),
];

/// The possible lines on stderr with `--ui json`.
const EVENTS: &[Subschema] = &[of::<Event>, of::<SessionEvent<'static>>];

const ERROR: &[Subschema] = &[of::<Failed>];

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> schemars::Schema {
    generator.subschema_for::<T>()
}

/// Prints the JSON Schema of all outputs, or of one command.
pub(crate) fn schema(verb: &[String]) -> Result<(), Failure> {
    if verb.is_empty() {
        print_json(&whole());
        return Ok(());
    }
    let verb = verb.iter().flat_map(|word| word.split_whitespace()).collect::<Vec<_>>().join(" ");
    let Some(schema) = one(&verb) else {
        let verbs = ANSWERS.iter().map(|(verb, _)| *verb).collect::<Vec<_>>().join(", ");
        return Err(Failure::usage(format!(
            "`{verb}` has no JSON output; choose one of: {verbs}, events, error"
        )));
    };
    print_json(&schema);
    Ok(())
}

/// The words that may follow `kiln schema`.
pub(crate) fn words() -> Vec<String> {
    let verbs = ANSWERS.iter().flat_map(|(verb, _)| verb.split(' ')).chain(["events", "error"]);
    let mut words: Vec<String> = verbs.map(str::to_owned).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The schema of all outputs.
fn whole() -> Value {
    let mut generator = generator();
    let answers: Map<String, Value> =
        ANSWERS.iter().map(|(verb, options)| ((*verb).to_owned(), any(&mut generator, options))).collect();
    let (events, error) = (any(&mut generator, EVENTS), any(&mut generator, ERROR));
    let body = json!({ "answers": answers, "events": events, "error": error });
    let description = "`answers` describes, by command, the output on stdout with `--json`. A command that fails may print \
                       `error` instead. `events` describes a line on stderr of a training with `--ui json`.";
    document("Output of kiln", "urn:kiln:schema", description, body, generator)
}

/// The schema of one command, of `events` or of `error`.
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
                "The output on stdout with `--json` of a command that failed before it had any other output.";
            ("An error".to_owned(), description, ERROR.to_vec())
        }
        verb => {
            let (_, options) = ANSWERS.iter().find(|(name, _)| *name == verb)?;
            let description = "The output on stdout; the last option is an error.";
            (format!("kiln {verb} --json"), description, [options, ERROR].concat())
        }
    };
    let body = any(&mut generator, &options);
    Some(document(&title, &id, description, body, generator))
}

/// The schema of a value that matches one of `options`.
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

/// A complete schema: `body` with its definitions.
fn document(title: &str, id: &str, description: &str, body: Value, mut generator: SchemaGenerator) -> Value {
    let mut document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": id,
        "title": title,
        "description": description,
        "version": VERSION,
    });
    let fields = document.as_object_mut().expect("json! made an object");
    if let Value::Object(body) = body {
        fields.extend(body);
    }
    fields.insert("$defs".to_owned(), Value::Object(generator.take_definitions(true)));
    Facts::strip(&mut document);
    unwrap_lines(&mut document);
    document
}

/// Joins the lines of each paragraph: descriptions are source comments with line breaks of their own.
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
    use crate::Arguments;

    /// Every command below `command` that has the flag `--json`.
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

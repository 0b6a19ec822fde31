//! Every answer in JSON against the schema that `kiln schema` prints for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;

use image::{GrayImage, Luma};
use serde_json::{Map, Value};

use crate::COSINE;
use crate::program::{Ended, TestFolder, json};

/// Runs commands and checks their JSON.
struct Checker {
    test_folder: TestFolder,
    schemas: RefCell<BTreeMap<String, JsonSchema>>,
}

impl Checker {
    fn new(experiment: &str) -> Self {
        Self { test_folder: TestFolder::new(experiment), schemas: RefCell::default() }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.test_folder.path().join(name), text).unwrap();
    }

    /// Runs `kiln VERB ARGUMENTS --json`, checks exit code and answer, and returns the answer.
    #[track_caller]
    fn asks(&self, verb: &str, arguments: &[&str], code: i32) -> Value {
        let ended = self.runs(verb, &[arguments, &["--json"]].concat(), code);
        let answer = json(&ended.stdout);
        self.allows(verb, &answer);
        answer
    }

    /// The same for a training. Also checks its events, and returns them.
    #[track_caller]
    fn trains(&self, verb: &str, arguments: &[&str], code: i32) -> Vec<Value> {
        let ended = self.runs(verb, &[arguments, &["--ui", "json", "--json"]].concat(), code);
        self.allows(verb, &json(&ended.stdout));
        let lines: Vec<&str> = ended.stderr.lines().collect();
        // A training that stopped or failed ends with a line of text.
        let events: Vec<Value> =
            lines.iter().filter(|line| code == 0 || line.starts_with('{')).map(|line| json(line)).collect();
        assert!(!events.is_empty(), "{}", ended.stderr);
        for event in &events {
            self.allows("events", event);
        }
        events
    }

    #[track_caller]
    fn runs(&self, verb: &str, arguments: &[&str], code: i32) -> Ended {
        let words: Vec<&str> = verb.split(' ').collect();
        self.test_folder.run(&[&words, arguments].concat()).expect(code)
    }

    #[track_caller]
    fn allows(&self, verb: &str, value: &Value) {
        let mut schemas = self.schemas.borrow_mut();
        let schema = schemas.entry(verb.to_owned()).or_insert_with(|| {
            JsonSchema::new(json(&self.test_folder.run(&["schema", verb]).expect(0).stdout))
        });
        let faults = schema.faults(value);
        assert!(faults.is_empty(), "{verb}:\n{}\nin {value:#}", faults.join("\n"));
    }
}

#[test]
fn one_schema_has_every_answer_and_each_can_be_had_alone() {
    let test_folder = TestFolder::new(COSINE);
    let whole = json(&test_folder.run(&["schema"]).expect(0).stdout);
    assert_eq!(whole["version"], 1);
    let answers = whole["answers"].as_object().unwrap();
    let verbs = answers.keys().map(String::as_str).chain(["events", "error"]);
    for verb in verbs {
        let words: Vec<&str> = verb.split(' ').collect();
        let one = json(&test_folder.run(&[&["schema"], &words[..]].concat()).expect(0).stdout);
        assert_eq!(one["version"], 1, "{verb}");
        assert_ne!(one["$id"], whole["$id"], "{verb}");
        for (name, schema) in one["$defs"].as_object().unwrap() {
            assert_eq!(*schema, whole["$defs"][name], "{verb}: {name}");
        }
        let text = one.to_string();
        for reference in text.split("#/$defs/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(one["$defs"][reference].is_object(), "{verb} lacks {reference}");
        }
    }
    for wrong in ["watch", "runs", "trian"] {
        let ended = test_folder.run(&["schema", wrong]).expect(2);
        ended.says(&[&format!("`{wrong}` has no JSON output"), "runs list", "config explain", "events"]);
    }
    for (words, other) in
        [(&["schema", "--help"][..], "kiln config schema"), (&["config", "schema", "--help"], "kiln schema")]
    {
        let help = test_folder.run(words).expect(0).stdout;
        assert!(help.contains(other), "{help}");
    }
}

#[test]
fn the_schema_allows_the_errors_of_every_command() {
    let checker = Checker::new(COSINE);
    let mistakes = [
        ("new", &["nosuch.csv"][..], 1),
        ("train", &["nosuch.toml"], 2),
        ("resume", &["nosuch"], 1),
        ("evaluate", &["nosuch"], 1),
        ("predict", &["nosuch", "one.png"], 1),
        ("export", &["nosuch"], 1),
        ("import", &["nosuch.pt"], 1),
        ("serve", &["nosuch"], 1),
        ("report", &["nosuch"], 1),
        ("runs list", &["--artifacts", "experiment.toml"], 1),
        ("runs show", &["nosuch"], 1),
        ("runs compare", &["nosuch", "neither"], 1),
        ("runs delete", &["nosuch", "--yes"], 1),
        ("data", &["nosuch.toml"], 2),
        ("config check", &["optimizer.lr=-1"], 2),
        ("config show", &["optimizer.nosuch=1"], 2),
        ("config explain", &["nosuch"], 2),
        ("study", &["nosuch.toml"], 2),
        ("study status", &["nosuch"], 1),
        ("trace", &["nosuch.toml"], 2),
        ("bench", &["nosuch.toml"], 2),
        ("doctor", &["--nosuch"], 2),
    ];
    let whole = json(&checker.test_folder.run(&["schema"]).expect(0).stdout);
    let verbs = mistakes.map(|(verb, ..)| verb);
    assert!(whole["answers"].as_object().unwrap().keys().all(|verb| verbs.contains(&verb.as_str())));
    for (verb, arguments, code) in mistakes {
        let answer = checker.asks(verb, arguments, code);
        assert_eq!(answer["error"]["exit_code"], code, "{verb}: {answer}");
        checker.allows("error", &answer);
    }
}

#[test]
fn the_schema_allows_the_answers_about_runs() {
    let checker = Checker::new(COSINE);
    assert_eq!(checker.asks("runs list", &[], 0), Value::Array(Vec::new()));
    let events = checker.trains("train", &["experiment.toml", "training.epochs=2"], 0);
    for kind in ["notice", "started", "interval", "epoch", "stopped", "test"] {
        assert!(events.iter().any(|event| event["event"] == kind), "{kind} is missing: {events:?}");
    }
    assert!(checker.asks("resume", &["latest"], 0)["test"].is_object());
    let stopped = checker.trains("train", &["experiment.toml", "training.max_time=1e-6"], 130);
    assert!(stopped.iter().any(|event| event["stop_reason"] == "max_time"), "{stopped:?}");
    checker.trains("resume", &["latest", "training.max_time=600"], 0);
    let blow_up = ["experiment.toml", "optimizer.name=sgd", "optimizer.lr=1e9"];
    let failed = checker.trains("train", &blow_up, 1);
    assert!(failed.iter().any(|event| event["event"] == "finding"), "{failed:?}");
    for run in checker.asks("runs list", &[], 0).as_array().unwrap() {
        checker.asks("runs show", &[run["run"].as_str().unwrap()], 0);
    }
    let runs = checker.test_folder.runs();
    let [first, second, third] = [0, 1, 2].map(|index| runs[index].text());
    checker.asks("runs compare", &[first, second, third], 0);
    let tested = runs.iter().find(|run| run.status()["test"].is_object()).unwrap();
    checker.asks("evaluate", &[tested.text(), "--split", "train"], 0);
    checker.asks("report", &[tested.text()], 0);
    checker.asks("export", &[tested.text()], 0);
    GrayImage::from_fn(8, 8, |x, y| Luma([(x * y * 4) as u8]))
        .save(checker.test_folder.path().join("one.png"))
        .unwrap();
    checker.write("broken.png", "nothing");
    let asked = [tested.text(), "one.png", "broken.png", "--seen", "seen"];
    assert!(checker.asks("predict", &asked, 1)[1]["error"].is_string());
    checker.asks("predict", &[tested.text(), "one.png", "broken.png", "--output", "answers.csv"], 0);
    // An unreadable run is listed.
    fs::write(runs[0].file("status.json"), "{").unwrap();
    assert!(checker.asks("runs list", &[], 0).to_string().contains("damaged"));
    let deleted = checker.asks("runs delete", &[second, third, "--yes"], 0);
    assert_eq!(deleted["deleted"].as_array().unwrap().len(), 2);
    assert!(runs[0].path().exists() && !runs[1].path().exists() && !runs[2].path().exists());
}

/// Weights so large that the loss is infinite, in a run that ends before any other number becomes non-finite.
#[test]
fn what_is_not_finite_is_null_and_the_schema_allows_it() {
    let checker = Checker::new("");
    let changes = [
        "loss.name=mse",
        "optimizer.name=sgd",
        "optimizer.lr=1e19",
        "model.hidden=[]",
        "training.epochs=1",
        "training.batch_size=2000",
    ];
    let events = checker.trains("train", &changes, 0);
    let test = events.iter().find(|event| event["event"] == "test").unwrap();
    assert!(test["test"]["loss"].is_null(), "{test}");
    let shown = checker.asks("runs show", &["latest"], 0);
    assert!(
        shown["status"]["test"]["loss"].is_null() && shown["status"]["best"]["value"].is_null(),
        "{shown:#}"
    );
    checker.asks("runs list", &[], 0);
    checker.asks("runs compare", &["latest", "latest"], 0);
    assert!(checker.asks("evaluate", &["latest"], 0)["metrics"]["loss"].is_null());
}

#[test]
fn the_schema_allows_the_answers_about_experiments_and_this_machine() {
    let checker = Checker::new(COSINE);
    checker.asks("data", &["experiment.toml"], 0);
    checker.asks("data", &["data.source=fashion-mnist"], 0);
    checker.asks("config check", &["experiment.toml"], 0);
    checker.write("tabular.toml", "extends = \"tabular\"\nname = \"t\"\n[data]\nsource = \"csv\"\npath = \"t.csv\"\nlabel_column = -1\n");
    for file in ["experiment.toml", "tabular.toml"] {
        checker.asks("config show", &[file], 0);
    }
    for asked in [&[][..], &["optimizer"], &["optimizer.name"], &["extends"]] {
        checker.asks("config explain", asked, 0);
    }
    checker.asks("bench", &["experiment.toml", "--steps", "20"], 0);
    checker.asks("doctor", &[], 0);
    for example in ["backpropagation", "dropout"] {
        let file = format!("{}/../../configs/worked/{example}.toml", env!("CARGO_MANIFEST_DIR"));
        checker.asks("trace", &[&file], 0);
    }
}

/// Two classes that overlap, the second rarer; columns of every kind.
fn patients() -> String {
    let row = |row: u32| {
        let sick = row % 4 == 1;
        let marker = (f64::from(row) * 1.3).sin() + if sick { 1.2 } else { 0.0 };
        let marker = if row % 17 == 3 { String::new() } else { format!("{marker:.4}") };
        let (ward, class) = (["north", "south", "east"][row as usize % 3], if sick { "yes" } else { "no" });
        let (month, day) = (row % 12 + 1, row % 28 + 1);
        format!("P-{row:04},{marker},{ward},{},2024-{month:02}-{day:02},same,{class}\n", row % 5 < 2)
    };
    "patient,marker,ward,smokes,admitted,hospital,sick\n".to_owned() + &(0..400).map(row).collect::<String>()
}

#[test]
fn the_schema_allows_the_answers_about_tables() {
    let checker = Checker::new("");
    checker.write("patients.csv", &patients());
    checker.asks("new", &["patients.csv", "--label", "sick"], 0);
    checker.asks("data", &["patients.toml"], 0);
    let quick = ["patients.toml", "training.epochs=3", "evaluation.decision=recall", "evaluation.wished=0.9"];
    checker.trains("train", &quick, 0);
    let metrics = &checker.asks("evaluate", &["latest"], 0)["metrics"];
    for part in ["calibration", "threshold", "baselines", "intervals", "accuracy_of_probable"] {
        assert!(!metrics[part].is_null(), "{part} is missing: {metrics:#}");
    }
    let table = patients();
    let rows: Vec<&str> = table.lines().take(5).map(|row| row.rsplit_once(',').unwrap().0).collect();
    checker.write("rows.csv", &(rows.join("\n") + "\nP-1,2\nP-2,9,west,true,2024-01-01,same\n"));
    checker.asks("predict", &["latest", "rows.csv", "--output", "answers.csv"], 0);
    checker.write("rows.csv", &(rows.join("\n") + "\n"));
    checker.asks("predict", &["latest", "rows.csv"], 0);
}

#[test]
fn the_schema_allows_the_answers_of_studies() {
    let checker =
        Checker::new("name = \"base\"\n[data]\nlimit = 300\n[model]\nhidden = [8]\n[training]\nepochs = 3\n");
    let study = r#"
        name = "small"
        base = "experiment.toml"
        seeds = [0, 1]
        [[trial]]
        name = "plain"
        [[trial]]
        name = "linear"
        overrides = { model.activation = "identity" }
        [[trial]]
        name = "wild"
        overrides = { optimizer.name = "sgd", optimizer.lr = 1e30 }
        [[expect]]
        trial = "plain"
        source = "test"
        figures = { test_accuracy = 0.5 }
        tolerance = 0.5
        [[expect]]
        trial = "wild"
        source = "test"
        verdict = "exploding"
        must_hold = false
    "#;
    checker.write("study.toml", study);
    let answer = checker.asks("study", &["study.toml", "--ui", "none"], 0);
    let trials = answer["trials"].as_array().unwrap();
    assert!(trials.iter().any(|trial| trial["seeds"][0]["collapse"].is_object()), "{answer:#}");
    assert!(trials.iter().any(|trial| trial["test"].is_array()), "{answer:#}");
    assert!(trials.iter().any(|trial| trial["seeds"][0]["state"] == "failed"), "{answer:#}");
    checker.asks("study", &["study.toml", "--dry-run"], 0);
    checker.asks("study status", &["small"], 0);
}

#[test]
fn the_schema_allows_the_answers_of_searches() {
    let checker = Checker::new(
        "name = \"base\"\n[data]\nlimit = 300\n[model]\nhidden = [8]\n[optimizer]\nlr = 1e-6\n[training]\nepochs = 3\n",
    );
    let search = "name = \"tune\"\nbase = \"experiment.toml\"\n[search]\ntrials = 14\nhalving = { min_epochs = 1 }\n\
                  [search.space]\noptimizer.lr = { min = 1e-4, max = 1e30, log = true }\n";
    checker.write("study.toml", search);
    checker.asks("study", &["study.toml", "--dry-run"], 0);
    let answer = checker.asks("study", &["study.toml", "--ui", "none"], 0);
    assert!(
        answer["winner"]["gain"].is_number() && answer["importance"][0]["share"].is_number(),
        "{answer:#}"
    );
    assert!(
        answer["trials"].as_array().unwrap().iter().any(|trial| trial["error"].is_string()),
        "{answer:#}"
    );
    checker.asks("study status", &["tune"], 0);
}

/// Keywords that restrict nothing. `pattern` occurs only for experiment files, which other tests check.
const EXPLAINING: [&str; 11] = [
    "$schema",
    "$id",
    "$defs",
    "title",
    "description",
    "version",
    "default",
    "format",
    "pattern",
    "events",
    "examples",
];

/// A schema with its definitions, and a validator for it.
///
/// The validators on crates.io would enable other features of libraries that Burn uses, so that the tests would compile Burn
/// again. This one is stricter than the standard: an object with named fields allows no others, and an unknown keyword is a
/// fault.
struct JsonSchema(Value);

impl JsonSchema {
    fn new(schema: Value) -> Self {
        Self(schema)
    }

    /// All faults of `value`, each with its path.
    fn faults(&self, value: &Value) -> Vec<String> {
        self.check(&self.0, value, "")
    }

    fn check(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let rules = match schema {
            Value::Bool(true) => return Vec::new(),
            Value::Object(rules) => rules,
            other => return vec![format!("{at}: {other} is not a schema")],
        };
        rules.iter().flat_map(|(keyword, rule)| self.keyword(keyword, rule, rules, value, at)).collect()
    }

    fn keyword(
        &self,
        keyword: &str,
        rule: &Value,
        rules: &Map<String, Value>,
        value: &Value,
        at: &str,
    ) -> Vec<String> {
        let unless = |holds: bool| {
            if holds { Vec::new() } else { vec![format!("{at}: {keyword} {rule} does not allow {value}")] }
        };
        let number = |compare: fn(f64, f64) -> bool| {
            unless(value.as_f64().is_none_or(|value| compare(value, rule.as_f64().unwrap())))
        };
        let length = value.as_array().map(|values| values.len() as u64);
        match keyword {
            _ if EXPLAINING.contains(&keyword) => Vec::new(),
            "$ref" => self.check(self.definition(rule.as_str().unwrap()), value, at),
            "type" => match rule {
                Value::Array(names) => unless(names.iter().any(|name| is_of_type(value, name))),
                name => unless(is_of_type(value, name)),
            },
            "const" => unless(value == rule),
            "enum" => unless(rule.as_array().unwrap().contains(value)),
            "anyOf" | "oneOf" => self.options(keyword, rule.as_array().unwrap(), value, at),
            "minimum" => number(|value, bound| value >= bound),
            "maximum" => number(|value, bound| value <= bound),
            "exclusiveMinimum" => number(|value, bound| value > bound),
            "exclusiveMaximum" => number(|value, bound| value < bound),
            "minItems" => unless(length.is_none_or(|length| length >= rule.as_u64().unwrap())),
            "maxItems" => unless(length.is_none_or(|length| length <= rule.as_u64().unwrap())),
            "minLength" => {
                unless(value.as_str().is_none_or(|text| text.len() as u64 >= rule.as_u64().unwrap()))
            }
            "required" => {
                let names = rule.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                unless(
                    value
                        .as_object()
                        .is_none_or(|fields| names.into_iter().all(|name| fields.contains_key(name))),
                )
            }
            // Checked together with `properties`.
            "additionalProperties" | "patternProperties" if rules.contains_key("properties") => Vec::new(),
            "properties" | "additionalProperties" | "patternProperties" => self.fields(rules, value, at),
            "items" | "prefixItems" => self.entries(rules, value, at),
            _ => vec![format!("{at}: the keyword {keyword} is unknown to this test")],
        }
    }

    fn definition(&self, reference: &str) -> &Value {
        self.0
            .pointer(reference.strip_prefix('#').unwrap())
            .unwrap_or_else(|| panic!("{reference} is missing"))
    }

    /// Checks that `value` matches one of `options`. If not, returns the faults by the closest option.
    fn options(&self, keyword: &str, options: &[Value], value: &Value, at: &str) -> Vec<String> {
        let found: Vec<Vec<String>> = options.iter().map(|option| self.check(option, value, at)).collect();
        match found.iter().filter(|faults| faults.is_empty()).count() {
            0 => {
                let of_other_type = format!("{at}: type");
                let is_other =
                    |faults: &[String]| faults.iter().any(|fault| fault.starts_with(&of_other_type));
                found.into_iter().min_by_key(|faults| (is_other(faults), faults.len())).unwrap_or_default()
            }
            1 => Vec::new(),
            _ if keyword == "anyOf" => Vec::new(),
            _ => vec![format!("{at}: several of {keyword} allow {value}")],
        }
    }

    fn fields(&self, rules: &Map<String, Value>, value: &Value, at: &str) -> Vec<String> {
        let Value::Object(fields) = value else { return Vec::new() };
        let check = |(name, value): (&String, &Value)| {
            let at = format!("{at}/{name}");
            let numbered = rules.get("patternProperties").and_then(|rules| rules.get(r"^\d+$"));
            let by_number = numbered.filter(|_| name.chars().all(|letter| letter.is_ascii_digit()));
            let by_name = rules.get("properties").and_then(|rules| rules.get(name));
            match by_name.or(by_number).or(rules.get("additionalProperties")) {
                None | Some(Value::Bool(false)) => vec![format!("{at} is not described")],
                Some(rule) => self.check(rule, value, &at),
            }
        };
        fields.iter().flat_map(check).collect()
    }

    fn entries(&self, rules: &Map<String, Value>, value: &Value, at: &str) -> Vec<String> {
        let Value::Array(values) = value else { return Vec::new() };
        let first = rules.get("prefixItems").and_then(Value::as_array);
        let rule = |index: usize| first.and_then(|rules| rules.get(index)).or(rules.get("items"));
        let check = |(index, value): (usize, &Value)| match rule(index) {
            Some(rule) => self.check(rule, value, &format!("{at}/{index}")),
            None => vec![format!("{at}/{index} is not described")],
        };
        values.iter().enumerate().flat_map(check).collect()
    }
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is not a type"),
    }
}

#[test]
fn what_a_schema_does_not_describe_is_a_fault() {
    let schema = JsonSchema::new(serde_json::json!({
        "anyOf": [{ "$ref": "#/$defs/Run" }, { "type": "null" }],
        "$defs": { "Run": {
            "type": "object",
            "properties": {
                "loss": { "type": ["number", "null"] },
                "top": { "type": "array", "prefixItems": [{ "type": "string" }], "minItems": 1, "maxItems": 1 },
                "state": { "enum": ["done"] },
            },
            "required": ["loss"],
        } },
    }));
    let faults = |text: &str| schema.faults(&serde_json::from_str(text).unwrap());
    for right in [r#"{"loss":null}"#, "null", r#"{"loss":1.5,"top":["a"],"state":"done"}"#] {
        assert_eq!(faults(right), Vec::<String>::new(), "{right}");
    }
    for (wrong, place) in [
        (r#"{"loss":"high"}"#, "/loss"),
        (r#"{"loss":1,"more":2}"#, "/more"),
        (r#"{"loss":1,"top":["a","b"]}"#, "/top"),
        (r#"{"loss":1,"top":[1]}"#, "/top/0"),
        (r#"{"loss":1,"state":"else"}"#, "/state"),
        ("{}", "required"),
    ] {
        assert!(faults(wrong).iter().any(|fault| fault.contains(place)), "{wrong}: {:?}", faults(wrong));
    }
}

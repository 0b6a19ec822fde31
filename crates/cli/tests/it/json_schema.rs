//! Checks JSON against the schemas that `kiln schema` prints. A validator of its own: those of crates.io ask libraries
//! beneath Burn for other features, with which the tests would build Burn anew.
//!
//! Stricter than the standard: an object that names its fields has no others, and a keyword that is unknown here is a fault.

use serde_json::{Map, Value};

/// Keywords that explain and allow nothing; the texts of patterns are those of experiment files, checked elsewhere.
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

/// A schema with its definitions.
pub(crate) struct JsonSchema(Value);

impl JsonSchema {
    pub(crate) fn new(schema: Value) -> Self {
        Self(schema)
    }

    /// Everything that is wrong with `value`, each with where.
    pub(crate) fn faults(&self, value: &Value) -> Vec<String> {
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
            // Where fields have names, they are checked together.
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

    /// One of `options`; if none, the faults by the one that comes nearest.
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

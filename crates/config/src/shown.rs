//! A value that was given, as messages show it.

use toml::Value;
use toml::de::DeValue;

use crate::document::excerpt;
use crate::kind::Kind;
use crate::literal::literal;
use crate::value::float;

/// The same value as `kind` would have it, where there is one: `[256]` for `256`, `0.1` for `"0.1"`.
pub(crate) fn conversion(kind: &Kind, value: &DeValue<'_>) -> Option<String> {
    match (kind, value) {
        (Kind::List(element, None), value) if conversion_of_itself(element, value) => {
            Some(format!("[{}]", shown(value)))
        }
        (Kind::Number, DeValue::String(text)) => text.parse::<f64>().ok().map(|_| excerpt(text)),
        (Kind::Integer, DeValue::String(text)) => text.parse::<i64>().ok().map(|_| excerpt(text)),
        (Kind::Integer, DeValue::Float(number)) => {
            let number = float(number);
            (number.fract() == 0.0 && number.abs() < 1e15).then(|| format!("{number}"))
        }
        (Kind::Boolean, DeValue::String(text)) => {
            text.to_lowercase().parse::<bool>().ok().map(|switch| switch.to_string())
        }
        (Kind::Text, DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)) => {
            Some(format!("\"{}\"", shown(value)))
        }
        _ => None,
    }
}

/// Whether `value` is what `kind` asks for already.
fn conversion_of_itself(kind: &Kind, value: &DeValue<'_>) -> bool {
    match kind {
        Kind::Either(kinds) => kinds.iter().any(|kind| conversion_of_itself(kind, value)),
        Kind::Integer => value.is_integer(),
        Kind::Number => value.is_integer() || value.is_float(),
        Kind::Text => value.is_str(),
        _ => false,
    }
}

/// The value as a message shows it: short, on one line.
#[must_use]
pub fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => literal(&Value::String(excerpt(text))),
        DeValue::Integer(number) => excerpt(&number.to_string()),
        DeValue::Float(number) => excerpt(&number.to_string()),
        DeValue::Boolean(switch) => switch.to_string(),
        DeValue::Datetime(time) => format!("the date {time}"),
        DeValue::Array(values) => match values.len() {
            0 => "an empty list".to_owned(),
            _ if values.iter().all(|value| !value.get_ref().is_array() && !value.get_ref().is_table()) => {
                let parts: Vec<String> = values.iter().take(20).map(|value| shown(value.get_ref())).collect();
                format!("the list [{}]", excerpt(&parts.join(", ")))
            }
            _ => "a list".to_owned(),
        },
        DeValue::Table(table) => {
            let names: Vec<String> =
                table.iter().take(20).map(|(name, _)| name.get_ref().to_string()).collect();
            format!("a table with {}", excerpt(&names.join(", ")))
        }
    }
}

//! Values written as TOML, each on one line.

use toml::Value;

/// The value as TOML source. Floats keep all their digits and no more: `1e-8`, `0.1`, `1.0`.
pub(crate) fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => float(*number),
        Value::Boolean(switch) => switch.to_string(),
        Value::Datetime(time) => time.to_string(),
        Value::Array(values) => {
            format!("[{}]", values.iter().map(literal).collect::<Vec<_>>().join(", "))
        }
        Value::Table(table) => {
            let fields: Vec<String> =
                table.iter().map(|(name, value)| format!("{} = {}", key(name), literal(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
    }
}

/// TOML has `nan` where Rust writes `NaN`; the rest of Rust's shortest form is TOML.
fn float(number: f64) -> String {
    if number.is_nan() { "nan".to_owned() } else { format!("{number:?}") }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if bare { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

fn escaped(letter: char) -> String {
    match letter {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        letter if letter.is_control() => format!("\\u{:04X}", u32::from(letter)),
        letter => letter.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_reads_back_as_the_value_that_it_was() {
        let source = "a = [1e-8, 0.1, 1e300, -0.0, 3.0, inf]\nb = \"q\\\" \\\\ \\n \\t \\u0007 é \\u0085\"\n\
                      c = [{ d = true, \"e f\" = 1979-05-27, \"\" = -9223372036854775808 }]\n";
        let table: toml::Table = source.parse().unwrap();
        let lines: Vec<String> =
            table.iter().map(|(name, value)| format!("{name} = {}", literal(value))).collect();
        let written = lines.join("\n");
        assert_eq!(written.parse::<toml::Table>().unwrap(), table, "{written}");
        assert_eq!(written.lines().count(), 3);
    }
}

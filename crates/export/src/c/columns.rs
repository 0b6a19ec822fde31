//! The row of a table in C, and its way to features.

use std::fmt::Write;

use kiln_table::{Preparation, Scale, Treatment};

use super::{Code, comment, line, string};
use crate::onnx::ColumnKind;

/// The names of the fields, in the order of the columns that are used: each a C identifier of its own.
pub(super) fn fields(preparation: &Preparation) -> Vec<String> {
    let mut fields: Vec<String> = Vec::new();
    for (column, _) in preparation.used() {
        let letters =
            column.name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' });
        let name: String = letters.collect();
        // No name of C's begins with this.
        let name = format!("v_{name}");
        let taken =
            fields.iter().filter(|field| **field == name || field.starts_with(&format!("{name}__"))).count();
        fields.push(if taken == 0 { name } else { format!("{name}__{taken}") });
    }
    fields
}

/// `kiln_row`, and `kiln_features` of it.
pub(super) fn features(code: &mut Code, preparation: &Preparation) {
    let fields = fields(preparation);
    line!(code, "/* A row of the table. */\ntypedef struct {{");
    for ((column, treatment), field) in preparation.used().zip(&fields) {
        let name = comment(&column.name);
        match ColumnKind::of(treatment) {
            ColumnKind::Numbers => line!(code, "  double {field}; /* {name}; NAN where there is none */"),
            ColumnKind::Days => {
                line!(
                    code,
                    "  double {field}; /* {name}: days since 1970-01-01, the time as a fraction; NAN for none */"
                );
            }
            ColumnKind::Words => line!(code, "  const char *{field}; /* {name}; \"\" where there is none */"),
        }
    }
    line!(code, "}} kiln_row;\n");
    let missing: Vec<String> = preparation.missing_words().map(string).collect();
    line!(code, "static const char *const kiln_missing[] = {{{}}};\n", missing.join(", "));
    line!(code, "static inline void kiln_features(const kiln_row *row, float *features) {{");
    let mut at = 0;
    for ((_, treatment), field) in preparation.used().zip(&fields) {
        of_column(code, preparation, treatment, field, missing.len(), at);
        at += treatment.features();
    }
    line!(code, "}}\n");
}

fn of_column(
    code: &mut Code,
    preparation: &Preparation,
    treatment: &Treatment,
    field: &str,
    missing: usize,
    at: usize,
) {
    line!(code, "  {{");
    let kind = ColumnKind::of(treatment);
    if kind == ColumnKind::Words {
        line!(code, "    const char *word = row->{field};");
    } else {
        line!(code, "    double value = row->{field};");
    }
    let spoken = match treatment {
        Treatment::Category { values, .. } => values.clone(),
        Treatment::Boolean { no, yes, .. } => vec![no.clone(), yes.clone()],
        Treatment::Number { .. } | Treatment::Date { .. } => Vec::new(),
    };
    match kind {
        ColumnKind::Words => {
            let words: Vec<String> = spoken.iter().map(|word| string(word)).collect();
            line!(code, "    static const char *const words[] = {{{}}};", words.join(", "));
        }
        ColumnKind::Days => {}
        ColumnKind::Numbers => {
            let numbers = preparation.missing.iter().filter_map(|text| text.parse::<f64>().ok());
            for number in numbers.filter(|number| number.is_finite()) {
                line!(code, "    if (value == {number:e}) value = NAN;");
            }
        }
    }
    let is_word = |which: usize| match (treatment, kind) {
        (_, ColumnKind::Numbers) => format!("value == {}", spoken[which]),
        (Treatment::Boolean { .. }, _) => format!("kiln_same_word(word, words[{which}])"),
        _ => format!("code == {which}"),
    };
    let none = match kind {
        ColumnKind::Words => {
            let count = spoken.len();
            line!(code, "    int code = kiln_find(word, words, {count});");
            format!("code < 0 && kiln_find(word, kiln_missing, {missing}) >= 0")
        }
        ColumnKind::Numbers | ColumnKind::Days => "kiln_is_none(value)".to_owned(),
    };
    let mut place = at;
    match treatment {
        Treatment::Number { scale, .. } => {
            scaled(code, "value", scale, place);
            place += 1;
        }
        Treatment::Boolean { fill, .. } => {
            let fill = super::float(*fill as f32);
            line!(code, "    features[{place}] = {} ? 1.0f : {} ? 0.0f : {fill};", is_word(1), is_word(0));
            place += 1;
        }
        Treatment::Category { values, .. } => {
            for which in 0..values.len() {
                line!(code, "    features[{place}] = {} ? 1.0f : 0.0f;", is_word(which));
                place += 1;
            }
        }
        Treatment::Date { parts, .. } => {
            line!(code, "    double parts[7];\n    kiln_date(value, parts);");
            for part in parts {
                let names = ["year", "month", "day", "weekday", "hour", "minute"];
                let from = names.iter().position(|name| *name == part.name).unwrap_or(names.len());
                scaled(code, &format!("parts[{from}]"), &part.scale, place);
                place += 1;
            }
        }
    }
    if place < at + treatment.features() {
        line!(code, "    features[{place}] = {none} ? 1.0f : 0.0f;");
    }
    line!(code, "  }}");
}

fn scaled(code: &mut Code, value: &str, scale: &Scale, place: usize) {
    let Scale { median, offset, spread, clipped, knots, .. } = scale;
    let number = |number: f64| if number.is_nan() { "NAN".to_owned() } else { format!("{number:e}") };
    let median = number(*median);
    if *spread == 0.0 {
        line!(code, "    (void){value};\n    features[{place}] = 0.0f;");
    } else if knots.len() >= 2 {
        let count = knots.len();
        let all: Vec<String> = knots.iter().map(|knot| number(*knot)).collect();
        line!(code, "    static const double knots_{place}[{count}] = {{{}}};", all.join(", "));
        line!(code, "    features[{place}] = kiln_place({value}, {median}, knots_{place}, {count});");
    } else {
        let clip = if *clipped { Scale::CLIP } else { 0.0 };
        let (offset, spread) = (number(*offset), number(*spread));
        line!(code, "    features[{place}] = kiln_scaled({value}, {median}, {offset}, {spread}, {clip:e});");
    }
}

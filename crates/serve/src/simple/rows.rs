//! Rows of a table as JSON objects: one, a list of them, or `{"rows": [...]}`.

use std::borrow::Cow;
use std::fmt;

use kiln_data::GivenRows;
use kiln_table::{RowValue, listed, quoted};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::body::{Received, content_type, wrong_type};
use crate::model::{Columns, Model, Takes};
use crate::protocol::check_rows;
use crate::refusal::Refusal;
use crate::simple::answers::Batch;

/// What stands at a place in the JSON.
enum Item<'a> {
    Null,
    Boolean(bool),
    Number(f64),
    Text(Cow<'a, str>),
    List(Vec<Item<'a>>),
    Object(Vec<(Cow<'a, str>, Item<'a>)>),
}

/// The rows in the body, `most` at most.
///
/// # Errors
/// Where the body is not JSON, there are too many rows, or none can be answered. One that cannot keeps none of the others.
pub(crate) fn read(model: &Model, received: &Received, most: usize) -> Result<Batch, Refusal> {
    let Takes::Rows(columns) = &model.takes else { unreachable!("the network takes rows") };
    let kind = content_type(&received.parts.headers);
    if !matches!(&*kind, "" | "application/json") {
        return Err(wrong_type("application/json with the rows of a table", &kind));
    }
    let item: Item<'_> = serde_json::from_slice(&received.body)
        .map_err(|error| Refusal::bad(format!("the body is not JSON: {error}")))?;
    let items = rows_of(item)?;
    check_rows(items.len(), most)?;
    let mut given = GivenRows::new(&columns.preparation);
    let rows = items.iter().map(|item| push(&mut given, columns, item)).collect();
    let (split, remarks) = given.finish();
    Batch::new(rows, split, Some(remarks))
}

fn rows_of(item: Item<'_>) -> Result<Vec<Item<'_>>, Refusal> {
    match item {
        Item::List(items) => Ok(items),
        Item::Object(mut entries) => {
            let rows =
                entries.iter().position(|(name, item)| name == "rows" && matches!(item, Item::List(_)));
            match rows.map(|at| entries.swap_remove(at).1) {
                Some(Item::List(items)) => Ok(items),
                _ => Ok(vec![Item::Object(entries)]),
            }
        }
        other => {
            let expected = "a row as an object, a list of rows, or {\"rows\": [...]}";
            Err(Refusal::at("the body", expected, other.kind()))
        }
    }
}

/// Adds a row to `given`: gives what is not known of it, or what is wrong with it.
fn push(given: &mut GivenRows, columns: &Columns, item: &Item<'_>) -> Result<Vec<String>, String> {
    let Item::Object(entries) = item else {
        return Err(format!("expected a row as an object, found {}", item.kind()));
    };
    let mut values: Vec<Option<RowValue<'_>>> = vec![None; columns.used.len()];
    for (name, item) in entries {
        // There may be others, as there may be in a file.
        let Some(number) = columns.number(name) else { continue };
        let value = item.value().ok_or_else(|| {
            let column = quoted(name);
            format!("column {column}: expected a number, a string, a boolean or null, found {}", item.kind())
        })?;
        if values[number].replace(value).is_some() {
            return Err(format!("column {}: expected one value, found two", quoted(name)));
        }
    }
    let absent = || columns.names().zip(&values).filter(|(_, value)| value.is_none()).map(|(name, _)| name);
    if absent().next().is_some() {
        let found = listed(entries.iter().map(|(name, _)| &**name), 12);
        let found = if found.is_empty() { "none".to_owned() } else { found };
        let absent = listed(absent(), 12);
        return Err(format!(
            "expected a value, or null for a missing one, in the columns {absent}; found {found}"
        ));
    }
    given.push(|used| values[used].unwrap_or(RowValue::Missing)).map_err(|fault| fault.to_string())
}

impl Item<'_> {
    fn value(&self) -> Option<RowValue<'_>> {
        match self {
            Self::Null => Some(RowValue::Missing),
            Self::Boolean(value) => Some(RowValue::Text(if *value { "true" } else { "false" })),
            Self::Number(number) => Some(RowValue::Number(*number)),
            Self::Text(text) => Some(RowValue::Text(text)),
            Self::List(_) | Self::Object(_) => None,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Item<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

/// A name in an object: `Cow` alone would always copy it.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Item<'de>, E> {
        Ok(Item::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Item<'de>, E> {
        Ok(Item::Boolean(value))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Item<'de>, E> {
        Ok(Item::Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Item<'de>, E> {
        Ok(Item::Number(number as f64))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Item<'de>, E> {
        Ok(Item::Number(number as f64))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Item<'de>, E> {
        Ok(Item::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Item<'de>, E> {
        Ok(Item::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Item<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Item::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            entries.push((name, map.next_value()?));
        }
        Ok(Item::Object(entries))
    }
}

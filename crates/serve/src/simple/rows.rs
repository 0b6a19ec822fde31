//! Rows of a table as JSON objects: one, a list of them, or `{"rows": [...]}`; and how such lists are read.

use std::borrow::Cow;
use std::fmt;

use kiln_data::GivenRows;
use kiln_table::{RowValue, listed, quoted};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::body::{Received, content_type, wrong_type};
use crate::model::{Columns, Model, Takes};
use crate::protocol::check_rows;
use crate::refusal::Refusal;
use crate::simple::answers::Batch;

/// What a body may call its rows.
const ROWS: &str = "rows";

/// What stands at a place in the JSON. What a row cannot hold is passed over and not kept: a body takes some twelve times its own
/// memory at most.
#[derive(Debug)]
pub(super) enum Item<'a> {
    Null,
    Boolean(bool),
    Number(f64),
    Text(Cow<'a, str>),
    /// Rows, and how many there are: of too many, the first ones are kept. Anywhere else, nothing is.
    List(Vec<Item<'a>>, usize),
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
    let (items, count) = items(&received.body, ROWS, most)?;
    check_rows(count, most)?;
    let mut given = GivenRows::new(&columns.preparation);
    let rows = items.iter().map(|item| push(&mut given, columns, item)).collect();
    let (split, remarks) = given.finish();
    Batch::new(rows, split, Some(remarks))
}

/// The items in `body`, and how many there are; only the first `most` are given. The body is a list, an object with a list under
/// `name`, or an object that is one item itself.
///
/// # Errors
/// Where the body is not JSON, or something else.
pub(super) fn items<'a>(
    body: &'a [u8],
    name: &'static str,
    most: usize,
) -> Result<(Vec<Item<'a>>, usize), Refusal> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let item = Place::Body { name, most }.deserialize(&mut json).and_then(|item| json.end().map(|()| item));
    match item.map_err(|error| Refusal::bad(format!("the body is not JSON: {error}")))? {
        Item::List(items, count) => Ok((items, count)),
        Item::Object(mut entries) => {
            let is_list =
                |(other, item): &(Cow<'_, str>, Item<'_>)| *other == name && matches!(item, Item::List(..));
            if let Some((_, item)) =
                entries.iter().find(|(other, item)| *other == name && matches!(item, Item::Object(_)))
            {
                return Err(Refusal::at(name, "a list", item.kind()));
            }
            match entries.iter().position(is_list).map(|at| entries.swap_remove(at).1) {
                Some(Item::List(items, count)) => Ok((items, count)),
                _ => Ok((vec![Item::Object(entries)], 1)),
            }
        }
        other => {
            let expected = format!("a list, {{\"{name}\": [...]}}, or one as an object");
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
            Self::Boolean(value) => Some(RowValue::Boolean(*value)),
            Self::Number(number) => Some(RowValue::Number(*number)),
            Self::Text(text) => Some(RowValue::Text(text)),
            Self::List(..) | Self::Object(_) => None,
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(..) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// Where in the body an item stands.
#[derive(Clone, Copy)]
enum Place {
    /// It is the body, which has so many items at most, in a list of this name.
    Body {
        name: &'static str,
        most: usize,
    },
    /// It is that list.
    List {
        most: usize,
    },
    Row,
    Cell,
}

/// A name in an object: `Cow` alone would always copy it.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for Place {
    type Value = Item<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place {
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
        if let Self::Body { most, .. } | Self::List { most } = self {
            while items.len() < most
                && let Some(item) = list.next_element_seed(Self::Row)?
            {
                items.push(item);
            }
        }
        let mut count = items.len();
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Item::List(items, count))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item<'de>, A::Error> {
        let mut entries = Vec::new();
        if matches!(self, Self::Body { .. } | Self::Row) {
            while let Some(Name(key)) = map.next_key()? {
                let place = match self {
                    Self::Body { name, most } if key == name => Self::List { most },
                    _ => Self::Cell,
                };
                entries.push((key, map.next_value_seed(place)?));
            }
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Item::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, most: usize) -> Result<(Vec<Item<'_>>, usize), String> {
        items(text.as_bytes(), ROWS, most).map_err(|refusal| refusal.message)
    }

    #[test]
    fn rows_come_alone_in_a_list_or_under_their_name() {
        for (text, count) in [
            (r#"{"a": 1}"#, 1),
            (r#"[{"a": 1}, {"a": 2}]"#, 2),
            (r#"{"rows": [{"a": 1}, 5, [1, 2]], "more": {}}"#, 3),
            (r#"{"rows": 7}"#, 1),
            ("[]", 0),
        ] {
            let (items, found) = read(text, 10).unwrap();
            assert_eq!((items.len(), found), (count, count), "{text}");
        }
        assert_eq!(read(r#"{"rows": {"a": 1}}"#, 10).unwrap_err(), "rows: expected a list, found an object");
        assert!(read("7", 10).unwrap_err().contains("found a number"));
        assert!(read(&"[".repeat(1000), 10).is_err());
    }

    #[test]
    fn what_is_too_much_or_no_cell_is_counted_and_not_kept() {
        let (items, count) = read("[0,0,0,0,0]", 2).unwrap();
        assert_eq!((items.len(), count), (2, 5));
        let (items, _) = read(r#"[{"a": [[1, 2], {"b": 3}]}]"#, 10).unwrap();
        let Item::Object(entries) = &items[0] else { panic!("{}", items[0].kind()) };
        assert!(matches!(&entries[0].1, Item::List(items, 2) if items.is_empty()));
    }
}

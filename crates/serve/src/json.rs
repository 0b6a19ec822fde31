//! JSON bodies: the values of a tensor, flat or nested; structures that must be objects; and lists of rows or pictures.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use kiln_table::RowValue;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::request::Refusal;

/// The values of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values<'a> {
    /// Numbers; NaN for `null` in JSON.
    Numbers(Vec<f64>),
    /// Binary UINT8 values, not copied.
    Bytes(&'a [u8]),
    Booleans(Vec<bool>),
    /// Texts; `None` for `null` in JSON.
    Texts(Vec<Option<Cow<'a, str>>>),
}

impl Values<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Numbers(values) => values.len(),
            Self::Bytes(values) => values.len(),
            Self::Booleans(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }

    /// The name of the values in messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Numbers(_) | Self::Bytes(_) => "numbers",
            Self::Booleans(_) => "booleans",
            Self::Texts(_) => "strings",
        }
    }
}

/// The `data` of a tensor, flattened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonData<'a> {
    pub(crate) values: Values<'a>,
    /// The length of the lists at each depth.
    pub(crate) lengths: Vec<usize>,
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonData<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut partial = PartialData { values: None, nulls: 0, lengths: Vec::new(), leaves_at: None };
        Nest { partial: &mut partial, depth: 0 }.deserialize(deserializer)?;
        // Without any value, the nulls may stand for numbers or for texts.
        let values = partial.values.unwrap_or_else(|| Values::Numbers(vec![f64::NAN; partial.nulls]));
        let lengths = partial.lengths.into_iter().map(Option::unwrap_or_default).collect();
        Ok(Self { values, lengths })
    }
}

/// What has been read so far.
struct PartialData<'a> {
    values: Option<Values<'a>>,
    /// Nulls before the first value.
    nulls: usize,
    lengths: Vec<Option<usize>>,
    /// The depth of the values.
    leaves_at: Option<usize>,
}

/// A value or list inside `depth` lists.
struct Nest<'r, 'a> {
    partial: &'r mut PartialData<'a>,
    depth: usize,
}

impl<'de: 'a, 'a> DeserializeSeed<'de> for Nest<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Nest<'_, 'a> {
    fn leaf<E: Error>(&mut self) -> Result<(), E> {
        if self.depth == 0 {
            return Err(E::custom("expected `data` to be a list, found a single value"));
        }
        match *self.partial.leaves_at.get_or_insert(self.depth) {
            depth if depth == self.depth => Ok(()),
            _ => Err(E::custom("expected `data` with values at one depth, found lists beside values")),
        }
    }

    fn number<E: Error>(mut self, number: f64) -> Result<(), E> {
        self.leaf()?;
        let nulls = self.partial.nulls;
        match self.partial.values.get_or_insert_with(|| Values::Numbers(vec![f64::NAN; nulls])) {
            Values::Numbers(numbers) => numbers.push(number),
            other => return Err(mixed(other, "a number")),
        }
        Ok(())
    }

    fn text<E: Error>(mut self, text: Cow<'a, str>) -> Result<(), E> {
        self.leaf()?;
        let nulls = self.partial.nulls;
        match self.partial.values.get_or_insert_with(|| Values::Texts(vec![None; nulls])) {
            Values::Texts(texts) => texts.push(Some(text)),
            other => return Err(mixed(other, "a string")),
        }
        Ok(())
    }
}

fn mixed<E: Error>(values: &Values<'_>, found: &str) -> E {
    E::custom(format_args!("expected `data` with values of one kind, found {found} beside {}", values.kind()))
}

impl<'de: 'a, 'a> Visitor<'de> for Nest<'_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("`data`: a list of numbers, strings or booleans, flat or nested as `shape` says")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { partial, depth } = self;
        if partial.leaves_at.is_some_and(|leaves| leaves <= depth) {
            return Err(A::Error::custom(
                "expected `data` with values at one depth, found lists beside values",
            ));
        }
        if partial.lengths.len() == depth {
            partial.lengths.push(None);
        }
        let mut length = 0;
        while list.next_element_seed(Nest { partial: &mut *partial, depth: depth + 1 })?.is_some() {
            length += 1;
        }
        match *partial.lengths[depth].get_or_insert(length) {
            first if first == length => Ok(()),
            first => Err(A::Error::custom(format_args!(
                "expected nested lists of equal length in `data`, found {first} and {length}"
            ))),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.number(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.number(number as f64)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.number(number as f64)
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        self.leaf()?;
        if self.partial.nulls > 0 {
            return Err(E::custom("expected booleans in `data`, found null"));
        }
        match self.partial.values.get_or_insert_with(|| Values::Booleans(Vec::new())) {
            Values::Booleans(values) => values.push(value),
            other => return Err(mixed(other, "a boolean")),
        }
        Ok(())
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<(), E> {
        self.text(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.text(Cow::Owned(text.to_owned()))
    }

    fn visit_unit<E: Error>(mut self) -> Result<(), E> {
        self.leaf()?;
        match &mut self.partial.values {
            None => self.partial.nulls += 1,
            Some(Values::Numbers(numbers)) => numbers.push(f64::NAN),
            Some(Values::Texts(texts)) => texts.push(None),
            Some(other) => return Err(mixed(other, "null")),
        }
        Ok(())
    }
}

/// A `T` in JSON that must be an object: serde also accepts a list for a structure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// A JSON value. Values that a row cannot contain are skipped, not stored, so that the memory stays below about twelve times
/// the size of the body.
#[derive(Debug)]
pub(crate) enum JsonItem<'a> {
    Null,
    Boolean(bool),
    Number(f64),
    Text(Cow<'a, str>),
    /// The first rows, at most the limit, and the number of all rows. The items of other lists are not stored.
    List(Vec<JsonItem<'a>>, usize),
    Object(Vec<(Cow<'a, str>, JsonItem<'a>)>),
}

/// The first `most` items in `body`, and the number of all items. The body is a list, an object with a list under `name`, or
/// an object that is the only item; 400 if it is anything else.
pub(crate) fn items<'a>(
    body: &'a [u8],
    name: &'static str,
    most: usize,
) -> Result<(Vec<JsonItem<'a>>, usize), Refusal> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let item =
        Position::Body { name, most }.deserialize(&mut json).and_then(|item| json.end().map(|()| item));
    match item.map_err(|error| Refusal::bad(format!("the body is not JSON: {error}")))? {
        JsonItem::List(items, count) => Ok((items, count)),
        JsonItem::Object(mut entries) => {
            let is_list = |(other, item): &(Cow<'_, str>, JsonItem<'_>)| {
                *other == name && matches!(item, JsonItem::List(..))
            };
            if let Some((_, item)) =
                entries.iter().find(|(other, item)| *other == name && matches!(item, JsonItem::Object(_)))
            {
                return Err(Refusal::at(name, "a list", item.kind()));
            }
            match entries.iter().position(is_list).map(|at| entries.swap_remove(at).1) {
                Some(JsonItem::List(items, count)) => Ok((items, count)),
                _ => Ok((vec![JsonItem::Object(entries)], 1)),
            }
        }
        other => {
            let expected = format!("a list, {{\"{name}\": [...]}}, or a single object");
            Err(Refusal::at("the body", expected, other.kind()))
        }
    }
}

impl JsonItem<'_> {
    /// The item as a cell of a table; `None` for lists and objects.
    pub(crate) fn value(&self) -> Option<RowValue<'_>> {
        match self {
            Self::Null => Some(RowValue::Missing),
            Self::Boolean(value) => Some(RowValue::Boolean(*value)),
            Self::Number(number) => Some(RowValue::Number(*number)),
            Self::Text(text) => Some(RowValue::Text(text)),
            Self::List(..) | Self::Object(_) => None,
        }
    }

    /// The name of the item in messages.
    pub(crate) fn kind(&self) -> &'static str {
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

/// The position of a value in the body.
#[derive(Clone, Copy)]
enum Position {
    /// The body itself, with at most `most` items to store; `name` is the name of their list.
    Body {
        name: &'static str,
        most: usize,
    },
    /// The list of the items.
    List {
        most: usize,
    },
    Row,
    Cell,
}

/// A key of an object. A plain `Cow` would always copy it.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for Position {
    type Value = JsonItem<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<JsonItem<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Position {
    type Value = JsonItem<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<JsonItem<'de>, E> {
        Ok(JsonItem::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<JsonItem<'de>, E> {
        Ok(JsonItem::Boolean(value))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<JsonItem<'de>, E> {
        Ok(JsonItem::Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<JsonItem<'de>, E> {
        Ok(JsonItem::Number(number as f64))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<JsonItem<'de>, E> {
        Ok(JsonItem::Number(number as f64))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<JsonItem<'de>, E> {
        Ok(JsonItem::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<JsonItem<'de>, E> {
        Ok(JsonItem::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<JsonItem<'de>, A::Error> {
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
        Ok(JsonItem::List(items, count))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonItem<'de>, A::Error> {
        let mut entries = Vec::new();
        if matches!(self, Self::Body { .. } | Self::Row) {
            while let Some(Name(key)) = map.next_key()? {
                let position = match self {
                    Self::Body { name, most } if key == name => Self::List { most },
                    _ => Self::Cell,
                };
                entries.push((key, map.next_value_seed(position)?));
            }
        }
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(JsonItem::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_data(text: &str) -> Result<JsonData<'_>, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn nested_lists_are_flattened_and_their_lengths_kept() {
        let flat = read_data("[[1, 2.5, null], [-4, 5e1, 6]]").unwrap();
        assert_eq!(flat.lengths, [2, 3]);
        let Values::Numbers(numbers) = flat.values else { panic!("{flat:?}") };
        assert!(numbers[2].is_nan() && numbers[4] == 50.0 && numbers.len() == 6);
        let flat = read_data(r#"[null, "a", "b\n", null]"#).unwrap();
        let texts = vec![None, Some("a".into()), Some("b\n".into()), None];
        assert_eq!((flat.values, flat.lengths), (Values::Texts(texts), vec![4]));
        assert_eq!(read_data("[true, false]").unwrap().values, Values::Booleans(vec![true, false]));
        assert_eq!(read_data("[]").unwrap().lengths, [0]);
    }

    #[test]
    fn invalid_tensor_data_is_refused_with_a_reason() {
        for (text, wanted) in [
            ("[1, \"a\"]", "a string beside numbers"),
            ("[\"a\", true]", "a boolean beside strings"),
            ("[[1, 2], [3]]", "found 2 and 1"),
            ("[[1], 2]", "lists beside values"),
            ("[1, [2]]", "lists beside values"),
            ("5", "a single value"),
            ("{}", "expected `data`: a list"),
            ("[{}]", "expected `data`: a list"),
            ("[NaN]", "expected value"),
        ] {
            let message = read_data(text).unwrap_err();
            assert!(message.contains(wanted), "{text}: {message}");
        }
        assert!(read_data(&"[".repeat(100_000)).unwrap_err().contains("recursion limit"));
    }

    fn read_items(text: &str, most: usize) -> Result<(Vec<JsonItem<'_>>, usize), String> {
        items(text.as_bytes(), "rows", most).map_err(|refusal| refusal.message)
    }

    #[test]
    fn rows_may_be_a_single_object_a_list_or_a_named_list() {
        for (text, count) in [
            (r#"{"a": 1}"#, 1),
            (r#"[{"a": 1}, {"a": 2}]"#, 2),
            (r#"{"rows": [{"a": 1}, 5, [1, 2]], "more": {}}"#, 3),
            (r#"{"rows": 7}"#, 1),
            ("[]", 0),
        ] {
            let (items, found) = read_items(text, 10).unwrap();
            assert_eq!((items.len(), found), (count, count), "{text}");
        }
        assert_eq!(
            read_items(r#"{"rows": {"a": 1}}"#, 10).unwrap_err(),
            "rows: expected a list, found an object"
        );
        assert!(read_items("7", 10).unwrap_err().contains("found a number"));
        assert!(read_items(&"[".repeat(1000), 10).is_err());
    }

    #[test]
    fn items_over_the_limit_and_nested_values_are_counted_but_not_stored() {
        let (items, count) = read_items("[0,0,0,0,0]", 2).unwrap();
        assert_eq!((items.len(), count), (2, 5));
        let (items, _) = read_items(r#"[{"a": [[1, 2], {"b": 3}]}]"#, 10).unwrap();
        let JsonItem::Object(entries) = &items[0] else { panic!("{}", items[0].kind()) };
        assert!(matches!(&entries[0].1, JsonItem::List(items, 2) if items.is_empty()));
    }
}

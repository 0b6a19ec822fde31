//! The `data` of a tensor in JSON, flat or nested, as one flat list.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

/// The values of a tensor, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values<'a> {
    /// Numbers; NaN stands for `null` in JSON.
    Numbers(Vec<f64>),
    /// Bytes, as UINT8 comes in binary.
    Bytes(&'a [u8]),
    /// Yes or no.
    Booleans(Vec<bool>),
    /// Texts; none stands for `null` in JSON.
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

    /// What they are, in words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Numbers(_) | Self::Bytes(_) => "numbers",
            Self::Booleans(_) => "booleans",
            Self::Texts(_) => "strings",
        }
    }
}

/// `data` as it stands in JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flat<'a> {
    pub(crate) values: Values<'a>,
    /// The length of the lists at every depth.
    pub(crate) lengths: Vec<usize>,
}

impl<'de: 'a, 'a> serde::Deserialize<'de> for Flat<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut reading = Reading { values: None, nulls: 0, lengths: Vec::new(), leaves_at: None };
        Level { reading: &mut reading, depth: 0 }.deserialize(deserializer)?;
        // Of nothing but nulls, numbers and texts are equally missing.
        let values = reading.values.unwrap_or_else(|| Values::Numbers(vec![f64::NAN; reading.nulls]));
        let lengths = reading.lengths.into_iter().map(Option::unwrap_or_default).collect();
        Ok(Self { values, lengths })
    }
}

struct Reading<'a> {
    values: Option<Values<'a>>,
    /// Nulls before the first value.
    nulls: usize,
    lengths: Vec<Option<usize>>,
    /// The depth of values.
    leaves_at: Option<usize>,
}

/// A place in the nest of lists: `depth` lists are open around it.
struct Level<'r, 'a> {
    reading: &'r mut Reading<'a>,
    depth: usize,
}

impl<'de: 'a, 'a> DeserializeSeed<'de> for Level<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Level<'_, 'a> {
    fn leaf<E: Error>(&mut self) -> Result<(), E> {
        if self.depth == 0 {
            return Err(E::custom("expected `data` to be a list, found a single value"));
        }
        match *self.reading.leaves_at.get_or_insert(self.depth) {
            depth if depth == self.depth => Ok(()),
            _ => Err(E::custom("expected `data` with values at one depth, found lists beside values")),
        }
    }

    fn number<E: Error>(mut self, number: f64) -> Result<(), E> {
        self.leaf()?;
        let nulls = self.reading.nulls;
        match self.reading.values.get_or_insert_with(|| Values::Numbers(vec![f64::NAN; nulls])) {
            Values::Numbers(numbers) => numbers.push(number),
            other => return Err(mixed(other, "a number")),
        }
        Ok(())
    }

    fn text<E: Error>(mut self, text: Cow<'a, str>) -> Result<(), E> {
        self.leaf()?;
        let nulls = self.reading.nulls;
        match self.reading.values.get_or_insert_with(|| Values::Texts(vec![None; nulls])) {
            Values::Texts(texts) => texts.push(Some(text)),
            other => return Err(mixed(other, "a string")),
        }
        Ok(())
    }
}

fn mixed<E: Error>(values: &Values<'_>, found: &str) -> E {
    E::custom(format_args!("expected `data` with values of one kind, found {found} beside {}", values.kind()))
}

impl<'de: 'a, 'a> Visitor<'de> for Level<'_, 'a> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("`data`: a list of numbers, strings or booleans, flat or nested as `shape` says")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { reading, depth } = self;
        if reading.leaves_at.is_some_and(|leaves| leaves <= depth) {
            return Err(A::Error::custom(
                "expected `data` with values at one depth, found lists beside values",
            ));
        }
        if reading.lengths.len() == depth {
            reading.lengths.push(None);
        }
        let mut length = 0;
        while list.next_element_seed(Level { reading: &mut *reading, depth: depth + 1 })?.is_some() {
            length += 1;
        }
        match *reading.lengths[depth].get_or_insert(length) {
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
        if self.reading.nulls > 0 {
            return Err(E::custom("expected booleans in `data`, found null"));
        }
        match self.reading.values.get_or_insert_with(|| Values::Booleans(Vec::new())) {
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
        match &mut self.reading.values {
            None => self.reading.nulls += 1,
            Some(Values::Numbers(numbers)) => numbers.push(f64::NAN),
            Some(Values::Texts(texts)) => texts.push(None),
            Some(other) => return Err(mixed(other, "null")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Flat<'_>, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn nested_lists_become_flat_and_their_lengths_are_known() {
        let flat = read("[[1, 2.5, null], [-4, 5e1, 6]]").unwrap();
        assert_eq!(flat.lengths, [2, 3]);
        let Values::Numbers(numbers) = flat.values else { panic!("{flat:?}") };
        assert!(numbers[2].is_nan() && numbers[4] == 50.0 && numbers.len() == 6);
        let flat = read(r#"[null, "a", "b\n", null]"#).unwrap();
        let texts = vec![None, Some("a".into()), Some("b\n".into()), None];
        assert_eq!((flat.values, flat.lengths), (Values::Texts(texts), vec![4]));
        assert_eq!(read("[true, false]").unwrap().values, Values::Booleans(vec![true, false]));
        assert_eq!(read("[]").unwrap().lengths, [0]);
    }

    #[test]
    fn what_is_no_tensor_is_said() {
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
            let message = read(text).unwrap_err();
            assert!(message.contains(wanted), "{text}: {message}");
        }
        assert!(read(&"[".repeat(100_000)).unwrap_err().contains("recursion limit"));
    }
}

//! A tensor of a request, checked against its own shape and type.

use std::borrow::Cow;

use kiln_table::quoted;

use crate::datatype::Datatype;
use crate::flat::{Flat, Values};
use crate::refusal::Refusal;

/// A tensor of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Values<'a>,
}

/// The name, type and shape of a tensor, as a request gives them.
#[derive(Clone, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) datatype: Datatype,
    pub(crate) shape: Vec<i64>,
}

impl<'a> Tensor<'a> {
    /// The tensor whose values stand in JSON.
    ///
    /// # Errors
    /// Where they are no values of its type, or not as many or as nested as its shape says.
    pub(crate) fn of_json(head: Head<'a>, data: Flat<'a>) -> Result<Self, Refusal> {
        let (shape, count) = head.checked_shape()?;
        let Flat { values, lengths } = data;
        if values.len() != count {
            let expected = format!("{count} values for shape {shape:?}");
            return Err(head.refusal(expected, values.len()));
        }
        if lengths.len() > 1 && lengths != shape {
            let expected = format!("a flat list or lists nested as shape {shape:?}");
            return Err(head.refusal(expected, format!("lists of lengths {lengths:?}")));
        }
        let values = match (head.datatype, values) {
            (Datatype::Bool, Values::Booleans(values)) => Values::Booleans(values),
            // Some clients write numbers.
            (Datatype::Bool, Values::Numbers(values))
                if values.iter().all(|value| [0.0, 1.0].contains(value)) =>
            {
                Values::Booleans(values.into_iter().map(|value| value == 1.0).collect())
            }
            (Datatype::Bytes, Values::Texts(values)) => Values::Texts(values),
            // Nulls alone.
            (Datatype::Bytes, Values::Numbers(values)) if values.iter().all(|value| value.is_nan()) => {
                Values::Texts(vec![None; values.len()])
            }
            (Datatype::Bool, other) => return Err(head.refusal("booleans", other.kind())),
            (Datatype::Bytes, other) => return Err(head.refusal("strings", other.kind())),
            (datatype, Values::Numbers(values)) => {
                head.check_numbers(datatype, &values)?;
                Values::Numbers(values)
            }
            (datatype, other) => {
                return Err(head.refusal(format!("numbers of type {}", datatype.name()), other.kind()));
            }
        };
        Ok(Self { name: head.name, shape, values })
    }

    /// The tensor whose values stand in `bytes`: little-endian, a text with its length before it in 4 bytes.
    ///
    /// # Errors
    /// Where they are no values of its type, or not as many as its shape says.
    pub(crate) fn of_binary(head: Head<'a>, bytes: &'a [u8]) -> Result<Self, Refusal> {
        let (shape, count) = head.checked_shape()?;
        let values = match (head.datatype, head.datatype.width()) {
            (Datatype::Bytes, _) => Values::Texts(head.texts(bytes, count)?),
            (datatype, Some(width)) => {
                if count.checked_mul(width) != Some(bytes.len()) {
                    let expected = format!("{count} values of {width} bytes for shape {shape:?}");
                    return Err(head.refusal(expected, format!("{} bytes", bytes.len())));
                }
                match datatype {
                    Datatype::Uint8 => Values::Bytes(bytes),
                    Datatype::Bool => match bytes.iter().find(|byte| **byte > 1) {
                        Some(odd) => return Err(head.refusal("bytes of 0 and 1", odd)),
                        None => Values::Booleans(bytes.iter().map(|byte| *byte == 1).collect()),
                    },
                    _ => Values::Numbers(datatype.numbers(bytes).unwrap_or_default()),
                }
            }
            (_, None) => unreachable!("every type but BYTES has a width"),
        };
        Ok(Self { name: head.name, shape, values })
    }

    /// That something else was expected of it.
    pub(crate) fn refusal(&self, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Refusal {
        Refusal::at(format!("input {}", quoted(&self.name)), expected, found)
    }

    /// That something else was expected of its `row`, from 0.
    pub(crate) fn refusal_in_row(
        &self,
        row: usize,
        expected: impl std::fmt::Display,
        found: impl std::fmt::Display,
    ) -> Refusal {
        Refusal::at(format!("input {}, row {row}", quoted(&self.name)), expected, found)
    }
}

impl<'a> Head<'a> {
    fn refusal(&self, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Refusal {
        Refusal::at(format!("input {}", quoted(&self.name)), expected, found)
    }

    /// The shape, and how many values it has. Untrusted: lengths may be negative, and their product too large.
    fn checked_shape(&self) -> Result<(Vec<usize>, usize), Refusal> {
        let expected = "a shape of lengths from 1 whose product is a number of values";
        let found = || format!("{:?}", self.shape);
        let shape: Vec<usize> = self
            .shape
            .iter()
            .map(|&length| usize::try_from(length).ok().filter(|length| *length > 0))
            .collect::<Option<_>>()
            .ok_or_else(|| self.refusal(expected, found()))?;
        if shape.is_empty() {
            return Err(self.refusal(expected, "[]"));
        }
        let count = shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(length));
        let count = count.ok_or_else(|| self.refusal(expected, found()))?;
        Ok((shape, count))
    }

    fn check_numbers(&self, datatype: Datatype, values: &[f64]) -> Result<(), Refusal> {
        let Some([least, greatest]) = datatype.range() else { return Ok(()) };
        let is_one = |value: f64| value.fract() == 0.0 && (least..=greatest).contains(&value);
        match values.iter().position(|&value| !is_one(value)) {
            None => Ok(()),
            Some(at) => {
                let found = if values[at].is_nan() { "null".to_owned() } else { values[at].to_string() };
                let expected = format!("whole numbers from {least} to {greatest} ({})", datatype.name());
                Err(self.refusal(expected, format!("{found} at place {at}")))
            }
        }
    }

    /// The texts in `bytes`, which are to be `count`.
    fn texts(&self, bytes: &'a [u8], count: usize) -> Result<Vec<Option<Cow<'a, str>>>, Refusal> {
        // Each has 4 bytes at least: what the shape says is not believed before.
        if count > bytes.len() / 4 {
            let expected = format!("{count} texts, each after its length in 4 bytes");
            return Err(self.refusal(expected, format!("{} bytes", bytes.len())));
        }
        let (mut texts, mut rest) = (Vec::with_capacity(count), bytes);
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            let Some((text, others)) = after.split_at_checked(length) else {
                let expected = format!("{length} bytes of text {}", texts.len());
                return Err(self.refusal(expected, format!("{} bytes", after.len())));
            };
            let text = str::from_utf8(text)
                .map_err(|_| self.refusal(format!("text {} in UTF-8", texts.len()), "other bytes"))?;
            texts.push(Some(Cow::Borrowed(text)));
            rest = others;
        }
        if texts.len() != count || !rest.is_empty() {
            let found = format!("{} and {} bytes more", texts.len(), rest.len());
            return Err(self.refusal(format!("{count} texts"), found));
        }
        Ok(texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(datatype: Datatype, shape: &[i64]) -> Head<'static> {
        Head { name: "x".into(), datatype, shape: shape.to_vec() }
    }

    fn json(datatype: Datatype, shape: &[i64], data: &'static str) -> Result<Tensor<'static>, String> {
        Tensor::of_json(head(datatype, shape), serde_json::from_str(data).unwrap())
            .map_err(|refusal| refusal.message)
    }

    fn binary(datatype: Datatype, shape: &[i64], bytes: &'static [u8]) -> Result<Tensor<'static>, String> {
        Tensor::of_binary(head(datatype, shape), bytes).map_err(|refusal| refusal.message)
    }

    #[test]
    fn shapes_are_not_believed() {
        for shape in [&[-1][..], &[0], &[], &[2, -3], &[i64::MAX, 3], &[1 << 40, 1 << 40]] {
            let message = json(Datatype::Fp32, shape, "[1]").unwrap_err();
            assert!(message.contains("input \"x\": expected a shape"), "{message}");
            assert!(binary(Datatype::Bytes, shape, b"").is_err());
        }
        assert_eq!(
            binary(Datatype::Bytes, &[1 << 50], b"\0\0\0\0").unwrap_err(),
            format!(
                "input \"x\": expected {} texts, each after its length in 4 bytes, found 4 bytes",
                1_u64 << 50
            )
        );
        assert!(binary(Datatype::Fp64, &[1 << 60, 4], b"1234").is_err());
    }

    #[test]
    fn values_are_those_of_the_type() {
        assert!(json(Datatype::Uint8, &[1, 2], "[[0, 255]]").is_ok());
        for (datatype, data, wanted) in [
            (Datatype::Uint8, "[0, 256]", "whole numbers from 0 to 255 (UINT8), found 256 at place 1"),
            (Datatype::Int8, "[0.5, 1]", "found 0.5 at place 0"),
            (Datatype::Int8, "[0, null]", "found null at place 1"),
            (Datatype::Fp32, "[\"a\", \"b\"]", "numbers of type FP32, found strings"),
            (Datatype::Bytes, "[1, 2]", "expected strings, found numbers"),
            (Datatype::Bool, "[1, 2]", "expected booleans, found numbers"),
            (Datatype::Fp64, "[1, 2, 3]", "expected 2 values for shape [1, 2], found 3"),
            (Datatype::Fp64, "[[1], [2]]", "lists nested as shape [1, 2], found lists of lengths [2, 1]"),
        ] {
            let message = json(datatype, &[1, 2], data).unwrap_err();
            assert!(message.contains(wanted), "{message}");
        }
    }

    #[test]
    fn bytes_are_texts_with_their_lengths() {
        let tensor = binary(Datatype::Bytes, &[2], b"\x01\0\0\0a\0\0\0\0").unwrap();
        assert_eq!(tensor.values, Values::Texts(vec![Some("a".into()), Some("".into())]));
        for bytes in
            [&b"\x02\0\0\0a\0\0\0\0"[..], b"\x01\0\0\0a", b"\x01\0\0\0\xff\0\0\0\0", b"\0\0\0\0\0\0\0\0\0"]
        {
            assert!(binary(Datatype::Bytes, &[2], bytes).is_err(), "{bytes:?}");
        }
    }
}

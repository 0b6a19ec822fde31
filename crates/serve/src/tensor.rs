//! Tensors of requests, checked against their own shape and datatype.

use std::borrow::Cow;
use std::fmt::Display;

use half::f16;
use kiln_table::quoted;
use serde::Deserialize;

use crate::json::{JsonData, Values};
use crate::request::Refusal;

/// A tensor of a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tensor<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Values<'a>,
}

/// The name, datatype and shape of a tensor, not yet checked.
#[derive(Clone, Debug)]
pub(crate) struct TensorHeader<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) datatype: Datatype,
    pub(crate) shape: Vec<i64>,
}

impl<'a> Tensor<'a> {
    /// A tensor with values from JSON; 400 if they do not fit its datatype, or their number or nesting does not fit its
    /// shape.
    pub(crate) fn from_json(head: TensorHeader<'a>, data: JsonData<'a>) -> Result<Self, Refusal> {
        let (shape, count) = head.checked_shape()?;
        let JsonData { values, lengths } = data;
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
            // Some clients write 0 and 1.
            (Datatype::Bool, Values::Numbers(values))
                if values.iter().all(|value| [0.0, 1.0].contains(value)) =>
            {
                Values::Booleans(values.into_iter().map(|value| value == 1.0).collect())
            }
            (Datatype::Bytes, Values::Texts(values)) => Values::Texts(values),
            // Only nulls.
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

    /// A tensor with values from `bytes`: little-endian, each text after its length in 4 bytes. 400 if they do not fit its
    /// datatype or shape.
    pub(crate) fn from_binary(head: TensorHeader<'a>, bytes: &'a [u8]) -> Result<Self, Refusal> {
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

    /// The refusal of this tensor.
    pub(crate) fn refusal(&self, expected: impl Display, found: impl Display) -> Refusal {
        Refusal::at(format!("input {}", quoted(&self.name)), expected, found)
    }

    /// The refusal of its row `row`, counted from 0.
    pub(crate) fn refusal_in_row(&self, row: usize, expected: impl Display, found: impl Display) -> Refusal {
        Refusal::at(format!("input {}, row {row}", quoted(&self.name)), expected, found)
    }
}

impl<'a> TensorHeader<'a> {
    fn refusal(&self, expected: impl Display, found: impl Display) -> Refusal {
        Refusal::at(format!("input {}", quoted(&self.name)), expected, found)
    }

    /// The shape, and its number of values. The shape is untrusted: lengths may be negative, and their product may overflow.
    fn checked_shape(&self) -> Result<(Vec<usize>, usize), Refusal> {
        let expected = "a shape of positive lengths whose product does not overflow";
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

    /// The `count` texts in `bytes`.
    fn texts(&self, bytes: &'a [u8], count: usize) -> Result<Vec<Option<Cow<'a, str>>>, Refusal> {
        // Every text takes at least 4 bytes: check this before reserving memory for an untrusted count.
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

/// The datatypes of the Open Inference Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Datatype {
    #[serde(rename = "BOOL")]
    Bool,
    #[serde(rename = "UINT8")]
    Uint8,
    #[serde(rename = "UINT16")]
    Uint16,
    #[serde(rename = "UINT32")]
    Uint32,
    #[serde(rename = "UINT64")]
    Uint64,
    #[serde(rename = "INT8")]
    Int8,
    #[serde(rename = "INT16")]
    Int16,
    #[serde(rename = "INT32")]
    Int32,
    #[serde(rename = "INT64")]
    Int64,
    #[serde(rename = "FP16")]
    Fp16,
    #[serde(rename = "FP32")]
    Fp32,
    #[serde(rename = "FP64")]
    Fp64,
    #[serde(rename = "BYTES")]
    Bytes,
}

impl Datatype {
    /// All names, in the order of the variants.
    pub(crate) const NAMES: [&str; 13] = [
        "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32",
        "FP64", "BYTES",
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Bytes of a binary value; `None` for `BYTES`, whose values have lengths of their own.
    pub(crate) fn width(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => Some(1),
            Self::Uint16 | Self::Int16 | Self::Fp16 => Some(2),
            Self::Uint32 | Self::Int32 | Self::Fp32 => Some(4),
            Self::Uint64 | Self::Int64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }

    /// The least and the greatest value of an integer type; `None` for other types.
    pub(crate) fn range(self) -> Option<[f64; 2]> {
        match self {
            Self::Uint8 => Some([0.0, f64::from(u8::MAX)]),
            Self::Uint16 => Some([0.0, f64::from(u16::MAX)]),
            Self::Uint32 => Some([0.0, f64::from(u32::MAX)]),
            Self::Uint64 => Some([0.0, u64::MAX as f64]),
            Self::Int8 => Some([f64::from(i8::MIN), f64::from(i8::MAX)]),
            Self::Int16 => Some([f64::from(i16::MIN), f64::from(i16::MAX)]),
            Self::Int32 => Some([f64::from(i32::MIN), f64::from(i32::MAX)]),
            Self::Int64 => Some([i64::MIN as f64, i64::MAX as f64]),
            Self::Bool | Self::Fp16 | Self::Fp32 | Self::Fp64 | Self::Bytes => None,
        }
    }

    /// The little-endian numbers in `bytes`; `None` if the type is not numeric, or the last value is incomplete.
    pub(crate) fn numbers(self, bytes: &[u8]) -> Option<Vec<f64>> {
        fn each<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
            let (chunks, rest) = bytes.as_chunks::<N>();
            rest.is_empty().then(|| chunks.iter().copied().map(number).collect())
        }
        match self {
            Self::Uint8 => each(bytes, |[byte]| f64::from(byte)),
            Self::Int8 => each(bytes, |byte| f64::from(i8::from_le_bytes(byte))),
            Self::Uint16 => each(bytes, |bytes| f64::from(u16::from_le_bytes(bytes))),
            Self::Int16 => each(bytes, |bytes| f64::from(i16::from_le_bytes(bytes))),
            Self::Uint32 => each(bytes, |bytes| f64::from(u32::from_le_bytes(bytes))),
            Self::Int32 => each(bytes, |bytes| f64::from(i32::from_le_bytes(bytes))),
            Self::Uint64 => each(bytes, |bytes| u64::from_le_bytes(bytes) as f64),
            Self::Int64 => each(bytes, |bytes| i64::from_le_bytes(bytes) as f64),
            Self::Fp16 => each(bytes, |bytes| f16::from_le_bytes(bytes).to_f64()),
            Self::Fp32 => each(bytes, |bytes| f64::from(f32::from_le_bytes(bytes))),
            Self::Fp64 => each(bytes, f64::from_le_bytes),
            Self::Bool | Self::Bytes => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(datatype: Datatype, shape: &[i64]) -> TensorHeader<'static> {
        TensorHeader { name: "x".into(), datatype, shape: shape.to_vec() }
    }

    fn json(datatype: Datatype, shape: &[i64], data: &'static str) -> Result<Tensor<'static>, String> {
        Tensor::from_json(head(datatype, shape), serde_json::from_str(data).unwrap())
            .map_err(|refusal| refusal.message)
    }

    fn binary(datatype: Datatype, shape: &[i64], bytes: &'static [u8]) -> Result<Tensor<'static>, String> {
        Tensor::from_binary(head(datatype, shape), bytes).map_err(|refusal| refusal.message)
    }

    #[test]
    fn shapes_are_checked() {
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
    fn values_must_fit_the_datatype() {
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
    fn binary_texts_follow_their_lengths() {
        let tensor = binary(Datatype::Bytes, &[2], b"\x01\0\0\0a\0\0\0\0").unwrap();
        assert_eq!(tensor.values, Values::Texts(vec![Some("a".into()), Some("".into())]));
        for bytes in
            [&b"\x02\0\0\0a\0\0\0\0"[..], b"\x01\0\0\0a", b"\x01\0\0\0\xff\0\0\0\0", b"\0\0\0\0\0\0\0\0\0"]
        {
            assert!(binary(Datatype::Bytes, &[2], bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn names_are_in_the_order_of_the_variants() {
        for name in Datatype::NAMES {
            let datatype: Datatype = serde_json::from_str(&format!("{name:?}")).unwrap();
            assert_eq!(datatype.name(), name);
        }
    }

    #[test]
    fn numbers_are_little_endian_and_complete() {
        assert_eq!(Datatype::Int16.numbers(&[0xff, 0xff, 2, 1]), Some(vec![-1.0, 258.0]));
        assert_eq!(Datatype::Int16.numbers(&[1, 2, 3]), None);
        assert_eq!(Datatype::Fp32.numbers(&1.5_f32.to_le_bytes()), Some(vec![1.5]));
        assert_eq!(Datatype::Fp16.numbers(&[0x01, 0x00, 0x00, 0xc0]), Some(vec![2.0_f64.powi(-24), -2.0]));
        assert_eq!(Datatype::Bytes.numbers(&[]), None);
    }
}

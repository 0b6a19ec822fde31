//! The types of tensors, as the Open Inference Protocol names them.

use half::f16;
use serde::Deserialize;

/// The type of a tensor's values.
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
    /// All names, as the description of the interface lists them.
    pub(crate) const NAMES: [&str; 13] = [
        "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32",
        "FP64", "BYTES",
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Bytes of a value in binary; `BYTES` bring their own lengths.
    pub(crate) fn width(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => Some(1),
            Self::Uint16 | Self::Int16 | Self::Fp16 => Some(2),
            Self::Uint32 | Self::Int32 | Self::Fp32 => Some(4),
            Self::Uint64 | Self::Int64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }

    /// The least and the greatest whole number; none where values need not be whole.
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

    /// The numbers in `bytes`, little-endian; none where values are no numbers or `bytes` not whole ones.
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

    #[test]
    fn names_are_in_the_order_of_the_types() {
        for name in Datatype::NAMES {
            let datatype: Datatype = serde_json::from_str(&format!("{name:?}")).unwrap();
            assert_eq!(datatype.name(), name);
        }
    }

    #[test]
    fn numbers_are_little_endian_and_whole() {
        assert_eq!(Datatype::Int16.numbers(&[0xff, 0xff, 2, 1]), Some(vec![-1.0, 258.0]));
        assert_eq!(Datatype::Int16.numbers(&[1, 2, 3]), None);
        assert_eq!(Datatype::Fp32.numbers(&1.5_f32.to_le_bytes()), Some(vec![1.5]));
        assert_eq!(Datatype::Fp16.numbers(&[0x01, 0x00, 0x00, 0xc0]), Some(vec![2.0_f64.powi(-24), -2.0]));
        assert_eq!(Datatype::Bytes.numbers(&[]), None);
    }
}

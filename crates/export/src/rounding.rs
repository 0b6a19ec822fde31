//! Weights as 16-bit floating point (IEEE 754 binary16).

use half::f16;

use crate::{ExportError, Network};

impl Network {
    /// The same with every weight and bias rounded to the nearest number of 16 bits, of two equally near ones to the even one.
    ///
    /// Frequencies and phases of the embedding stay as they are: they are few, and a wave turns the more wrong the further
    /// its number is from zero.
    ///
    /// # Errors
    /// [`ExportError::Unsupported`] where a weight is greater than 16 bits hold, which would become infinite.
    pub fn rounded_to_half(&self) -> Result<Self, ExportError> {
        let mut rounded = self.clone();
        for (member, network) in rounded.members.iter_mut().enumerate() {
            let waves = network.waves.iter_mut().flat_map(|waves| [&mut waves.weight, &mut waves.bias]);
            let layers = network.layers.iter_mut().flat_map(|layer| [&mut layer.weight, &mut layer.bias]);
            for value in waves.chain(layers).flatten() {
                *value = nearest_half(*value).ok_or_else(|| too_great(*value, member))?;
            }
        }
        Ok(rounded)
    }
}

fn too_great(value: f32, member: usize) -> ExportError {
    ExportError::Unsupported {
        format: "16-bit floating point",
        holds: "numbers up to 65504",
        has: format!("a weight of {value} (network {}): take 32 bits", member + 1),
    }
}

/// The number of 16 bits nearest to `value`; none where that is infinite or no number.
pub(crate) fn nearest_half(value: f32) -> Option<f32> {
    Some(f16::from_f32(value).to_f32()).filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half_bits(value: f32) -> u16 {
        f16::from_f32(value).to_bits()
    }

    fn value_of(bits: u16) -> f32 {
        f16::from_bits(bits).to_f32()
    }

    #[test]
    fn every_number_of_16_bits_is_itself() {
        for bits in (0..=u16::MAX).filter(|bits| bits & 0x7c00 != 0x7c00) {
            assert_eq!(half_bits(value_of(bits)), bits);
            assert_eq!(nearest_half(value_of(bits)).map(f32::to_bits), Some(value_of(bits).to_bits()));
        }
    }

    #[test]
    fn numbers_between_go_to_the_nearest_and_halfway_to_the_even_one() {
        for bits in (0..0x7bff_u16).step_by(7) {
            let [low, high] = [bits, bits + 1].map(value_of);
            let middle = f32::midpoint(low, high);
            let even = if bits % 2 == 0 { bits } else { bits + 1 };
            assert_eq!(half_bits(middle), even, "{bits:x}");
            assert_eq!(half_bits(middle.next_down()), bits, "{bits:x}");
            assert_eq!(half_bits(-middle.next_up()), (bits + 1) | 0x8000, "{bits:x}");
        }
        // As numpy.float16 has them.
        for (value, bits) in [(0.1, 0x2e66), (1.0 / 3.0, 0x3555), (65_504.0, 0x7bff), (6e-8, 1), (1e-8, 0)] {
            assert_eq!(half_bits(value), bits, "{value}");
        }
    }

    #[test]
    fn what_is_too_great_has_none() {
        assert_eq!(nearest_half(65_519.996), Some(65_504.0));
        assert_eq!([65_520.0, -1e9, f32::INFINITY, f32::NAN].map(nearest_half), [None; 4]);
    }
}

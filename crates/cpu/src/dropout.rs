//! Dropout's mask: a pure function of (seed, step, layer).

use kiln_config::DropoutMode;
use kiln_config::random::{Purpose, Stream};

/// Random bits spent on a unit: the drop probability is met to 1 / 65,536.
const BITS: usize = 16;
/// Units that a random word decides on.
const UNITS: usize = 64 / BITS;
/// Words that are drawn side by side.
const BLOCK: usize = 8;

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Every unit is kept: validation, test, prediction.
    Inference,
    /// Units are dropped with the mask of this step: training, or a test with dropout left on.
    Training {
        /// Batches trained on before this one.
        step: u64,
    },
}

/// Dropout after every hidden activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability that a unit is dropped, in [0, 1).
    pub probability: f64,
    /// Where the scaling happens.
    pub mode: DropoutMode,
    /// Seed of the masks.
    pub seed: u64,
}

impl Dropout {
    /// What a unit's output is multiplied by in inference.
    #[must_use]
    pub fn inference_factor(&self) -> f32 {
        match self.mode {
            DropoutMode::Inverted => 1.0,
            DropoutMode::Standard => (1.0 - self.probability) as f32,
        }
    }

    /// The mask of `layer`, from 0, in `step`.
    #[must_use]
    pub fn mask(&self, step: u64, layer: usize) -> DropoutMask {
        let keep = 1.0 - self.probability;
        DropoutMask {
            stream: Stream::new(self.seed, Purpose::Dropout, &[step, layer as u64]),
            threshold: (keep * f64::from(1_u32 << BITS)).round() as u32,
            kept_value: match self.mode {
                DropoutMode::Inverted => (1.0 / keep) as f32,
                DropoutMode::Standard => 1.0,
            },
        }
    }
}

/// Which units of a layer are kept in a step, and what they are multiplied by.
#[derive(Clone, Debug)]
pub struct DropoutMask {
    stream: Stream,
    threshold: u32,
    kept_value: f32,
}

impl DropoutMask {
    /// Writes what the outputs from number `position` on, counted over the whole batch row after row, are multiplied
    /// by: 0 where dropped.
    #[inline(always)]
    pub fn fill(&self, position: usize, factors: &mut [f32]) {
        let (mut word, skipped) = ((position / UNITS) as u64, position % UNITS);
        let (head, rest) = factors.split_at_mut(((UNITS - skipped) % UNITS).min(factors.len()));
        if !head.is_empty() {
            self.fill_word(word, skipped, head);
            word += 1;
        }
        let (words, tail) = rest.as_chunks_mut::<UNITS>();
        let (blocks, words) = words.as_chunks_mut::<BLOCK>();
        for factors in blocks {
            self.fill_block(word, factors);
            word += BLOCK as u64;
        }
        for factors in words {
            self.fill_word(word, 0, factors);
            word += 1;
        }
        self.fill_word(word, 0, tail);
    }

    /// Several words side by side, in vectors.
    #[inline(always)]
    fn fill_block(&self, first: u64, factors: &mut [[f32; UNITS]; BLOCK]) {
        let words: [u64; BLOCK] = std::array::from_fn(|word| self.stream.word(first + word as u64));
        for (factors, bits) in factors.iter_mut().zip(words) {
            for (unit, factor) in factors.iter_mut().enumerate() {
                let drawn = (bits >> (unit * BITS)) as u32 & 0xffff;
                *factor = if drawn < self.threshold { self.kept_value } else { 0.0 };
            }
        }
    }

    #[inline(always)]
    fn fill_word(&self, word: u64, skipped: usize, factors: &mut [f32]) {
        let bits = self.stream.word(word);
        for (unit, factor) in factors.iter_mut().enumerate() {
            let drawn = (bits >> ((skipped + unit) * BITS)) as u32 & 0xffff;
            *factor = if drawn < self.threshold { self.kept_value } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(start: usize, end: usize) -> Vec<f32> {
        let dropout = Dropout { probability: 0.2, mode: DropoutMode::Inverted, seed: 1 };
        let mut factors = vec![f32::NAN; end - start];
        dropout.mask(3, 0).fill(start, &mut factors);
        factors
    }

    #[test]
    fn any_piece_of_the_mask_is_that_of_the_whole() {
        let whole = mask(0, 200);
        for (start, end) in [(0, 1), (1, 3), (3, 41), (40, 72), (6, 6), (7, 200)] {
            assert_eq!(mask(start, end), whole[start..end], "{start}..{end}");
        }
    }

    #[test]
    fn the_share_that_is_dropped_is_the_probability() {
        let dropped = mask(0, 100_000).into_iter().filter(|value| *value == 0.0).count();
        assert!((f64::from(dropped as u32) / 1e5 - 0.2).abs() < 0.005, "{dropped}");
    }
}

//! Dropout's masks: pure functions of a random stream, which has no state.

use kiln_config::random::Stream;

/// Random bits spent on a unit: the drop probability is met to 1 / 65,536.
const BITS: usize = 16;
/// Units that a random word decides on.
const UNITS: usize = 64 / BITS;
/// Words that are drawn side by side.
const BLOCK: usize = 8;

/// What dropout does to a layer's outputs in one pass.
#[derive(Clone, Debug)]
pub enum Dropping {
    /// Nothing.
    None,
    /// All are multiplied by this.
    Scale(f32),
    /// Each is multiplied by what the mask has for it.
    Mask(DropoutMask),
}

/// Which units of a layer are kept in a step, and what they are multiplied by.
#[derive(Clone, Debug)]
pub struct DropoutMask {
    pub(crate) stream: Stream,
    pub(crate) threshold: u32,
    pub(crate) kept_value: f32,
}

/// Factors that are made and used together.
const FACTORS: usize = UNITS * BLOCK;

impl DropoutMask {
    /// Keeps each unit with probability `keep`, in (0, 1], as `stream` draws, and multiplies it by `kept_value`.
    #[must_use]
    pub fn new(stream: Stream, keep: f64, kept_value: f32) -> Self {
        Self { stream, threshold: (keep * f64::from(1_u32 << BITS)).round() as u32, kept_value }
    }

    /// Multiplies the outputs from number `position` on, and their slopes, if there are any.
    #[inline(always)]
    pub(crate) fn multiply(&self, position: usize, values: &mut [f32], slopes: &mut [f32]) {
        let (blocks, rest) = values.as_chunks_mut::<FACTORS>();
        let (slope_blocks, rest_slopes) = slopes.as_chunks_mut::<FACTORS>();
        let (mut slope_blocks, mut position) = (slope_blocks.iter_mut(), position);
        for values in blocks {
            let mut factors = [0.0; FACTORS];
            self.fill(position, &mut factors);
            *values = product(values, &factors);
            if let Some(slopes) = slope_blocks.next() {
                *slopes = product(slopes, &factors);
            }
            position += FACTORS;
        }
        let mut factors = [0.0; FACTORS];
        self.fill(position, &mut factors[..rest.len()]);
        for (value, factor) in rest.iter_mut().zip(&factors) {
            *value *= factor;
        }
        for (slope, factor) in rest_slopes.iter_mut().zip(&factors) {
            *slope *= factor;
        }
    }

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

#[inline(always)]
fn product(values: &[f32; FACTORS], factors: &[f32; FACTORS]) -> [f32; FACTORS] {
    let mut product = [0.0; FACTORS];
    for (at, product) in product.iter_mut().enumerate() {
        *product = values[at] * factors[at];
    }
    product
}

#[cfg(test)]
mod tests {
    use kiln_config::random::Purpose;

    use super::*;

    fn mask(start: usize, end: usize) -> Vec<f32> {
        let mask = DropoutMask::new(Stream::new(1, Purpose::Dropout, &[3, 0]), 0.8, 1.25);
        let mut factors = vec![f32::NAN; end - start];
        mask.fill(start, &mut factors);
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

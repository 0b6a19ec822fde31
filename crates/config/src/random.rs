//! Random streams that are pure functions of (seed, purpose, indices).
//!
//! Every random number that affects a result comes from here; Burn's own draws, in a user's module, are seeded from here.
//! A run can be stopped anywhere and resumed to the bit, because the generator does not have a state to save. It is
//! SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"): a counter and a mixing
//! function.

/// The use of random numbers; each purpose has its own streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Which examples go to which split.
    Split,
    /// Starting weights; index: layer.
    Initialization,
    /// The order of the examples; index: epoch.
    Order,
    /// Dropout masks; indices: step, layer.
    Dropout,
    /// Examples chosen for display or resampling.
    Sampling,
    /// Generated examples; indices: source, column.
    Generation,
    /// Shuffled values of a column for permutation importance; indices: column, shuffle.
    Importance,
    /// Values that a search tries; indices: trial, draw, coordinate.
    Search,
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream {
    key: u64,
    counter: u64,
}

const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

impl Stream {
    /// The stream for `purpose` at `indices` (an epoch, a step, a layer) under `seed`.
    #[must_use]
    pub fn new(seed: u64, purpose: Purpose, indices: &[u64]) -> Self {
        let start = mix(seed.wrapping_add(GOLDEN_GAMMA).wrapping_add(purpose as u64));
        let key = indices
            .iter()
            .fold(start, |key, index| mix(key.wrapping_add(GOLDEN_GAMMA) ^ mix(index.wrapping_add(1))));
        Self { key, counter: 0 }
    }

    /// The key of the stream: word `index` is `mix(key + (index + 1) * GOLDEN_GAMMA)`.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.key
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(GOLDEN_GAMMA);
        mix(self.key.wrapping_add(self.counter))
    }

    /// The 64 random bits at `index` from the start of the stream, independent of earlier draws.
    #[must_use]
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "only inlined code is compiled to vector instructions")]
    pub fn word(&self, index: u64) -> u64 {
        mix(self.key.wrapping_add(index.wrapping_add(1).wrapping_mul(GOLDEN_GAMMA)))
    }

    /// A number in [0, 1), in steps of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// A number from the standard normal distribution (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// A whole number in [0, bound), without bias (Lemire 2019).
    ///
    /// # Panics
    /// If `bound` is zero.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "no whole number is below zero");
        let bound = bound as u64;
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as usize;
            }
        }
    }

    /// Shuffles `items` (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// SplitMix64's finalizer: variant 13 of Stafford's mixers.
#[inline(always)]
#[expect(clippy::inline_always, reason = "only inlined code is compiled to vector instructions")]
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_give_equal_streams_and_any_other_key_differs() {
        let draw = |seed, purpose, indices: &[u64]| Stream::new(seed, purpose, indices).next_u64();
        let reference = draw(1, Purpose::Dropout, &[3, 0]);
        assert_eq!(reference, draw(1, Purpose::Dropout, &[3, 0]));
        let mut stream = Stream::new(1, Purpose::Dropout, &[3, 0]);
        let words = [0, 1, 2].map(|index| stream.word(index));
        assert_eq!(words, [(); 3].map(|()| stream.next_u64()));
        for other in [
            draw(2, Purpose::Dropout, &[3, 0]),
            draw(1, Purpose::Order, &[3, 0]),
            draw(1, Purpose::Dropout, &[0, 3]),
            draw(1, Purpose::Dropout, &[3]),
        ] {
            assert_ne!(reference, other);
        }
    }

    #[test]
    fn draws_have_the_mean_and_the_variance_of_their_distribution() {
        let mut stream = Stream::new(7, Purpose::Sampling, &[]);
        let count = 200_000;
        let mean = (0..count).map(|_| stream.uniform()).sum::<f64>() / f64::from(count);
        assert!((mean - 0.5).abs() < 0.003, "{mean}");
        let normals: Vec<f64> = (0..count).map(|_| stream.normal()).collect();
        let mean = normals.iter().sum::<f64>() / f64::from(count);
        let variance = normals.iter().map(|x| x * x).sum::<f64>() / f64::from(count);
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn a_shuffle_is_a_permutation_and_whole_numbers_stay_below_their_bound() {
        let mut stream = Stream::new(7, Purpose::Order, &[1]);
        let mut items: Vec<usize> = (0..1000).collect();
        stream.shuffle(&mut items);
        assert_ne!(items, (0..1000).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..1000).collect::<Vec<_>>());
        assert!((0..1000).all(|_| stream.below(7) < 7));
    }
}

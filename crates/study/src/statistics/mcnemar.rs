//! McNemar's test: do two classifiers err equally often on the same examples?
//!
//! McNemar 1947, "Note on the sampling error of the difference between correlated proportions or percentages";
//! the continuity correction is Edwards' (1948). Only the examples that one of the two gets right and the
//! other wrong tell anything.

use schemars::JsonSchema;
use serde::Serialize;

/// Below this many discordant examples the chi-square distribution is too coarse, and the binomial one is
/// used.
const FEWEST_FOR_CHI_SQUARE: u64 = 25;

/// Two classifiers on the same examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct McNemar {
    /// Examples that the first alone gets right.
    pub first_alone: u64,
    /// Examples that the second alone gets right.
    pub second_alone: u64,
    /// Probability of a difference at least as great if both erred equally often, in [0, 1].
    pub p_value: f64,
    /// How it was computed.
    pub method: Method,
}

/// How the probability was computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "McNemarMethod")]
pub enum Method {
    /// The exact two-sided binomial test.
    ExactBinomial,
    /// Chi-square with one degree of freedom and continuity correction.
    ChiSquare,
}

impl McNemar {
    /// The test for two classifiers of which each gets so many examples right that the other gets wrong.
    #[must_use]
    pub fn of(first_alone: u64, second_alone: u64) -> Self {
        let discordant = first_alone + second_alone;
        let (p_value, method) = if discordant < FEWEST_FOR_CHI_SQUARE {
            (binomial(first_alone.min(second_alone), discordant), Method::ExactBinomial)
        } else {
            let distance = (first_alone.abs_diff(second_alone) as f64 - 1.0).max(0.0);
            (chi_square_tail(distance * distance / discordant as f64), Method::ChiSquare)
        };
        Self { first_alone, second_alone, p_value, method }
    }
}

/// Twice the probability of at most `fewer` heads in `throws` throws of a coin, at most 1.
fn binomial(fewer: u64, throws: u64) -> f64 {
    let mut term = 0.5_f64.powi(i32::try_from(throws).unwrap_or(i32::MAX));
    let mut sum = term;
    for head in 1..=fewer {
        term *= (throws - head + 1) as f64 / head as f64;
        sum += term;
    }
    (2.0 * sum).min(1.0)
}

/// The probability of more than `x` under chi-square with one degree of freedom.
fn chi_square_tail(x: f64) -> f64 {
    libm::erfc((x / 2.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Python's `2 * sum(comb(n, k) for k in range(fewer + 1)) / 2**n` and `erfc(sqrt(x / 2))`.
    #[test]
    fn p_values_are_those_of_python() {
        for (first, second, p_value, method) in [
            (0, 0, 1.0, Method::ExactBinomial),
            (5, 5, 1.0, Method::ExactBinomial),
            (1, 9, 0.021_484_375, Method::ExactBinomial),
            (2, 20, 0.000_121_116_638_183_593_75, Method::ExactBinomial),
            (12, 13, 1.0, Method::ChiSquare),
            (10, 25, 0.017_960_477_526, Method::ChiSquare),
            (121, 59, 5.450_094_825e-6, Method::ChiSquare),
            (500, 300, 1.982_453_687_6e-12, Method::ChiSquare),
        ] {
            let test = McNemar::of(first, second);
            assert_eq!(test.method, method, "{first} {second}");
            let error = (test.p_value - p_value).abs();
            assert!(error <= 1e-9 * p_value, "{first} {second}: {} for {p_value}", test.p_value);
        }
    }

    #[test]
    fn the_complementary_error_function_is_that_of_the_tables() {
        for (x, expected) in [
            (0.0, 1.0),
            (0.5, 0.479_500_122_186_953_5),
            (1.0, 0.157_299_207_050_285_13),
            (1.999, 0.004_698_443_348_629_488),
            (2.0, 0.004_677_734_981_047_266),
            (3.0, 2.209_049_699_858_543_8e-5),
            (5.0, 1.537_459_794_428_035e-12),
        ] {
            let found = libm::erfc(x);
            assert!((found - expected).abs() <= 1e-9 * expected, "{x}: {found} for {expected}");
        }
    }
}

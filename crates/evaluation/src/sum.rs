//! A sum that loses no digits on the way.

/// A running sum with the rounding errors of its additions kept aside (Neumaier 1974): accurate to the last
/// bit or two for any number of terms, so that their order does not matter.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sum {
    total: f64,
    lost: f64,
}

impl Sum {
    pub(crate) fn add(&mut self, term: f64) {
        let total = self.total + term;
        let (greater, smaller) =
            if self.total.abs() >= term.abs() { (self.total, term) } else { (term, self.total) };
        self.lost += (greater - total) + smaller;
        self.total = total;
    }

    /// The sum; infinite or NaN where a term was.
    pub(crate) fn value(self) -> f64 {
        if self.total.is_finite() { self.total + self.lost } else { self.total }
    }
}

impl FromIterator<f64> for Sum {
    fn from_iter<I: IntoIterator<Item = f64>>(terms: I) -> Self {
        let mut sum = Self::default();
        for term in terms {
            sum.add(term);
        }
        sum
    }
}

/// The sum of `terms`.
pub(crate) fn sum(terms: impl IntoIterator<Item = f64>) -> f64 {
    terms.into_iter().collect::<Sum>().value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_survive_great_ones() {
        let terms = [1e100, 1.0, 1e-30, -1e100, 1.0];
        assert_eq!(sum(terms), 2.0);
        assert_eq!(terms.iter().sum::<f64>(), 1.0);
        assert_eq!(sum(std::iter::repeat_n(0.1, 1_000_000)), 100_000.0);
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        assert!(sum([1.0, f64::INFINITY, 2.0]).is_infinite());
        assert!(sum([1.0, f64::NAN]).is_nan());
    }
}

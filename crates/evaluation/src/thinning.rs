//! Curves of so many points that no eye and no file needs them all.

/// Curves of at most this many points keep them all.
pub(crate) const MAX_EXACT_POINTS: usize = 10_000;

/// How far a curve of more points may go, along either axis in [0, 1], before a point of it is kept.
pub(crate) const RESOLUTION: f64 = 1.0 / 4000.0;

/// The points of a curve: all of them up to [`MAX_EXACT_POINTS`]; of more, the first, the last, and enough
/// of those between that whatever is left out lies within [`RESOLUTION`] of one that is kept.
///
/// The points come twice, once to be counted, so that they need not all be held.
pub(crate) fn thin<T: Copy, I: Iterator<Item = T>>(
    points: impl Fn() -> I,
    position: impl Fn(&T) -> [f64; 2],
) -> Vec<T> {
    if points().count() <= MAX_EXACT_POINTS {
        return points().collect();
    }
    let mut points = points();
    let mut kept: Vec<T> = points.next().into_iter().collect();
    let mut passed: Option<T> = None;
    for point in points {
        let last = kept.last().expect("a first point was kept");
        if let Some(before) = passed
            && is_far(position(last), position(&point))
        {
            kept.push(before);
        }
        passed = Some(point);
    }
    kept.extend(passed);
    kept
}

fn is_far(left: [f64; 2], right: [f64; 2]) -> bool {
    left.iter().zip(right).any(|(left, right)| (left - right).abs() > RESOLUTION)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A quarter of a circle, up and to the right.
    fn arc(points: usize) -> Vec<[f64; 2]> {
        let angle = |index: usize| std::f64::consts::FRAC_PI_2 * index as f64 / (points - 1) as f64;
        (0..points).map(|index| [1.0 - angle(index).cos(), angle(index).sin()]).collect()
    }

    #[test]
    fn short_curves_are_left_alone() {
        let arc = arc(MAX_EXACT_POINTS);
        assert_eq!(thin(|| arc.iter().copied(), |point| *point), arc);
        assert!(thin(std::iter::empty::<[f64; 2]>, |point| *point).is_empty());
    }

    #[test]
    fn long_curves_stay_near_themselves() {
        let arc = arc(300_000);
        let kept = thin(|| arc.iter().copied(), |point| *point);
        assert!(kept.len() < MAX_EXACT_POINTS, "{}", kept.len());
        assert_eq!((kept[0], kept.last()), (arc[0], arc.last().copied().as_ref()));
        for pair in kept.windows(2) {
            assert!(!is_far(pair[0], pair[1]), "{pair:?}");
        }
    }
}

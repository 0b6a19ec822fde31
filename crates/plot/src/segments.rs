//! From the points of a series to what of them is drawn.

use crate::stroke::Path;

/// The stretches of `points` without a gap, in pixels, with no more points than a picture can show. `place`
/// gives the pixels of a point, or none where it has no place in the picture.
pub(crate) fn segments(points: &[(f64, f64)], place: impl Fn((f64, f64)) -> Option<(f64, f64)>) -> Vec<Path> {
    let places: Vec<Option<(f64, f64)>> = points.iter().map(|point| place(*point)).collect();
    let stretches = places.split(Option::is_none).filter(|stretch| !stretch.is_empty());
    stretches.map(|stretch| thinned(stretch.iter().flatten().copied())).collect()
}

/// Of the points one after another in one column of pixels, the first, the last, the highest and the lowest:
/// the line through them covers the same pixels as the line through all.
fn thinned(path: impl Iterator<Item = (f64, f64)>) -> Path {
    let mut kept = Path::new();
    let mut column: Option<Column> = None;
    for (index, place) in path.enumerate() {
        match &mut column {
            Some(column) if column.number == place.0.floor() => column.add(index, place),
            _ => {
                kept.extend(column.take().into_iter().flat_map(Column::points));
                column = Some(Column::new(index, place));
            }
        }
    }
    kept.extend(column.into_iter().flat_map(Column::points));
    kept
}

/// Points in one column of pixels, each with its number in the path.
struct Column {
    number: f64,
    first: (usize, (f64, f64)),
    highest: (usize, (f64, f64)),
    lowest: (usize, (f64, f64)),
    last: (usize, (f64, f64)),
}

impl Column {
    fn new(index: usize, place: (f64, f64)) -> Self {
        let point = (index, place);
        Self { number: place.0.floor(), first: point, highest: point, lowest: point, last: point }
    }

    fn add(&mut self, index: usize, place: (f64, f64)) {
        let point = (index, place);
        if place.1 < self.highest.1.1 {
            self.highest = point;
        }
        if place.1 > self.lowest.1.1 {
            self.lowest = point;
        }
        self.last = point;
    }

    fn points(self) -> impl Iterator<Item = (f64, f64)> {
        let mut points = [self.first, self.highest, self.lowest, self.last];
        points.sort_by_key(|(index, _)| *index);
        let mut points = points.to_vec();
        points.dedup_by_key(|(index, _)| *index);
        points.into_iter().map(|(_, place)| place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_place_is_a_gap() {
        let place = |(x, y): (f64, f64)| y.is_finite().then_some((x, y));
        let points =
            [(0.0, f64::NAN), (1.0, 5.0), (2.0, 6.0), (3.0, f64::NAN), (4.0, f64::INFINITY), (5.0, 7.0)];
        assert_eq!(segments(&points, place), [vec![(1.0, 5.0), (2.0, 6.0)], vec![(5.0, 7.0)]]);
        assert_eq!(segments(&[], place), Vec::<Path>::new());
    }

    #[test]
    fn a_long_curve_keeps_its_ends_and_its_peaks() {
        let wave = |index: u32| (f64::from(index) / 200.0, f64::from(index * 7919 % 1000));
        let points: Vec<(f64, f64)> = (0..100_000).map(wave).collect();
        let path = &segments(&points, Some)[0];
        assert!((1000..=2000).contains(&path.len()), "{}", path.len());
        assert_eq!((path[0], path[path.len() - 1]), (points[0], points[99_999]));
        assert!(path.iter().any(|place| place.1 == 999.0) && path.iter().any(|place| place.1 == 0.0));
    }

    proptest! {
        #[test]
        fn thinning_keeps_the_order_and_the_extent(points in prop::collection::vec((0.0..20.0_f64, 0.0..9.0_f64), 1..200)) {
            let path = &segments(&points, Some)[0];
            let mut rest = points.iter();
            prop_assert!(path.iter().all(|place| rest.any(|point| point == place)), "in order");
            let extent = |points: &[(f64, f64)]| {
                points.iter().fold((f64::MAX, f64::MIN), |(low, high), point| (low.min(point.1), high.max(point.1)))
            };
            prop_assert_eq!(extent(path), extent(&points));
        }
    }
}

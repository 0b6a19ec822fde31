//! The style of a series: colour and dashes, the line through its points, and its row in the legend.

use plotters::prelude::DrawingBackend;

use crate::Color;
use crate::canvas::{Anchor, Canvas, DrawResult, Pen, SMALL, shortened, text_width};
use crate::color::PALETTE;

/// The pattern of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dash {
    /// A continuous line.
    #[default]
    Solid,
    /// Strokes.
    Dashed,
    /// Dots.
    Dotted,
    /// Alternating strokes and dots.
    DashDotted,
}

/// A colour and a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// The colour of the line and its dots.
    pub color: Color,
    /// The pattern of the line.
    pub dash: Dash,
}

/// The points of a path, in pixels.
type Path = Vec<(f64, f64)>;

const DASHES: [Dash; 4] = [Dash::Solid, Dash::Dashed, Dash::Dotted, Dash::DashDotted];

/// A curve longer than this many pixels is so dense that its dashes would merge.
const LONGEST_DASHED: f64 = 12_000.0;

impl Style {
    /// The style of series `index`, from 0: six colours, then the same ones dashed, dotted and dash-dotted; after these 24 styles,
    /// they repeat.
    #[must_use]
    pub fn nth(index: usize) -> Self {
        Self { color: PALETTE[index % PALETTE.len()], dash: DASHES[index / PALETTE.len() % DASHES.len()] }
    }
}

impl Dash {
    /// Alternating lengths of strokes and gaps, in pixels.
    fn lengths(self) -> &'static [f64] {
        match self {
            Self::Solid => &[],
            Self::Dashed => &[7.0, 4.0],
            Self::Dotted => &[2.0, 3.0],
            Self::DashDotted => &[9.0, 3.0, 2.0, 3.0],
        }
    }

    /// The strokes of this pattern along `path`.
    pub(crate) fn strokes(self, path: &[(f64, f64)]) -> Vec<Path> {
        if self == Self::Solid || length(path) > LONGEST_DASHED {
            return vec![path.to_vec()];
        }
        let mut walk =
            DashWalk { lengths: self.lengths(), index: 0, left: self.lengths()[0], strokes: vec![] };
        walk.strokes.extend(path.first().map(|start| vec![*start]));
        for pair in path.windows(2) {
            walk.along(pair[0], pair[1]);
        }
        walk.strokes.retain(|stroke| stroke.len() > 1);
        walk.strokes
    }
}

/// The state while a pattern is laid along a path.
struct DashWalk {
    lengths: &'static [f64],
    /// The index of the current length; even ones are strokes.
    index: usize,
    /// The rest of the current length.
    left: f64,
    strokes: Vec<Path>,
}

impl DashWalk {
    fn along(&mut self, from: (f64, f64), to: (f64, f64)) {
        let whole = distance(from, to);
        let mut done = 0.0;
        while whole - done > self.left {
            done += self.left;
            let part = done / whole;
            self.turn((from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part));
        }
        self.left -= whole - done;
        self.extend(to);
    }

    /// Ends the stroke or gap at `place` and begins the next.
    fn turn(&mut self, place: (f64, f64)) {
        self.extend(place);
        self.index = (self.index + 1) % self.lengths.len();
        self.left = self.lengths[self.index];
        if self.index.is_multiple_of(2) {
            self.strokes.push(vec![place]);
        }
    }

    fn extend(&mut self, place: (f64, f64)) {
        if self.index.is_multiple_of(2)
            && let Some(stroke) = self.strokes.last_mut()
        {
            stroke.push(place);
        }
    }
}

fn length(path: &[(f64, f64)]) -> f64 {
    path.windows(2).map(|pair| distance(pair[0], pair[1])).sum()
}

fn distance(from: (f64, f64), to: (f64, f64)) -> f64 {
    (to.0 - from.0).hypot(to.1 - from.1)
}

/// Splits `points` at gaps and reduces each segment to the points that a chart can show, in pixels. `place` returns the pixels
/// of a point, or `None` for a gap.
pub(crate) fn segments(points: &[(f64, f64)], place: impl Fn((f64, f64)) -> Option<(f64, f64)>) -> Vec<Path> {
    let places: Vec<Option<(f64, f64)>> = points.iter().map(|point| place(*point)).collect();
    let stretches = places.split(Option::is_none).filter(|stretch| !stretch.is_empty());
    stretches.map(|stretch| thinned(stretch.iter().flatten().copied())).collect()
}

/// Reduces consecutive points in the same column of pixels to the first, last, highest and lowest: the line through them covers
/// the same pixels.
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

/// The points to keep in one column of pixels, with their indices in the path.
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

const LINE_WIDTH: f64 = 2.0;
pub(crate) const DOT_RADIUS: f64 = 3.0;
const ROW: f64 = 20.0;
/// Long enough to recognize every dash pattern, even with a dot on it.
const SAMPLE: f64 = 30.0;
const GAP: f64 = 8.0;
/// More names would make the chart several pages long.
const MOST_ROWS: usize = 60;
/// A longer name is shortened.
const WIDEST_NAME: f64 = 300.0;
/// More rows look better in two columns.
const FEW_ROWS: usize = 6;
/// The space between two columns.
const COLUMN_GAP: f64 = 20.0;

/// The symbol before a name in the legend.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LegendKey {
    /// A line, with a dot if its points have dots.
    Line { style: Style, has_dot: bool },
    /// A dashed line in the ink of the axes.
    ReferenceLine,
    /// A bar.
    Bar(Color),
    /// A dot with an error bar.
    Whisker(Color),
}

/// Symbols and their names in columns, and the number of names that do not fit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Legend {
    rows: Vec<(LegendKey, String)>,
    left_out: usize,
}

impl Legend {
    /// Adds a row, unless the name is empty or already present.
    pub(crate) fn add(&mut self, key: LegendKey, name: &str) {
        let name = shortened(name, SMALL, WIDEST_NAME);
        if name.is_empty() || self.rows.iter().any(|(_, present)| *present == name) {
            return;
        }
        if self.rows.len() < MOST_ROWS {
            self.rows.push((key, name));
        } else {
            self.left_out += 1;
        }
    }

    /// The preferred width in pixels: one column, or two for many rows.
    pub(crate) fn best_width(&self) -> f64 {
        let columns = if self.rows.len() > FEW_ROWS { 2.0 } else { 1.0 };
        columns * (self.width() + COLUMN_GAP) - COLUMN_GAP
    }

    /// The width of one column in pixels; 0 without rows.
    pub(crate) fn width(&self) -> f64 {
        let widest = self.rows.iter().map(|(_, name)| text_width(name, SMALL)).reduce(f64::max);
        widest.map_or(0.0, |widest| (SAMPLE + GAP + widest).ceil())
    }

    /// The height in pixels at this width.
    pub(crate) fn height(&self, width: f64) -> f64 {
        let entries = self.rows.len() + usize::from(self.left_out > 0);
        entries.div_ceil(self.columns(width)) as f64 * ROW
    }

    /// Draws the legend with its upper left corner at `place`, at this width.
    pub(crate) fn draw<B: DrawingBackend>(
        &self,
        canvas: &Canvas<B>,
        place: (f64, f64),
        width: f64,
    ) -> DrawResult {
        let columns = self.columns(width);
        let at = |index: usize| {
            let (row, column) = (index / columns, index % columns);
            let left = place.0 + column as f64 * (self.width() + COLUMN_GAP);
            (left, place.1 + (row as f64 + 0.5) * ROW)
        };
        let name = |text: &str, (left, y): (f64, f64)| {
            canvas.text(text, (left + SAMPLE + GAP, y), canvas.label_style(SMALL, Anchor::Start))
        };
        for (index, (key, text)) in self.rows.iter().enumerate() {
            let (left, y) = at(index);
            key.draw(canvas, left, y)?;
            name(text, (left, y))?;
        }
        if self.left_out == 0 { Ok(()) } else { name(&format!("+ {}", self.left_out), at(self.rows.len())) }
    }

    /// The number of columns that fit side by side, at least one.
    fn columns(&self, width: f64) -> usize {
        ((width + COLUMN_GAP) / (self.width() + COLUMN_GAP)).floor().max(1.0) as usize
    }
}

impl LegendKey {
    fn draw<B: DrawingBackend>(self, canvas: &Canvas<B>, left: f64, y: f64) -> DrawResult {
        let (line, middle) = ([(left, y), (left + SAMPLE, y)], left + SAMPLE / 2.0);
        match self {
            Self::Line { style, has_dot } => {
                draw_line(canvas, &line, style)?;
                if has_dot { canvas.disc((middle, y), DOT_RADIUS, style.color) } else { Ok(()) }
            }
            Self::ReferenceLine => draw_reference_line(canvas, &line),
            Self::Bar(color) => canvas.rectangle((middle - 10.0, y - 6.0), (middle + 10.0, y + 6.0), color),
            Self::Whisker(color) => draw_whisker(canvas, middle, [y - 8.0, y, y + 8.0], color),
        }
    }
}

/// Draws the curve of a series.
pub(crate) fn draw_line<B: DrawingBackend>(
    canvas: &Canvas<B>,
    path: &[(f64, f64)],
    style: Style,
) -> DrawResult {
    for stroke in style.dash.strokes(path) {
        canvas.line(&stroke, Pen::new(style.color, LINE_WIDTH))?;
    }
    Ok(())
}

/// Draws a thin dashed line in the ink of the axes.
pub(crate) fn draw_reference_line<B: DrawingBackend>(canvas: &Canvas<B>, path: &[(f64, f64)]) -> DrawResult {
    for stroke in Dash::Dashed.strokes(path) {
        canvas.line(&stroke, Pen::new(canvas.ink, 1.2))?;
    }
    Ok(())
}

/// Draws a dot at the middle height, with a line from the high to the low one.
pub(crate) fn draw_whisker<B: DrawingBackend>(
    canvas: &Canvas<B>,
    x: f64,
    [high, middle, low]: [f64; 3],
    color: Color,
) -> DrawResult {
    canvas.line(&[(x, high), (x, low)], Pen::new(color, LINE_WIDTH))?;
    canvas.disc((x, middle), DOT_RADIUS + 1.0, color)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn twenty_four_styles_differ() {
        let styles: Vec<Style> = (0..24).map(Style::nth).collect();
        for (index, style) in styles.iter().enumerate() {
            assert!(!styles[..index].contains(style), "{index}");
        }
        assert_eq!(Style::nth(24), Style::nth(0));
    }

    #[test]
    fn dashes_go_round_corners() {
        let strokes = Dash::Dashed.strokes(&[(0.0, 0.0), (5.0, 0.0), (5.0, 20.0)]);
        let expected = [
            vec![(0.0, 0.0), (5.0, 0.0), (5.0, 2.0)],
            vec![(5.0, 6.0), (5.0, 13.0)],
            vec![(5.0, 17.0), (5.0, 20.0)],
        ];
        assert_eq!(strokes, expected);
    }

    #[test]
    fn a_very_long_curve_is_solid() {
        let path: Path = (0..1000).map(|index| (f64::from(index), f64::from(index % 2) * 300.0)).collect();
        assert_eq!(Dash::Dotted.strokes(&path), [path]);
    }

    #[test]
    fn a_point_without_a_position_is_a_gap() {
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

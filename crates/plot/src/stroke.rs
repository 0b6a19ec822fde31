//! How a series is drawn: its colour and its dashes.

use crate::color::{Color, PALETTE};

/// The pattern of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dash {
    /// Without gaps.
    #[default]
    Solid,
    /// Strokes.
    Dashed,
    /// Dots.
    Dotted,
    /// Strokes and dots in turn.
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

/// Points of a path, in pixels.
pub(crate) type Path = Vec<(f64, f64)>;

const DASHES: [Dash; 4] = [Dash::Solid, Dash::Dashed, Dash::Dotted, Dash::DashDotted];

/// A curve longer than this many pixels winds so closely that its dashes would melt together.
const LONGEST_DASHED: f64 = 12_000.0;

impl Style {
    /// The style of the series number `index`, from 0: six colours that the colour-blind tell apart, then the
    /// same ones dashed, dotted and dash-dotted, 24 in all, and from the start again.
    #[must_use]
    pub fn nth(index: usize) -> Self {
        Self { color: PALETTE[index % PALETTE.len()], dash: DASHES[index / PALETTE.len() % DASHES.len()] }
    }
}

impl Dash {
    /// Stroke, gap and so on in turn, in pixels.
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
        let mut walk = Walk { lengths: self.lengths(), index: 0, left: self.lengths()[0], strokes: vec![] };
        walk.strokes.extend(path.first().map(|start| vec![*start]));
        for pair in path.windows(2) {
            walk.along(pair[0], pair[1]);
        }
        walk.strokes.retain(|stroke| stroke.len() > 1);
        walk.strokes
    }
}

/// A pattern half laid along a path.
struct Walk {
    lengths: &'static [f64],
    /// Which length is being laid; even ones are strokes.
    index: usize,
    /// How much of it is left.
    left: f64,
    strokes: Vec<Path>,
}

impl Walk {
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

    /// Ends the stroke or the gap at `place` and begins the next.
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

#[cfg(test)]
mod tests {
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
    fn a_long_winding_curve_is_solid() {
        let path: Path = (0..1000).map(|index| (f64::from(index), f64::from(index % 2) * 300.0)).collect();
        assert_eq!(Dash::Dotted.strokes(&path), [path]);
    }
}

//! From a number to the colour of its cell.

use crate::Color;

const LOW: Color = Color(0xf1, 0xf5, 0xfa);
const MIDDLE: Color = Color(0x6b, 0xae, 0xd6);
const HIGH: Color = Color(0x08, 0x30, 0x6b);

/// Light for 0, dark blue for the greatest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Heat {
    /// The greatest value, above 0.
    pub(crate) greatest: f64,
}

impl Heat {
    /// How far `value` is from 0 to the greatest, in [0, 1], as the square root has it: the few mistakes beside
    /// many hits would not be seen otherwise.
    pub(crate) fn share(self, value: f64) -> f64 {
        (value / self.greatest).clamp(0.0, 1.0).sqrt()
    }

    /// The colour of a share in [0, 1].
    pub(crate) fn color(share: f64) -> Color {
        if share < 0.5 {
            LOW.toward(MIDDLE, share * 2.0)
        } else {
            MIDDLE.toward(HIGH, share.mul_add(2.0, -1.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_legible_on_every_color() {
        for part in 0..=1000 {
            let color = Heat::color(f64::from(part) / 1000.0);
            assert!(color.contrast(color.ink()) >= 4.5, "{color:?}");
        }
    }

    #[test]
    fn greater_values_are_darker() {
        let heat = Heat { greatest: 1130.0 };
        assert_eq!([0.0, 282.5, 1130.0].map(|value| heat.share(value)), [0.0, 0.5, 1.0]);
        let colors: Vec<Color> = (0..=10).map(|part| Heat::color(f64::from(part) / 10.0)).collect();
        let from_white = |color: &Color| color.contrast(Color(255, 255, 255));
        assert!(colors.windows(2).all(|pair| from_white(&pair[0]) < from_white(&pair[1])));
        assert_eq!((colors[0], colors[10]), (LOW, HIGH));
    }
}

//! Colours that are distinct on white, on near-black, and for colour-blind readers.

use plotters::style::RGBColor;

/// An sRGB colour: red, green and blue, each 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Color(pub u8, pub u8, pub u8);

/// The colours of series, in turn. The first four are from Okabe and Ito (2008, "Color universal design"), without those that
/// are too bright on white. Violet and brown are the most distant from these for both kinds of red-green blindness.
pub(crate) const PALETTE: [Color; 6] = [
    Color(0x00, 0x72, 0xb2),
    Color(0xd5, 0x5e, 0x00),
    Color(0x00, 0x9e, 0x73),
    Color(0xcc, 0x79, 0xa7),
    Color(0x88, 0x11, 0xff),
    Color(0x99, 0x66, 0x44),
];

/// Text on a transparent background: a contrast of at least 3.9 with white and with near-black.
pub(crate) const GREY: Color = Color(0x76, 0x76, 0x76);
/// Text on white.
pub(crate) const DARK: Color = Color(0x3c, 0x3c, 0x3c);
pub(crate) const WHITE: Color = Color(0xff, 0xff, 0xff);
pub(crate) const BLACK: Color = Color(0, 0, 0);

impl Color {
    /// Interpolates to `other` by the share `part`, in [0, 1].
    pub(crate) fn toward(self, other: Self, part: f64) -> Self {
        let mix =
            |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * part).round() as u8;
        Self(mix(self.0, other.0), mix(self.1, other.1), mix(self.2, other.2))
    }

    /// The contrast ratio of two colours, in [1, 21] (WCAG 2.2, "contrast ratio").
    pub(crate) fn contrast(self, other: Self) -> f64 {
        let [mine, its] = [self.luminance(), other.luminance()];
        (mine.max(its) + 0.05) / (mine.min(its) + 0.05)
    }

    /// Black or white: the one that is more legible on this colour.
    pub(crate) fn ink(self) -> Self {
        if self.contrast(BLACK) > self.contrast(WHITE) { BLACK } else { WHITE }
    }

    pub(crate) fn rgb(self) -> RGBColor {
        RGBColor(self.0, self.1, self.2)
    }

    /// Relative luminance, in [0, 1] (WCAG 2.2).
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.linear();
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// Linear red, green and blue, in [0, 1]: without the gamma of sRGB.
    fn linear(self) -> [f64; 3] {
        [self.0, self.1, self.2].map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Matrix = [[f64; 3]; 3];

    const NORMAL: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    /// Linear RGB as seen with protanopia and deuteranopia (Machado, Oliveira and Fernandes 2009, severity 1).
    const PROTANOPIA: Matrix = [
        [0.152_286, 1.052_583, -0.204_868],
        [0.114_503, 0.786_281, 0.099_216],
        [-0.003_882, -0.048_116, 1.051_998],
    ];
    const DEUTERANOPIA: Matrix = [
        [0.367_322, 0.860_646, -0.227_968],
        [0.280_085, 0.672_501, 0.047_413],
        [-0.011_820, 0.042_940, 0.968_881],
    ];
    const TO_XYZ: Matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]];

    fn times(matrix: Matrix, vector: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(vector).map(|(weight, value)| weight * value).sum())
    }

    /// CIELAB with the white point D65.
    fn lab(color: Color, eye: Matrix) -> [f64; 3] {
        let [x, y, z] = times(TO_XYZ, times(eye, color.linear()));
        let root = |value: f64| if value > 0.008_856 { value.cbrt() } else { 7.787 * value + 16.0 / 116.0 };
        let [x, y, z] = [root(x / 0.9505), root(y), root(z / 1.089)];
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn every_colour_stands_out_on_white_and_on_near_black() {
        for color in PALETTE.into_iter().chain([GREY]) {
            for page in [WHITE, Color(0x16, 0x18, 0x1c)] {
                assert!(color.contrast(page) >= 3.0, "{color:?} on {page:?}: {}", color.contrast(page));
            }
        }
        assert!((WHITE.contrast(BLACK) - 21.0).abs() < 1e-9);
    }

    #[test]
    fn the_palette_is_distinct_for_colour_blind_readers() {
        for (index, first) in PALETTE.into_iter().enumerate() {
            for second in PALETTE[index + 1..].iter().copied() {
                for eye in [NORMAL, PROTANOPIA, DEUTERANOPIA] {
                    let (one, other) = (lab(first, eye), lab(second, eye));
                    let square: f64 = one.iter().zip(other).map(|(one, other)| (one - other).powi(2)).sum();
                    // A difference of 2.3 is just noticeable.
                    assert!(square.sqrt() > 15.0, "{first:?} and {second:?}: {}", square.sqrt());
                }
            }
        }
    }

    #[test]
    fn ink_is_black_or_white_whichever_has_the_higher_contrast() {
        assert_eq!([WHITE.ink(), BLACK.ink(), Color(255, 255, 0).ink()], [BLACK, WHITE, BLACK]);
        assert_eq!(BLACK.toward(WHITE, 0.5), Color(128, 128, 128));
    }
}

//! How wide text is, and how long text is shortened.
//!
//! Widths are those of the embedded `DejaVu` Sans, which is as wide as any sans-serif font in common use: what
//! is laid out by it has room for the viewer's own font, too.

use std::sync::LazyLock;

use plotters::style::{FontFamily, FontStyle, TextStyle, register_font};

/// What SVG says and PNG draws.
pub(crate) const FAMILY: FontFamily<'static> = FontFamily::SansSerif;

/// Sizes of text, in pixels.
pub(crate) const TITLE: f64 = 17.0;
pub(crate) const LABEL: f64 = 14.0;
pub(crate) const SMALL: f64 = 13.0;

/// plotters divides the size of text by this before it writes it into an SVG.
const PLOTTERS_FACTOR: f64 = 1.24;

/// Text is measured this large: plotters rounds widths down to whole pixels.
const MEASURED_SIZE: f64 = 200.0;

/// Whether plotters took the font under the name of [`FAMILY`].
static HAS_FONT: LazyLock<bool> = LazyLock::new(|| {
    let font = include_bytes!("../fonts/DejaVuSans.ttf");
    register_font(FAMILY.as_str(), FontStyle::Normal, font).is_ok()
});

/// The style of text of `size` pixels in a picture of `scale` pixels for each pixel of the layout.
pub(crate) fn text_style(size: f64, scale: f64) -> TextStyle<'static> {
    assert!(*HAS_FONT, "the embedded font is a font");
    TextStyle::from((FAMILY, size * scale * PLOTTERS_FACTOR))
}

/// The width of one line of text of `size` pixels, in pixels.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    let style = text_style(MEASURED_SIZE, 1.0);
    let known: String = text.chars().filter(|letter| !is_wide(*letter)).collect();
    let wide = text.chars().filter(|letter| is_wide(*letter)).count();
    let width = style.font.box_size(&known).map_or(0.0, |(width, _)| f64::from(width)) / MEASURED_SIZE;
    size * (width + wide as f64)
}

/// Whether a letter may be as wide as it is high and is not in the embedded font: from Hangul on, and
/// pictographs.
fn is_wide(letter: char) -> bool {
    matches!(u32::from(letter), 0x1100..=0x11ff | 0x2e80..=0xfaff | 0x1_f000..)
}

/// `text` where it is at most `width` pixels wide; else as much of it as fits, and an ellipsis.
pub(crate) fn shortened(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let cut = |end: usize| format!("{}…", text[..end].trim_end());
    let ends: Vec<usize> = text.char_indices().map(|(end, _)| end).collect();
    let fitting = ends.partition_point(|end| text_width(&cut(*end), size) <= width);
    cut(ends[fitting.saturating_sub(1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_follows_letters_and_size() {
        let [narrow, wide, wide_twice] = ["ill", "mmm", "mmmmmm"].map(|text| text_width(text, 10.0));
        assert!(narrow * 2.0 < wide, "{narrow} {wide}");
        assert!((wide_twice - 2.0 * wide).abs() < 0.2, "{wide_twice} {wide}");
        assert!((text_width("mmm", 20.0) - 2.0 * wide).abs() < 1e-9);
        assert_eq!(text_width("", 10.0), 0.0);
        assert!((text_width("猫", 10.0) - 10.0).abs() < 1e-9, "the viewer's font has it");
    }

    #[test]
    fn long_text_ends_in_an_ellipsis() {
        assert_eq!(shortened("automobile", 12.0, 200.0), "automobile");
        let short = shortened("a very long class name", 12.0, 60.0);
        assert!(short.starts_with("a very") && short.ends_with('…'), "{short}");
        assert!(text_width(&short, 12.0) <= 60.0);
        assert_eq!(shortened("ünïcödé ünïcödé", 12.0, 1.0), "…");
    }
}

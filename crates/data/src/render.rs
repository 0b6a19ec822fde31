//! An example as text, for a terminal or a report.

use std::borrow::Cow;
use std::fmt::{Display, Write};

use crate::{Raw, Shape, Split};

/// From background to full ink.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// An image of shades, a line per row of `width` pixels and two characters per pixel, so that a terminal
/// shows it about as wide as it is. `greatest` is the value of a full pixel.
#[must_use]
pub fn render_blocks(pixels: &[u8], width: usize, greatest: u8) -> String {
    let shade = |pixel: u8| {
        // Faint pixels show: only zero is background.
        let level = usize::from(pixel.min(greatest)) * (SHADES.len() - 1);
        SHADES[level.div_ceil(usize::from(greatest.max(1)))]
    };
    let mut text = String::with_capacity(pixels.len() * 6);
    for row in pixels.chunks(width.max(1)) {
        text.extend(row.iter().flat_map(|&pixel| [shade(pixel); 2]));
        text.push('\n');
    }
    text
}

/// An image as the numbers of its pixels, a line per row of `width` pixels, in columns of equal width.
#[must_use]
pub fn render_numbers(pixels: &[u8], width: usize) -> String {
    let digits = pixels.iter().max().map_or(1, |greatest| greatest.to_string().len());
    let mut text = String::with_capacity(pixels.len() * (digits + 1));
    for row in pixels.chunks(width.max(1)) {
        let cells: Vec<String> = row.iter().map(|pixel| format!("{pixel:digits$}")).collect();
        text.push_str(&cells.join(" "));
        text.push('\n');
    }
    text
}

/// Columns as lines `name = value`.
#[must_use]
pub fn render_columns<V: Display>(columns: &[(String, V)]) -> String {
    let width = columns.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    columns.iter().fold(String::new(), |mut text, (name, value)| {
        writeln!(text, "{name:width$} = {value}").expect("a string takes all that is written to it");
        text
    })
}

impl Split {
    /// The example at `position` at a glance: an image in shades of grey, or `name = value` lines.
    ///
    /// # Panics
    /// If `position` is not below [`Split::len`].
    #[must_use]
    pub fn render(&self, position: usize, shape: &Shape) -> String {
        self.render_with(position, shape, |pixels, width| {
            render_blocks(&luma(pixels, shape), width, self.greatest_pixel().unwrap_or(u8::MAX))
        })
    }

    /// The example at `position` in full detail: every pixel value, colour by colour, or `name = value` lines.
    ///
    /// # Panics
    /// If `position` is not below [`Split::len`].
    #[must_use]
    pub fn render_values(&self, position: usize, shape: &Shape) -> String {
        self.render_with(position, shape, |pixels, width| match shape {
            Shape::Image { channels: 3, .. } => {
                let planes = ["red", "green", "blue"].iter().zip(pixels.chunks(pixels.len() / 3));
                planes.map(|(colour, plane)| format!("{colour}\n{}", render_numbers(plane, width))).collect()
            }
            _ => render_numbers(pixels, width),
        })
    }

    /// The columns of the example at `position`, each with its value in words; none of an image.
    ///
    /// # Panics
    /// If `position` is not below [`Split::len`].
    #[must_use]
    pub fn words(&self, position: usize, shape: &Shape) -> Vec<(String, String)> {
        match (self.raw(position), shape, self.preparation()) {
            (Raw::Cells(cells), _, Some(preparation)) => preparation.words(cells),
            (raw, Shape::Columns(names), _) => {
                let values = raw.to_floats().into_iter().map(|value| value.to_string());
                names.iter().cloned().zip(values).collect()
            }
            (_, Shape::Image { .. }, _) => Vec::new(),
        }
    }

    fn render_with(&self, position: usize, shape: &Shape, image: impl Fn(&[u8], usize) -> String) -> String {
        let numbered =
            |values: Vec<f32>| (0..).map(|at: usize| at.to_string()).zip(values).collect::<Vec<_>>();
        match (self.raw(position), shape) {
            (Raw::Bytes(pixels), Shape::Image { width, .. }) => image(pixels, *width),
            (_, Shape::Columns(_)) => render_columns(&self.words(position, shape)),
            (raw, Shape::Image { .. }) => render_columns(&numbered(raw.to_floats())),
        }
    }
}

/// The grey (ITU-R BT.709 luma) of planes of red, green and blue; one plane as it is.
fn luma<'a>(pixels: &'a [u8], shape: &Shape) -> Cow<'a, [u8]> {
    let Shape::Image { channels: 3, .. } = shape else { return Cow::Borrowed(pixels) };
    let (red, others) = pixels.split_at(pixels.len() / 3);
    let (green, blue) = others.split_at(red.len());
    let grey = |((red, green), blue): ((&u8, &u8), &u8)| {
        ((2126 * u32::from(*red) + 7152 * u32::from(*green) + 722 * u32::from(*blue)) / 10_000) as u8
    };
    red.iter().zip(green).zip(blue).map(grey).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Storage;

    #[test]
    fn colour_is_shown_in_shades_and_counted_by_plane() {
        let shape = Shape::Image { height: 1, width: 2, channels: 3 };
        let split = Split::new(Storage::bytes(6, vec![255, 9, 255, 0, 255, 0], 255), vec![0]);
        assert_eq!(split.render(0, &shape), "██░░\n");
        assert_eq!(split.render_values(0, &shape), "red\n255   9\ngreen\n255   0\nblue\n255   0\n");
    }

    #[test]
    fn shades_go_from_background_to_full_ink() {
        assert_eq!(render_blocks(&[0, 1, 64, 128, 255, 0], 3, 255), "  ░░▒▒\n▓▓██  \n");
        assert_eq!(render_blocks(&[16, 0], 1, 16), "██\n  \n");
        assert_eq!(render_blocks(&[], 0, 0), "");
    }

    #[test]
    fn numbers_stand_in_columns() {
        assert_eq!(render_numbers(&[0, 255, 13, 7], 2), "  0 255\n 13   7\n");
    }

    #[test]
    fn columns_are_named() {
        let columns = [("length".to_owned(), 1.5), ("id".to_owned(), 2.0)];
        assert_eq!(render_columns(&columns), "length = 1.5\nid     = 2\n");
    }
}

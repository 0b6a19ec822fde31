//! Grids of small images with up to two lines of text below each.

use plotters::prelude::DrawingBackend;

use crate::canvas::{self, Anchor, Canvas, Chart, DrawResult, SMALL, TITLE, shortened};
use crate::color::PALETTE;
use crate::{Color, PlotError};

/// A grid of images. It exists only as PNG, because images consist of pixels anyway.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageGrid {
    /// The title above the images.
    pub title: String,
    /// Height and width of every image in image pixels, each at least 1.
    pub image_size: [usize; 2],
    /// The images, row by row.
    pub tiles: Vec<Tile>,
}

/// An image of a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    /// Red, green and blue of each pixel, row by row, 0 to 255.
    pub pixels: Vec<[u8; 3]>,
    /// The lines below the image, shortened to its width.
    pub lines: Vec<String>,
    /// Whether a coloured frame highlights the image.
    pub is_marked: bool,
}

const COLUMNS: usize = 6;
/// The longer side of an image, in pixels of the layout.
const SIDE: f64 = 96.0;
const GAP: f64 = 14.0;
const LINE: f64 = 15.0;
const LINES: f64 = 2.0;
const HEADER: f64 = 40.0;
const FRAME: f64 = 3.0;

impl ImageGrid {
    /// The grid as PNG. Fails without images, or if the number of pixels of an image does not match the size.
    pub fn to_png(&self) -> Result<Vec<u8>, PlotError> {
        let [height, width] = self.image_size;
        if self.tiles.is_empty() {
            return Err(PlotError::Nothing { title: self.title.clone() });
        }
        let wrong = self.tiles.iter().map(|tile| tile.pixels.len()).find(|&pixels| pixels != height * width);
        match wrong {
            Some(pixels) => {
                let problem = format!("{pixels} pixels for an image of {height}x{width}");
                Err(PlotError::Draw { title: self.title.clone(), problem })
            }
            None => canvas::png(self),
        }
    }

    fn columns(&self) -> usize {
        self.tiles.len().min(COLUMNS)
    }

    /// Width and height of an image in pixels of the layout.
    fn tile_size(&self) -> (f64, f64) {
        let [height, width] = self.image_size.map(|side| side as f64);
        let scale = SIDE / height.max(width);
        (width * scale, height * scale)
    }

    fn draw_tile<B: DrawingBackend>(
        &self,
        canvas: &Canvas<B>,
        tile: &Tile,
        (x, y): (f64, f64),
    ) -> DrawResult {
        let (width, height) = self.tile_size();
        if tile.is_marked {
            let to = (x + width + FRAME, y + height + FRAME);
            canvas.rectangle((x - FRAME, y - FRAME), to, PALETTE[1])?;
        }
        let [rows, columns] = self.image_size;
        let (step_x, step_y) = (width / columns as f64, height / rows as f64);
        for (index, &[red, green, blue]) in tile.pixels.iter().enumerate() {
            let from = (x + (index % columns) as f64 * step_x, y + (index / columns) as f64 * step_y);
            canvas.rectangle(from, (from.0 + step_x, from.1 + step_y), Color(red, green, blue))?;
        }
        for (index, line) in tile.lines.iter().enumerate() {
            let place = (x + width / 2.0, y + height + FRAME + (index as f64 + 0.6) * LINE);
            let text = shortened(line, SMALL, SIDE + GAP / 2.0);
            canvas.text(&text, place, canvas.label_style(SMALL, Anchor::Middle))?;
        }
        Ok(())
    }
}

impl Chart for ImageGrid {
    fn title(&self) -> &str {
        &self.title
    }

    fn size(&self) -> (f64, f64) {
        let (_, height) = self.tile_size();
        let rows = self.tiles.len().div_ceil(COLUMNS) as f64;
        let width = self.columns().max(4) as f64 * (SIDE + GAP) + GAP;
        (width, HEADER + rows * (height + LINES * LINE + GAP) + GAP)
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> DrawResult {
        let (width, height) = self.tile_size();
        let title = shortened(&self.title, TITLE, self.size().0 - 2.0 * GAP);
        canvas.text(&title, (GAP, HEADER / 2.0), canvas.label_style(TITLE, Anchor::Start))?;
        for (index, tile) in self.tiles.iter().enumerate() {
            let (row, column) = (index / COLUMNS, index % COLUMNS);
            let x = GAP + column as f64 * (SIDE + GAP) + (SIDE - width) / 2.0;
            let y = HEADER + row as f64 * (height + LINES * LINE + GAP);
            self.draw_tile(canvas, tile, (x, y))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(tiles: usize) -> ImageGrid {
        let tile = |index| Tile {
            pixels: vec![[0; 3], [255; 3], [128; 3], [64; 3], [250, 10, 20], [16; 3]],
            lines: vec![format!("#{index}"), "a very long line of text that cannot fit".to_owned()],
            is_marked: index == 1,
        };
        ImageGrid { title: "Images".to_owned(), image_size: [3, 2], tiles: (0..tiles).map(tile).collect() }
    }

    #[test]
    fn every_image_is_drawn() {
        let small = image::load_from_memory(&grid(1).to_png().unwrap()).unwrap().to_rgb8();
        let large = image::load_from_memory(&grid(13).to_png().unwrap()).unwrap().to_rgb8();
        assert!(large.width() > small.width() && large.height() > 2 * small.height());
        let white = large.pixels().filter(|pixel| pixel.0 == [255; 3]).count();
        assert!(white < large.pixels().len(), "something is drawn");
        let orange = Color(PALETTE[1].0, PALETTE[1].1, PALETTE[1].2);
        assert!(small.pixels().any(|pixel| pixel.0 == [250, 10, 20]), "colour stays");
        assert!(large.pixels().any(|pixel| pixel.0 == [orange.0, orange.1, orange.2]), "one is framed");
        assert!(!small.pixels().any(|pixel| pixel.0 == [orange.0, orange.1, orange.2]));
    }

    #[test]
    fn no_images_and_images_of_wrong_size_are_errors() {
        assert!(matches!(grid(0).to_png(), Err(PlotError::Nothing { .. })));
        let mut wrong = grid(2);
        wrong.tiles[1].pixels.pop();
        assert!(wrong.to_png().unwrap_err().to_string().contains("5 pixels"));
    }
}

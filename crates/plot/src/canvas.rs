//! What pictures are drawn on: plotters' backend, in the pixels of the layout.

use plotters::{
    coord::Shift,
    element::{Circle, Drawable, PathElement, PointCollection, Rectangle, Text},
    prelude::{DrawingArea, DrawingBackend},
    style::{
        Color as _, FontTransform, RGBAColor, ShapeStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use crate::{Color, text::text_style};

/// How much higher than its middle plotters sets text in a bitmap, as a share of its size.
const BITMAP_TEXT_DROP: f64 = 0.2;

/// A drawing area whose places are in pixels of the layout, which it multiplies by a scale: plotters knows
/// whole pixels alone.
pub(crate) struct Canvas<B: DrawingBackend> {
    area: DrawingArea<B, Shift>,
    scale: f64,
    /// What text and axes are drawn in.
    pub(crate) ink: Color,
    /// In a bitmap, plotters fills the outline of a wide path, with holes where the path meets itself, and sets
    /// text too high; both are made up for here.
    is_bitmap: bool,
}

/// Where a text's place lies in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A text's size in pixels, where it stands and in what colour; `is_turned` reads from bottom to top.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lettering {
    pub(crate) size: f64,
    pub(crate) anchor: Anchor,
    pub(crate) color: Color,
    pub(crate) is_turned: bool,
}

/// A line's colour, its opacity in [0, 1], and its width in pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pen {
    pub(crate) color: Color,
    pub(crate) opacity: f64,
    pub(crate) width: f64,
}

/// What plotters says when it fails.
#[derive(Debug)]
pub(crate) struct DrawProblem(pub(crate) String);

pub(crate) type Drawn = Result<(), DrawProblem>;

impl Pen {
    pub(crate) fn new(color: Color, width: f64) -> Self {
        Self { color, opacity: 1.0, width }
    }
}

impl<B: DrawingBackend> Canvas<B> {
    pub(crate) fn new(area: DrawingArea<B, Shift>, scale: f64, ink: Color, is_bitmap: bool) -> Self {
        Self { area, scale, ink, is_bitmap }
    }

    /// Text in the canvas' ink.
    pub(crate) fn lettering(&self, size: f64, anchor: Anchor) -> Lettering {
        Lettering { size, anchor, color: self.ink, is_turned: false }
    }

    /// One line of text, its middle at the height of `place`.
    pub(crate) fn text(&self, text: &str, place: (f64, f64), lettering: Lettering) -> Drawn {
        let horizontal = match lettering.anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let mut style = text_style(lettering.size, self.scale).pos(Pos::new(horizontal, VPos::Center));
        style.color = lettering.color.rgb().to_backend_color();
        if lettering.is_turned {
            style = style.transform(FontTransform::Rotate270);
        }
        let lower = if self.is_bitmap { lettering.size * BITMAP_TEXT_DROP } else { 0.0 };
        let place = if lettering.is_turned { (place.0 + lower, place.1) } else { (place.0, place.1 + lower) };
        self.draw(&Text::new(printable(text), self.at(place), style))
    }

    /// A line through `path`.
    pub(crate) fn line(&self, path: &[(f64, f64)], pen: Pen) -> Drawn {
        let style = self.stroke(pen);
        let path: Vec<(i32, i32)> = path.iter().map(|place| self.at(*place)).collect();
        if self.is_bitmap { self.pieces(&path, style) } else { self.draw(&PathElement::new(path, style)) }
    }

    /// A wide line from straight pieces with round corners.
    fn pieces(&self, path: &[(i32, i32)], style: ShapeStyle) -> Drawn {
        for pair in path.windows(2).filter(|pair| pair[0] != pair[1]) {
            self.draw(&PathElement::new(pair.to_vec(), style))?;
        }
        let inner = path.get(1..path.len().saturating_sub(1)).unwrap_or_default();
        for corner in inner {
            self.draw(&Circle::new(*corner, style.stroke_width / 2, style.filled()))?;
        }
        Ok(())
    }

    /// A filled rectangle.
    pub(crate) fn rectangle(&self, from: (f64, f64), to: (f64, f64), color: Color) -> Drawn {
        self.tinted(from, to, color, 1.0)
    }

    /// A filled rectangle of this opacity, in [0, 1].
    pub(crate) fn tinted(&self, from: (f64, f64), to: (f64, f64), color: Color, opacity: f64) -> Drawn {
        let corners = [self.at(from), self.at(to)];
        self.draw(&Rectangle::new(corners, color.rgb().mix(opacity).filled()))
    }

    /// A filled circle.
    pub(crate) fn disc(&self, center: (f64, f64), radius: f64, color: Color) -> Drawn {
        let radius = (radius * self.scale).round() as i32;
        self.draw(&Circle::new(self.at(center), radius, color.rgb().filled()))
    }

    /// Ends the picture.
    pub(crate) fn finish(&self) -> Drawn {
        self.area.present().map_err(|problem| DrawProblem(problem.to_string()))
    }

    fn at(&self, (x, y): (f64, f64)) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    fn stroke(&self, pen: Pen) -> ShapeStyle {
        let color: RGBAColor = pen.color.rgb().mix(pen.opacity);
        color.stroke_width((pen.width * self.scale).round().max(1.0) as u32)
    }

    fn draw<E>(&self, element: &E) -> Drawn
    where
        for<'b> &'b E: PointCollection<'b, (i32, i32)>,
        E: Drawable<B>,
    {
        self.area.draw(element).map_err(|problem| DrawProblem(problem.to_string()))
    }
}

/// `text` without what XML cannot hold and no font shows, and with spaces that SVG does not merge.
fn printable(text: &str) -> String {
    let allowed = |letter: &char| !letter.is_control() && !matches!(letter, '\u{fffe}' | '\u{ffff}');
    let text: String =
        text.chars().map(|letter| if allowed(&letter) { letter } else { '\u{fffd}' }).collect();
    text.replace("  ", "\u{a0} ")
}

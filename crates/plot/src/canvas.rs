//! What pictures are drawn on, and how that becomes the bytes of an SVG or a PNG: plotters' backend, in the pixels of the
//! layout.

use std::fmt::Write as _;
use std::io::Cursor;
use std::sync::LazyLock;

use image::{ImageFormat, RgbImage, imageops};
use plotters::coord::Shift;
use plotters::element::{Circle, Drawable, PathElement, PointCollection, Rectangle, Text};
use plotters::prelude::{BitMapBackend, DrawingArea, DrawingBackend, IntoDrawingArea, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color as _, FontFamily, FontStyle, FontTransform, RGBAColor, ShapeStyle, TextStyle, register_font,
};

use crate::style::{DARK, GREY};
use crate::{Color, PlotError};

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

/// What SVG says and PNG draws.
const FAMILY: FontFamily<'static> = FontFamily::SansSerif;

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
fn text_style(size: f64, scale: f64) -> TextStyle<'static> {
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

/// A rectangle of a picture, in pixels of the layout, and what it shows there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hover {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) text: String,
}

/// The rectangles as one group of an SVG that counts in `scale` parts of a pixel. They are not seen; a page may show the one
/// under the pointer.
fn hover_group(hovers: &[Hover], scale: f64) -> String {
    if hovers.is_empty() {
        return String::new();
    }
    let mut svg = "<g class=\"hover\" fill=\"none\" pointer-events=\"all\">".to_owned();
    for Hover { left, top, width, height, text } in hovers {
        let [left, top, width, height] = [left, top, width, height].map(|length| (length * scale).round());
        let text = text.split('\n').map(escaped).collect::<Vec<_>>().join("\n");
        let _ = write!(
            svg,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"><title>{text}</title></rect>"
        );
    }
    svg + "</g>\n"
}

/// A picture whose parts have their places.
pub(crate) trait Picture {
    fn title(&self) -> &str;

    /// Width and height in pixels.
    fn size(&self) -> (f64, f64);

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Drawn;

    /// What an SVG says under the pointer.
    fn hovers(&self) -> Vec<Hover> {
        Vec::new()
    }
}

/// An SVG counts in tenths of a pixel.
const SVG_SCALE: u32 = 10;
/// A PNG has this many pixels for each of the layout.
const PNG_SCALE: u32 = 2;
/// It is drawn so much larger, and shrunk, which makes its edges smooth.
const OVERSAMPLING: u32 = 2;

pub(crate) fn svg(picture: &impl Picture) -> Result<String, PlotError> {
    let (width, height) = whole_size(picture);
    let size = (width * SVG_SCALE, height * SVG_SCALE);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let canvas = Canvas::new(area, f64::from(SVG_SCALE), GREY, false);
        draw(picture, &canvas)?;
    }
    let body = svg.split_once('\n').map_or("", |(_, body)| body);
    let body = body.trim_end().strip_suffix("</svg>").unwrap_or(body);
    let hovers = hover_group(&picture.hovers(), f64::from(SVG_SCALE));
    let title = escaped(picture.title());
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {} {}\" role=\"img\" stroke-linejoin=\"round\">\n<title>{title}</title>\n{body}{hovers}</svg>\n",
        size.0, size.1
    ))
}

pub(crate) fn png(picture: &impl Picture) -> Result<Vec<u8>, PlotError> {
    let (width, height) = whole_size(picture);
    let scale = PNG_SCALE * OVERSAMPLING;
    let size = (width * scale, height * scale);
    let mut large = RgbImage::from_pixel(size.0, size.1, image::Rgb([255; 3]));
    {
        let area = BitMapBackend::with_buffer(&mut large, size).into_drawing_area();
        draw(picture, &Canvas::new(area, f64::from(scale), DARK, true))?;
    }
    let small = imageops::thumbnail(&large, width * PNG_SCALE, height * PNG_SCALE);
    let mut bytes = Cursor::new(Vec::new());
    small
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|problem| draw_error(picture, DrawProblem(problem.to_string())))?;
    Ok(bytes.into_inner())
}

fn draw<B: DrawingBackend>(picture: &impl Picture, canvas: &Canvas<B>) -> Result<(), PlotError> {
    let drawn = picture.draw(canvas).and_then(|()| canvas.finish());
    drawn.map_err(|problem| draw_error(picture, problem))
}

fn draw_error(picture: &impl Picture, problem: DrawProblem) -> PlotError {
    PlotError::Draw { title: picture.title().to_owned(), problem: problem.0 }
}

fn whole_size(picture: &impl Picture) -> (u32, u32) {
    let (width, height) = picture.size();
    (width.ceil() as u32, height.ceil() as u32)
}

/// Text as XML has it.
fn escaped(text: &str) -> String {
    let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// What an SVG shows, for the tests.
#[cfg(test)]
pub(crate) mod svg_parts {
    /// A text in a picture, in pixels of the layout.
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) struct Label {
        pub(crate) text: String,
        pub(crate) x: f64,
        pub(crate) y: f64,
        /// SVG's: `start`, `middle` or `end`.
        pub(crate) anchor: String,
        pub(crate) size: f64,
        pub(crate) is_turned: bool,
    }

    /// The width and the height that the viewer gives a picture.
    pub(crate) fn size(svg: &str) -> (f64, f64) {
        let head = svg.lines().next().unwrap();
        (number(head, "width"), number(head, "height"))
    }

    /// The texts of a picture, in order.
    pub(crate) fn labels(svg: &str) -> Vec<Label> {
        let parts = svg.split("<text ").skip(1).map(|part| part.split_once("</text>").unwrap().0);
        parts
            .map(|part| {
                let (head, text) = part.split_once('>').unwrap();
                let head = format!(" {head}");
                Label {
                    text: text.trim().to_owned(),
                    x: number(&head, "x") / 10.0,
                    y: number(&head, "y") / 10.0,
                    anchor: attribute(&head, "text-anchor").to_owned(),
                    size: number(&head, "font-size") / 10.0,
                    is_turned: head.contains("rotate(270"),
                }
            })
            .collect()
    }

    /// The texts of a picture, without their places.
    pub(crate) fn texts(svg: &str) -> Vec<String> {
        labels(svg).into_iter().map(|label| label.text).collect()
    }

    /// The elements of this name.
    pub(crate) fn elements<'a>(svg: &'a str, name: &str) -> Vec<&'a str> {
        let start = format!("<{name} ");
        svg.lines().filter(|line| line.starts_with(&start)).collect()
    }

    /// The points of a polyline, in pixels of the layout.
    pub(crate) fn points(polyline: &str) -> Vec<(f64, f64)> {
        let pairs =
            attribute(polyline, "points").split_whitespace().map(|pair| pair.split_once(',').unwrap());
        pairs.map(|(x, y)| (x.parse::<f64>().unwrap() / 10.0, y.parse::<f64>().unwrap() / 10.0)).collect()
    }

    /// An attribute that is a number, in the units of the file.
    pub(crate) fn number(element: &str, name: &str) -> f64 {
        attribute(element, name).parse().unwrap()
    }

    pub(crate) fn attribute<'a>(element: &'a str, name: &str) -> &'a str {
        let rest =
            element.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("{name} in {element}")).1;
        rest.split_once('"').unwrap().0
    }

    impl Label {
        /// The left, upper, right and lower edges.
        pub(crate) fn edges(&self) -> (f64, f64, f64, f64) {
            let width = super::text_width(&self.text, self.size);
            let before = match self.anchor.as_str() {
                "start" => 0.0,
                "middle" => width / 2.0,
                _ => width,
            };
            let half = self.size / 2.0;
            if self.is_turned {
                (self.x - half, self.y + before - width, self.x + half, self.y + before)
            } else {
                (self.x - before, self.y - half, self.x - before + width, self.y + half)
            }
        }

        /// Fails where a label is cut off by the edge of the picture or two labels overlap.
        pub(crate) fn assert_apart(svg: &str) {
            let (width, height) = size(svg);
            let labels: Vec<(Label, _)> =
                labels(svg).into_iter().map(|label| (label.clone(), label.edges())).collect();
            for (index, (label, (left, top, right, bottom))) in labels.iter().enumerate() {
                let is_whole = *left >= 0.0 && *top >= 0.0 && *right <= width && *bottom <= height;
                assert!(is_whole, "{label:?} is cut off");
                for (other, its) in &labels[..index] {
                    let is_apart = *right <= its.0 || its.2 <= *left || *bottom <= its.1 || its.3 <= *top;
                    assert!(is_apart, "{label:?} overlaps {other:?}");
                }
            }
        }
    }
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

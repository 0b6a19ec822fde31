//! The canvas on which charts are drawn, with plotters as backend, and the output as SVG or PNG.
//!
//! All positions and lengths are in pixels of the layout. Such a pixel is one pixel of the SVG and two by two of the PNG.

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

use crate::color::{DARK, GREY};
use crate::{Color, PlotError};

/// plotters draws text in a bitmap too high by this share of its size.
const BITMAP_TEXT_DROP: f64 = 0.2;

/// A drawing area in pixels of the layout. It multiplies them by a scale, because plotters has only whole pixels.
pub(crate) struct Canvas<B: DrawingBackend> {
    area: DrawingArea<B, Shift>,
    scale: f64,
    /// The colour of text and axes.
    pub(crate) ink: Color,
    /// In a bitmap, plotters fills the outline of a wide path, which leaves holes where the path crosses itself, and places
    /// text too high. The canvas corrects both.
    is_bitmap: bool,
}

/// The point of a text that is at its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// Size in pixels, anchor and colour of a text; if `is_turned`, it reads from bottom to top.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LabelStyle {
    pub(crate) size: f64,
    pub(crate) anchor: Anchor,
    pub(crate) color: Color,
    pub(crate) is_turned: bool,
}

/// Colour, opacity in [0, 1] and width in pixels of a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pen {
    pub(crate) color: Color,
    pub(crate) opacity: f64,
    pub(crate) width: f64,
}

/// An error message of plotters.
#[derive(Debug)]
pub(crate) struct DrawError(pub(crate) String);

pub(crate) type DrawResult = Result<(), DrawError>;

impl Pen {
    pub(crate) fn new(color: Color, width: f64) -> Self {
        Self { color, opacity: 1.0, width }
    }
}

impl<B: DrawingBackend> Canvas<B> {
    pub(crate) fn new(area: DrawingArea<B, Shift>, scale: f64, ink: Color, is_bitmap: bool) -> Self {
        Self { area, scale, ink, is_bitmap }
    }

    /// The style of text in the ink of the canvas.
    pub(crate) fn label_style(&self, size: f64, anchor: Anchor) -> LabelStyle {
        LabelStyle { size, anchor, color: self.ink, is_turned: false }
    }

    /// Draws one line of text, vertically centred at `place`.
    pub(crate) fn text(&self, text: &str, place: (f64, f64), label_style: LabelStyle) -> DrawResult {
        let horizontal = match label_style.anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let mut style = text_style(label_style.size, self.scale).pos(Pos::new(horizontal, VPos::Center));
        style.color = label_style.color.rgb().to_backend_color();
        if label_style.is_turned {
            style = style.transform(FontTransform::Rotate270);
        }
        let lower = if self.is_bitmap { label_style.size * BITMAP_TEXT_DROP } else { 0.0 };
        let place =
            if label_style.is_turned { (place.0 + lower, place.1) } else { (place.0, place.1 + lower) };
        self.draw(&Text::new(printable(text), self.at(place), style))
    }

    /// Draws a line through `path`.
    pub(crate) fn line(&self, path: &[(f64, f64)], pen: Pen) -> DrawResult {
        let style = self.stroke(pen);
        let path: Vec<(i32, i32)> = path.iter().map(|place| self.at(*place)).collect();
        if self.is_bitmap { self.pieces(&path, style) } else { self.draw(&PathElement::new(path, style)) }
    }

    /// Draws a wide line as straight pieces with round corners.
    fn pieces(&self, path: &[(i32, i32)], style: ShapeStyle) -> DrawResult {
        for pair in path.windows(2).filter(|pair| pair[0] != pair[1]) {
            self.draw(&PathElement::new(pair.to_vec(), style))?;
        }
        let inner = path.get(1..path.len().saturating_sub(1)).unwrap_or_default();
        for corner in inner {
            self.draw(&Circle::new(*corner, style.stroke_width / 2, style.filled()))?;
        }
        Ok(())
    }

    /// Draws a filled rectangle.
    pub(crate) fn rectangle(&self, from: (f64, f64), to: (f64, f64), color: Color) -> DrawResult {
        self.tinted(from, to, color, 1.0)
    }

    /// Draws a filled rectangle with an opacity in [0, 1].
    pub(crate) fn tinted(&self, from: (f64, f64), to: (f64, f64), color: Color, opacity: f64) -> DrawResult {
        let corners = [self.at(from), self.at(to)];
        self.draw(&Rectangle::new(corners, color.rgb().mix(opacity).filled()))
    }

    /// Draws a filled circle.
    pub(crate) fn disc(&self, center: (f64, f64), radius: f64, color: Color) -> DrawResult {
        let radius = (radius * self.scale).round() as i32;
        self.draw(&Circle::new(self.at(center), radius, color.rgb().filled()))
    }

    /// Completes the drawing.
    pub(crate) fn finish(&self) -> DrawResult {
        self.area.present().map_err(|problem| DrawError(problem.to_string()))
    }

    fn at(&self, (x, y): (f64, f64)) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    fn stroke(&self, pen: Pen) -> ShapeStyle {
        let color: RGBAColor = pen.color.rgb().mix(pen.opacity);
        color.stroke_width((pen.width * self.scale).round().max(1.0) as u32)
    }

    fn draw<E>(&self, element: &E) -> DrawResult
    where
        for<'b> &'b E: PointCollection<'b, (i32, i32)>,
        E: Drawable<B>,
    {
        self.area.draw(element).map_err(|problem| DrawError(problem.to_string()))
    }
}

/// `text` without characters that XML forbids or fonts cannot show, and with double spaces that SVG does not collapse.
fn printable(text: &str) -> String {
    let allowed = |letter: &char| !letter.is_control() && !matches!(letter, '\u{fffe}' | '\u{ffff}');
    let text: String =
        text.chars().map(|letter| if allowed(&letter) { letter } else { '\u{fffd}' }).collect();
    text.replace("  ", "\u{a0} ")
}

/// The font family in SVG; PNG draws the embedded font under its name.
const FAMILY: FontFamily<'static> = FontFamily::SansSerif;

/// Text sizes in pixels.
pub(crate) const TITLE: f64 = 17.0;
pub(crate) const LABEL: f64 = 14.0;
pub(crate) const SMALL: f64 = 13.0;

/// plotters divides text sizes by this before it writes them to an SVG.
const PLOTTERS_FACTOR: f64 = 1.24;

/// Text is measured at this large size, because plotters rounds widths down to whole pixels.
const MEASURED_SIZE: f64 = 200.0;

/// Whether plotters accepted the embedded font under the name of [`FAMILY`].
static HAS_FONT: LazyLock<bool> = LazyLock::new(|| {
    let font = include_bytes!("../fonts/DejaVuSans.ttf");
    register_font(FAMILY.as_str(), FontStyle::Normal, font).is_ok()
});

/// plotters' style for text of `size` layout pixels, at `scale` pixels per pixel of the layout.
fn text_style(size: f64, scale: f64) -> TextStyle<'static> {
    assert!(*HAS_FONT, "the embedded font is valid");
    TextStyle::from((FAMILY, size * scale * PLOTTERS_FACTOR))
}

/// The width in pixels of one line of text of this `size`.
///
/// Measured with the embedded `DejaVu` Sans, which is at least as wide as all common sans-serif fonts, so that the viewer's font
/// fits as well.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    let style = text_style(MEASURED_SIZE, 1.0);
    let known: String = text.chars().filter(|letter| !is_wide(*letter)).collect();
    let wide = text.chars().filter(|letter| is_wide(*letter)).count();
    let width = style.font.box_size(&known).map_or(0.0, |(width, _)| f64::from(width)) / MEASURED_SIZE;
    size * (width + wide as f64)
}

/// True for letters that are not in the embedded font and may be as wide as high: East Asian scripts and pictographs.
fn is_wide(letter: char) -> bool {
    matches!(u32::from(letter), 0x1100..=0x11ff | 0x2e80..=0xfaff | 0x1_f000..)
}

/// `text` if it is at most `width` pixels wide; otherwise its beginning with an ellipsis.
pub(crate) fn shortened(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let cut = |end: usize| format!("{}…", text[..end].trim_end());
    let ends: Vec<usize> = text.char_indices().map(|(end, _)| end).collect();
    let fitting = ends.partition_point(|end| text_width(&cut(*end), size) <= width);
    cut(ends[fitting.saturating_sub(1)])
}

/// A rectangle of a chart, and the text that an SVG shows while the pointer is over it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tooltip {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) text: String,
}

/// The tooltips as a group of invisible SVG rectangles, in units of 1 / `scale` pixels. A page may highlight the one under the
/// pointer by its class.
fn tooltip_group(tooltips: &[Tooltip], scale: f64) -> String {
    if tooltips.is_empty() {
        return String::new();
    }
    let mut svg = "<g class=\"hover\" fill=\"none\" pointer-events=\"all\">".to_owned();
    for Tooltip { left, top, width, height, text } in tooltips {
        let [left, top, width, height] = [left, top, width, height].map(|length| (length * scale).round());
        let text = text.split('\n').map(escaped).collect::<Vec<_>>().join("\n");
        let _ = write!(
            svg,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"><title>{text}</title></rect>"
        );
    }
    svg + "</g>\n"
}

/// A chart with a finished layout.
pub(crate) trait Chart {
    fn title(&self) -> &str;

    /// Width and height in pixels.
    fn size(&self) -> (f64, f64);

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> DrawResult;

    /// The tooltips of an SVG.
    fn tooltips(&self) -> Vec<Tooltip> {
        Vec::new()
    }
}

/// SVG coordinates are tenths of a pixel.
const SVG_SCALE: u32 = 10;
/// A PNG has this many pixels per pixel of the layout, in both directions.
const PNG_SCALE: u32 = 2;
/// A PNG is drawn larger by this factor and then reduced, which smooths its edges.
const OVERSAMPLING: u32 = 2;

pub(crate) fn svg(chart: &impl Chart) -> Result<String, PlotError> {
    let (width, height) = whole_size(chart);
    let size = (width * SVG_SCALE, height * SVG_SCALE);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let canvas = Canvas::new(area, f64::from(SVG_SCALE), GREY, false);
        draw(chart, &canvas)?;
    }
    let body = svg.split_once('\n').map_or("", |(_, body)| body);
    let body = body.trim_end().strip_suffix("</svg>").unwrap_or(body);
    let tooltips = tooltip_group(&chart.tooltips(), f64::from(SVG_SCALE));
    let title = escaped(chart.title());
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {} {}\" role=\"img\" stroke-linejoin=\"round\">\n<title>{title}</title>\n{body}{tooltips}</svg>\n",
        size.0, size.1
    ))
}

pub(crate) fn png(chart: &impl Chart) -> Result<Vec<u8>, PlotError> {
    let (width, height) = whole_size(chart);
    let scale = PNG_SCALE * OVERSAMPLING;
    let size = (width * scale, height * scale);
    let mut large = RgbImage::from_pixel(size.0, size.1, image::Rgb([255; 3]));
    {
        let area = BitMapBackend::with_buffer(&mut large, size).into_drawing_area();
        draw(chart, &Canvas::new(area, f64::from(scale), DARK, true))?;
    }
    let small = imageops::thumbnail(&large, width * PNG_SCALE, height * PNG_SCALE);
    let mut bytes = Cursor::new(Vec::new());
    small
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|problem| draw_error(chart, DrawError(problem.to_string())))?;
    Ok(bytes.into_inner())
}

fn draw<B: DrawingBackend>(chart: &impl Chart, canvas: &Canvas<B>) -> Result<(), PlotError> {
    let drawn = chart.draw(canvas).and_then(|()| canvas.finish());
    drawn.map_err(|problem| draw_error(chart, problem))
}

fn draw_error(chart: &impl Chart, problem: DrawError) -> PlotError {
    PlotError::Draw { title: chart.title().to_owned(), problem: problem.0 }
}

fn whole_size(chart: &impl Chart) -> (u32, u32) {
    let (width, height) = chart.size();
    (width.ceil() as u32, height.ceil() as u32)
}

/// Escapes text for XML.
fn escaped(text: &str) -> String {
    let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Parses SVG for the tests of all charts.
#[cfg(test)]
pub(crate) mod svg_parts {
    /// A text in an SVG, in pixels of the layout.
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) struct Label {
        pub(crate) text: String,
        pub(crate) x: f64,
        pub(crate) y: f64,
        /// The attribute of SVG: `start`, `middle` or `end`.
        pub(crate) anchor: String,
        pub(crate) size: f64,
        pub(crate) is_turned: bool,
    }

    /// Width and height of the SVG in pixels.
    pub(crate) fn size(svg: &str) -> (f64, f64) {
        let head = svg.lines().next().unwrap();
        (number(head, "width"), number(head, "height"))
    }

    /// Decodes a PNG, which must have twice the width and height of the SVG of the same chart.
    pub(crate) fn decoded_png(png: &[u8], svg: &str) -> image::RgbImage {
        let image = image::load_from_memory(png).unwrap().into_rgb8();
        let (width, height) = size(svg);
        assert_eq!((f64::from(image.width()), f64::from(image.height())), (2.0 * width, 2.0 * height));
        image
    }

    /// All texts of the SVG in order.
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

    /// All texts of the SVG without positions.
    pub(crate) fn texts(svg: &str) -> Vec<String> {
        labels(svg).into_iter().map(|label| label.text).collect()
    }

    /// All elements of this name.
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

    /// A numeric attribute, in the units of the file.
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

        /// Fails if the edge of the chart cuts off a label or two labels overlap.
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
    fn the_width_of_a_text_depends_on_its_letters_and_its_size() {
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

//! From a laid out picture to the bytes of a file.

use std::io::Cursor;

use image::{ImageFormat, RgbImage, imageops};
use plotters::prelude::{BitMapBackend, DrawingBackend, IntoDrawingArea, SVGBackend};

use crate::{
    PlotError,
    canvas::{Canvas, DrawProblem, Drawn},
    color::{DARK, GREY},
    hover::{self, Hover},
};

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
    let hovers = hover::group(&picture.hovers(), f64::from(SVG_SCALE));
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
pub(crate) fn escaped(text: &str) -> String {
    let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

//! Curves on two axes, drawn as SVG.

use std::error::Error;

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::axis::Axis;

const WIDTH: i32 = 720;
const HEIGHT: i32 = 400;
/// The strip above the axes that title and legend share: inside the axes they would hide curves.
const HEADER_HEIGHT: i32 = 40;
const FONT: &str = "sans-serif";
/// plotters divides it by 1.24: 14 pixels in the picture.
const TEXT_SIZE: i32 = 17;
/// Wide enough for any sans-serif letter of that size: the font is the viewer's.
const LETTER_WIDTH: i32 = 9;
/// A grey with a contrast of at least 4 with white and with black.
const TEXT_COLOR: RGBColor = RGBColor(118, 118, 118);
const LINE_WIDTH: u32 = 2;
/// With more points than this they merge into the line.
const MOST_POINTS: usize = 60;

type Drawn<T> = Result<T, Box<dyn Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Axes<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

/// A figure by epoch.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    pub(super) name: String,
    /// Red, green, blue.
    pub(super) color: (u8, u8, u8),
    /// Epoch and value; a value that is not finite leaves a gap.
    pub(super) points: Vec<(u64, f64)>,
}

/// A picture with at least one curve, each with at least one finite value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) x_label: &'a str,
    pub(super) y_label: &'a str,
    pub(super) curves: &'a [Curve],
}

impl Chart<'_> {
    pub(super) fn to_svg(self) -> Drawn<String> {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (WIDTH.cast_unsigned(), HEIGHT.cast_unsigned()))
                .into_drawing_area();
            let (header, body) = area.split_vertically(HEADER_HEIGHT);
            self.draw_header(&header)?;
            let mut axes = self.draw_axes(&body)?;
            for curve in self.curves {
                draw_curve(&mut axes, curve)?;
            }
            area.present()?;
        }
        Ok(svg)
    }

    /// The title at the left, the legend at the right.
    fn draw_header(&self, header: &Area<'_>) -> Drawn<()> {
        let middle = HEADER_HEIGHT / 2;
        let title =
            (FONT, TEXT_SIZE + 4).into_font().color(&TEXT_COLOR).pos(Pos::new(HPos::Left, VPos::Center));
        header.draw(&Text::new(self.title, (16, middle), title))?;
        let name_style =
            (FONT, TEXT_SIZE).into_font().color(&TEXT_COLOR).pos(Pos::new(HPos::Left, VPos::Center));
        let mut right = WIDTH - 16;
        for curve in self.curves.iter().rev() {
            right -= text_width(curve.name.len());
            header.draw(&Text::new(curve.name.as_str(), (right, middle), name_style.clone()))?;
            let line = [(right - 36, middle), (right - 8, middle)];
            header.draw(&PathElement::new(line, curve.line_style()))?;
            header.draw(&Circle::new((right - 22, middle), 3, curve.point_style()))?;
            right -= 60;
        }
        Ok(())
    }

    fn draw_axes<'a, 'b>(&self, area: &'a Area<'b>) -> Drawn<Axes<'a, 'b>> {
        let (x, y) = (self.x_axis(), self.y_axis());
        let mut axes = ChartBuilder::on(area)
            .margin_right(16)
            .margin_bottom(8)
            .margin_left(8)
            .x_label_area_size(TEXT_SIZE * 3)
            .y_label_area_size(text_width(y.label_length()) + TEXT_SIZE * 2)
            .build_cartesian_2d(x, y)?;
        axes.configure_mesh()
            .disable_x_mesh()
            .bold_line_style(TEXT_COLOR.mix(0.25))
            .light_line_style(TRANSPARENT)
            .axis_style(TEXT_COLOR)
            .label_style((FONT, TEXT_SIZE, &TEXT_COLOR))
            .axis_desc_style((FONT, TEXT_SIZE, &TEXT_COLOR))
            .x_desc(self.x_label)
            .y_desc(self.y_label)
            .draw()?;
        Ok(axes)
    }

    fn x_axis(&self) -> Axis {
        let epochs = || self.curves.iter().flat_map(|curve| &curve.points).map(|(epoch, _)| *epoch);
        Axis::of_epochs(epochs().min().unwrap_or(1), epochs().max().unwrap_or(1))
    }

    fn y_axis(&self) -> Axis {
        Axis::of_values(self.curves.iter().flat_map(|curve| &curve.points).map(|(_, value)| *value))
    }
}

impl Curve {
    fn line_style(&self) -> ShapeStyle {
        let (red, green, blue) = self.color;
        RGBColor(red, green, blue).stroke_width(LINE_WIDTH)
    }

    fn point_style(&self) -> ShapeStyle {
        self.line_style().filled()
    }

    /// The stretches without a gap.
    fn segments(&self) -> impl Iterator<Item = Vec<(f64, f64)>> {
        self.points
            .split(|(_, value)| !value.is_finite())
            .filter(|segment| !segment.is_empty())
            .map(|segment| segment.iter().map(|(epoch, value)| (*epoch as f64, *value)).collect())
    }
}

fn text_width(letters: usize) -> i32 {
    i32::try_from(letters).unwrap_or(0) * LETTER_WIDTH
}

fn draw_curve(axes: &mut Axes<'_, '_>, curve: &Curve) -> Drawn<()> {
    let with_points = curve.points.len() <= MOST_POINTS;
    for segment in curve.segments() {
        // A single epoch between gaps makes no line.
        if with_points || segment.len() == 1 {
            axes.draw_series(segment.iter().map(|point| Circle::new(*point, 3, curve.point_style())))?;
        }
        axes.draw_series(LineSeries::new(segment, curve.line_style()))?;
    }
    Ok(())
}

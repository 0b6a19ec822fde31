//! Curves on two axes.

use plotters::prelude::DrawingBackend;

use crate::{
    Axis, Mark, PlotError, Style,
    canvas::{Anchor, Canvas, Drawn},
    frame::Frame,
    hover::{self, Hover},
    legend::{DOT_RADIUS, Legend, Sample, draw_guide, draw_line},
    mark::LABEL_ROOM,
    render::{self, Picture},
    scale::{Scale, can_be_shown},
    segments::segments,
    text::{TITLE, shortened},
};

/// Curves on two axes, with a legend below.
///
/// A point that is not finite, whose numbers exceed 1e300, or that lies outside a fixed axis, is a gap; a
/// point between two gaps is a dot. Curves of many points are drawn with as many as the picture can show.
#[derive(Clone, Debug, PartialEq)]
pub struct LineChart {
    /// What stands above the axes.
    pub title: String,
    /// The axis below.
    pub x: Axis,
    /// The axis at the left.
    pub y: Axis,
    /// The curves; later ones cover earlier ones.
    pub series: Vec<Series>,
    /// A thin dashed line from the lower left corner to the upper right one, and its name in the legend
    /// (`chance`); an empty name has no row there.
    pub diagonal: Option<String>,
    /// Values of the axis below that matter.
    pub marks: Vec<Mark>,
    /// Whether the area between the axes is a square, as rates against rates need it.
    pub is_square: bool,
}

/// A curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What the legend says. Series of one name share one row there, with the style of the first: the seeds of
    /// a trial. An empty name has no row, and names after the 60th are only counted.
    pub name: String,
    /// Colour and dashes; [`Style::nth`] has some that stay apart.
    pub style: Style,
    /// Whether each point has a dot, as few epochs need it. From 60 points on the dots would melt together, and
    /// are left out.
    pub has_dots: bool,
    /// Points in the order in which the line joins them, each x and y in the units of the axes.
    pub points: Vec<(f64, f64)>,
}

/// With more points than this, dots melt into the line.
const MOST_DOTS: usize = 60;
const WIDE: (f64, f64) = (440.0, 270.0);
const SQUARE: (f64, f64) = (400.0, 400.0);
/// Room for the title.
const HEADER: f64 = 40.0;
const MARGIN: f64 = 16.0;
/// How much wider than its area a chart may become for two columns of names: what is wide is shrunk by a page.
const WIDEST: f64 = 1.15;

impl LineChart {
    /// A wide chart without a diagonal.
    #[must_use]
    pub fn new(title: impl Into<String>, x: Axis, y: Axis, series: Vec<Series>) -> Self {
        Self { title: title.into(), x, y, series, diagonal: None, marks: Vec::new(), is_square: false }
    }

    /// The chart with a square area between its axes.
    #[must_use]
    pub fn square(self) -> Self {
        Self { is_square: true, ..self }
    }

    /// The chart with a diagonal of this name.
    #[must_use]
    pub fn with_diagonal(self, name: impl Into<String>) -> Self {
        Self { diagonal: Some(name.into()), ..self }
    }

    /// The chart with a line at this value of the axis below.
    #[must_use]
    pub fn with_mark(mut self, x: f64, label: impl Into<String>) -> Self {
        self.marks.push(Mark { x, label: label.into() });
        self
    }

    /// The picture as SVG.
    ///
    /// # Errors
    ///
    /// When no point can be shown, or a fixed axis does not rise.
    pub fn to_svg(&self) -> Result<String, PlotError> {
        render::svg(&Layout::of(self)?)
    }

    /// The picture as the bytes of a PNG file.
    ///
    /// # Errors
    ///
    /// As [`LineChart::to_svg`].
    pub fn to_png(&self) -> Result<Vec<u8>, PlotError> {
        render::png(&Layout::of(self)?)
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        let points = self.series.iter().flat_map(|series| &series.points).copied();
        points.filter(|(x, y)| can_be_shown(*x) && can_be_shown(*y))
    }

    /// The scale of the axis below, with more ticks where their names are short.
    fn x_scale(&self, width: f64) -> Result<Option<Scale>, PlotError> {
        let scale = |most_ticks| Scale::of_axis(&self.x, self.points().map(|(x, _)| x), most_ticks);
        let many = scale(16)?;
        let has_room = many.is_some_and(|many| many.names_width() < width / 2.0);
        if has_room { Ok(many) } else { scale(8) }
    }

    fn legend(&self) -> Legend {
        let mut legend = Legend::default();
        for series in &self.series {
            legend.add(Sample::Line { style: series.style, has_dot: series.is_dotted() }, &series.name);
        }
        legend.add(Sample::Guide, self.diagonal.as_deref().unwrap_or_default());
        legend
    }
}

impl Series {
    /// A line without dots, in the style number `index`, from 0.
    #[must_use]
    pub fn new(name: impl Into<String>, index: usize, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), style: Style::nth(index), has_dots: false, points }
    }

    /// The series with a dot at each point.
    #[must_use]
    pub fn with_dots(self) -> Self {
        Self { has_dots: true, ..self }
    }

    fn is_dotted(&self) -> bool {
        self.has_dots && self.points.len() <= MOST_DOTS
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>, frame: &Frame) -> Drawn {
        for path in segments(&self.points, |point| frame.place(point)) {
            draw_line(canvas, &path, self.style)?;
            if self.is_dotted() || path.len() == 1 {
                path.iter().try_for_each(|place| canvas.disc(*place, DOT_RADIUS, self.style.color))?;
            }
        }
        Ok(())
    }
}

/// A chart whose parts have their places.
struct Layout<'a> {
    chart: &'a LineChart,
    frame: Frame,
    legend: Legend,
}

impl<'a> Layout<'a> {
    fn of(chart: &'a LineChart) -> Result<Self, PlotError> {
        let nothing = || PlotError::Nothing { title: chart.title.clone() };
        let size = if chart.is_square { SQUARE } else { WIDE };
        let x = chart.x_scale(size.0)?.ok_or_else(nothing)?;
        let y = Scale::of_axis(&chart.y, chart.points().map(|(_, y)| y), 10)?.ok_or_else(nothing)?;
        let top = if chart.marks.is_empty() { HEADER } else { HEADER + LABEL_ROOM };
        let frame = Frame::new(top, size, (x, &chart.x.label), (y, &chart.y.label));
        if !chart.points().any(|point| frame.place(point).is_some()) {
            return Err(nothing());
        }
        Ok(Self { chart, frame, legend: chart.legend() })
    }
}

impl Picture for Layout<'_> {
    fn title(&self) -> &str {
        &self.chart.title
    }

    fn size(&self) -> (f64, f64) {
        let area = self.frame.outer_right();
        let best = Some(self.legend.best_width() + 2.0 * MARGIN).filter(|best| *best <= area * WIDEST);
        let width = best.unwrap_or(self.legend.width() + 2.0 * MARGIN).max(area);
        (width, self.frame.outer_bottom() + self.legend.height(width - 2.0 * MARGIN) + MARGIN)
    }

    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Drawn {
        let title = shortened(self.title(), TITLE, self.size().0 - 2.0 * MARGIN);
        canvas.text(&title, (MARGIN, HEADER / 2.0), canvas.lettering(TITLE, Anchor::Start))?;
        self.frame.draw(canvas)?;
        if self.chart.diagonal.is_some() {
            let Frame { left, top, right, bottom, .. } = self.frame;
            draw_guide(canvas, &[(left, bottom), (right, top)])?;
        }
        for series in &self.chart.series {
            series.draw(canvas, &self.frame)?;
        }
        self.chart.marks.iter().try_for_each(|mark| mark.draw(canvas, &self.frame))?;
        let place = (MARGIN, self.frame.outer_bottom());
        self.legend.draw(canvas, place, self.size().0 - 2.0 * MARGIN)
    }

    fn hovers(&self) -> Vec<Hover> {
        hover::columns(self.chart, &self.frame)
    }
}

#[cfg(test)]
mod tests;

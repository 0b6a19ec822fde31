//! A picture as SVG text. It has no background and a grey that is readable on white and on black.

use std::fmt::Write as _;

/// Colours that the colour-blind tell apart (Okabe and Ito 2008, without yellow, which white swallows).
pub(crate) const COLORS: [&str; 7] =
    ["#2f80ed", "#d96c00", "#009e73", "#cc79a7", "#56b4e9", "#a67c00", "#8b5cf6"];

const HEAD: &str = "<style>text{font:13px sans-serif;fill:#767676}.grid{stroke:#76767640;stroke-width:1}\
    .seed{fill:#767676}</style>";

/// A picture that grows.
pub(crate) struct Picture(String);

impl Picture {
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\">{HEAD}\n"
        ))
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), style: &str) {
        let _ = writeln!(
            self.0,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" {style}/>",
            from.0, from.1, to.0, to.1
        );
    }

    pub(crate) fn polyline(&mut self, points: &str, style: &str) {
        let _ = writeln!(self.0, "<polyline points=\"{}\" fill=\"none\" {style}/>", points.trim_end());
    }

    pub(crate) fn circle(&mut self, center: (f64, f64), radius: f64, style: &str) {
        let _ = writeln!(
            self.0,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius}\" {style}/>",
            center.0, center.1
        );
    }

    /// `anchor` is SVG's: `start`, `middle` or `end`.
    pub(crate) fn text(&mut self, place: (f64, f64), anchor: &str, text: &str) {
        let text = escaped(text);
        let _ = writeln!(
            self.0,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>",
            place.0, place.1
        );
    }

    pub(crate) fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

/// Text as XML and HTML have it.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

//! What an SVG shows, for the tests.

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
    let pairs = attribute(polyline, "points").split_whitespace().map(|pair| pair.split_once(',').unwrap());
    pairs.map(|(x, y)| (x.parse::<f64>().unwrap() / 10.0, y.parse::<f64>().unwrap() / 10.0)).collect()
}

/// An attribute that is a number, in the units of the file.
pub(crate) fn number(element: &str, name: &str) -> f64 {
    attribute(element, name).parse().unwrap()
}

pub(crate) fn attribute<'a>(element: &'a str, name: &str) -> &'a str {
    let rest = element.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("{name} in {element}")).1;
    rest.split_once('"').unwrap().0
}

impl Label {
    /// The left, upper, right and lower edges.
    pub(crate) fn edges(&self) -> (f64, f64, f64, f64) {
        let width = crate::text::text_width(&self.text, self.size);
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

//! The inputs of the graph, and the preprocessing from raw values to features.

use kiln_table::{Column, DatePart, Preparation, Scale, Treatment};

use super::graph::{Graph, ML, Value, Values, Wire};
use super::proto::DataType;
use crate::{Input, Pixels};

/// The features of the graph's inputs, shape [batch, features].
pub(super) fn features(graph: &mut Graph, input: &Input) -> Wire {
    match input {
        Input::Pixels(Pixels { shape, greatest, divisor, mean, deviation }) => {
            let meaning =
                format!("integers from 0 to {greatest}: channel by channel, row by row, from the upper left");
            let sizes = shape.map(|size| size as i64);
            let pixels = graph.input("pixels", DataType::Uint8, &sizes, &meaning);
            let pixels = graph.cast(&pixels, DataType::Float);
            let flat = graph.node_with("Flatten", "", &[&pixels], &[("axis", Value::Int(1))]);
            let divisor = graph.f32(*divisor);
            let scaled = graph.node("Div", &[&flat, &divisor]);
            if (*mean, *deviation) == (0.0, 1.0) {
                return scaled;
            }
            let (mean, deviation) = (graph.f32(*mean), graph.f32(*deviation));
            let centred = graph.node("Sub", &[&scaled, &mean]);
            graph.node("Div", &[&centred, &deviation])
        }
        Input::Columns(preparation) => {
            let features: Vec<Wire> = preparation
                .used()
                .flat_map(|(column, treatment)| of_column(graph, preparation, column, treatment))
                .collect();
            graph.concat(&features, 1)
        }
    }
}

/// The form in which a column enters the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GraphInputKind {
    /// Numbers; NaN if missing.
    Numbers,
    /// Words; the empty word, among others, means missing.
    Words,
    /// Days since 1970-01-01, with the time of day as a fraction; NaN if missing.
    Days,
}

impl GraphInputKind {
    /// The kind of a column with this treatment. Categories whose names are all plain numbers enter as numbers.
    pub(crate) fn of(treatment: &Treatment) -> Self {
        match treatment {
            Treatment::Number { .. } => Self::Numbers,
            Treatment::Date { .. } => Self::Days,
            Treatment::Boolean { no, yes, .. } if are_numbers(&[no.clone(), yes.clone()]) => Self::Numbers,
            Treatment::Category { values, exact: false, .. } if are_numbers(values) => Self::Numbers,
            Treatment::Boolean { .. } | Treatment::Category { .. } => Self::Words,
        }
    }
}

fn are_numbers(values: &[String]) -> bool {
    !values.is_empty() && values.iter().all(|value| number(value).is_some())
}

/// The number `text`, if Rust prints it in the same way, as in comparisons of numbers with names.
fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite() && number.to_string() == text)
}

/// The features of a column, each of shape [batch, any].
fn of_column(
    graph: &mut Graph,
    preparation: &Preparation,
    column: &Column,
    treatment: &Treatment,
) -> Vec<Wire> {
    let kind = GraphInputKind::of(treatment);
    let (data, meaning) = match kind {
        GraphInputKind::Numbers => (DataType::Double, "a number; NaN if missing".to_owned()),
        GraphInputKind::Days => {
            (DataType::Double, "days since 1970-01-01, the time as a fraction; NaN if missing".into())
        }
        GraphInputKind::Words => (DataType::String, "a word; empty if missing".to_owned()),
    };
    let input = graph.input(&column.name, data, &[1], &meaning);
    let missing = &preparation.missing;
    match treatment {
        Treatment::Number { scale, indicator, .. } => {
            let is_missing = missing_number(graph, &input, missing);
            let scaled = scaled(graph, &input, &is_missing, scale);
            with_indicator(graph, vec![scaled], &is_missing, *indicator)
        }
        Treatment::Date { parts, indicator, .. } => {
            let is_missing = missing_number(graph, &input, &[]);
            let features = of_date(graph, &input, parts);
            with_indicator(graph, features, &is_missing, *indicator)
        }
        Treatment::Boolean { no, yes, fill, indicator } if kind == GraphInputKind::Numbers => {
            let is_missing = missing_number(graph, &input, missing);
            let fill = graph.f32(*fill as f32);
            let mut value = fill;
            for (word, stands_for) in [(no, 0.0), (yes, 1.0)] {
                let word = graph.f64(number(word).unwrap_or(f64::NAN));
                let is_word = graph.node("Equal", &[&input, &word]);
                let stands_for = graph.f32(stands_for);
                value = graph.node("Where", &[&is_word, &stands_for, &value]);
            }
            with_indicator(graph, vec![value], &is_missing, *indicator)
        }
        Treatment::Category { values, indicator, .. } if kind == GraphInputKind::Numbers => {
            let is_missing = missing_number(graph, &input, missing);
            let numbers = values.iter().filter_map(|value| number(value)).collect();
            let numbers = graph.unnamed(&[1, values.len()], Values::F64(numbers));
            let is_value = graph.node("Equal", &[&input, &numbers]);
            let one_hot = graph.cast(&is_value, DataType::Float);
            with_indicator(graph, vec![one_hot], &is_missing, *indicator)
        }
        Treatment::Boolean { no, yes, fill, indicator } => {
            let words = [(no, 0), (yes, 1)];
            let spelled = words.iter().flat_map(|(word, code)| spellings(word).map(|word| (word, *code)));
            let fill = *fill as f32;
            let rows = [vec![0.0, 0.0], vec![1.0, 0.0], vec![fill, 1.0], vec![fill, 0.0]];
            let rows = rows.map(|row| row[..=usize::from(*indicator)].to_vec());
            vec![looked_up(graph, &input, spelled.collect(), preparation, &rows)]
        }
        Treatment::Category { values, indicator, .. } => {
            let words = values.iter().cloned().zip(0..).collect();
            let (count, width) = (values.len(), values.len() + usize::from(*indicator));
            let row = |hot: usize| (0..width).map(|at| f32::from(u8::from(at == hot))).collect();
            // One row for each value, one for a missing value, and one of zeros for an unknown value.
            let rows: Vec<Vec<f32>> = (0..count).chain([count, usize::MAX]).map(row).collect();
            vec![looked_up(graph, &input, words, preparation, &rows)]
        }
    }
}

/// The rows for the words of `input`: `rows` has one row for every code in `words`, one for a missing value, and one for an
/// unknown word.
fn looked_up(
    graph: &mut Graph,
    input: &Wire,
    mut words: Vec<(String, i64)>,
    preparation: &Preparation,
    rows: &[Vec<f32>],
) -> Wire {
    let none = rows.len() as i64 - 2;
    let is_known = |words: &[(String, i64)], text: &str| words.iter().any(|(word, _)| word == text);
    for text in preparation.missing_words() {
        if !is_known(&words, text) {
            words.push((text.to_owned(), none));
        }
    }
    let (keys, codes) = words.into_iter().unzip();
    let attributes = [
        ("keys_strings", Value::Strings(keys)),
        ("values_int64s", Value::Ints(codes)),
        ("default_int64", Value::Int(none + 1)),
    ];
    let code = graph.node_with("LabelEncoder", ML, &[input], &attributes);
    let width = rows[0].len();
    let rows = graph.unnamed(&[rows.len(), width], Values::F32(rows.concat()));
    let axis = graph.ints(&[1]);
    let code = graph.node("Squeeze", &[&code, &axis]);
    graph.node_with("Gather", "", &[&rows, &code], &[("axis", Value::Int(0))])
}

/// The usual spellings of a word in lower and upper case, which Kiln treats as equal.
fn spellings(word: &str) -> [String; 4] {
    let mut capital = word.to_ascii_lowercase();
    if let Some(first) = capital.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    [word.to_owned(), word.to_ascii_lowercase(), word.to_ascii_uppercase(), capital]
}

/// Whether a value of `input` is missing: NaN, or a number that means missing.
fn missing_number(graph: &mut Graph, input: &Wire, missing: &[String]) -> Wire {
    let mut is_missing = graph.node("IsNaN", &[input]);
    for number in missing.iter().filter_map(|text| text.parse::<f64>().ok()).filter(|it| it.is_finite()) {
        let number = graph.f64(number);
        let is_it = graph.node("Equal", &[input, &number]);
        is_missing = graph.node("Or", &[&is_missing, &is_it]);
    }
    is_missing
}

fn with_indicator(
    graph: &mut Graph,
    mut features: Vec<Wire>,
    is_missing: &Wire,
    indicator: bool,
) -> Vec<Wire> {
    if indicator {
        features.push(graph.cast(is_missing, DataType::Float));
    }
    features
}

/// `input`, scaled by `scale` in double precision and rounded to single precision.
fn scaled(graph: &mut Graph, input: &Wire, is_missing: &Wire, scale: &Scale) -> Wire {
    if scale.spread == 0.0 {
        let zero = graph.f32(0.0);
        let any = graph.cast(is_missing, DataType::Float);
        return graph.node("Mul", &[&any, &zero]);
    }
    let median = graph.f64(scale.median);
    let filled = graph.node("Where", &[is_missing, &median, input]);
    if scale.knots.len() >= 2 {
        return place(graph, &filled, &scale.knots);
    }
    let (offset, spread) = (graph.f64(scale.offset), graph.f64(scale.spread));
    let centred = graph.node("Sub", &[&filled, &offset]);
    let ratio = graph.node("Div", &[&centred, &spread]);
    let (least, greatest) = (graph.f64(f64::from(f32::MIN)), graph.f64(f64::from(f32::MAX)));
    let mut ratio = graph.node("Clip", &[&ratio, &least, &greatest]);
    if scale.clipped {
        let (clip, one) = (graph.f64(Scale::CLIP), graph.f64(1.0));
        let part = graph.node("Div", &[&ratio, &clip]);
        let square = graph.node("Mul", &[&part, &part]);
        let sum = graph.node("Add", &[&one, &square]);
        let root = graph.node("Sqrt", &[&sum]);
        ratio = graph.node("Div", &[&ratio, &root]);
    }
    graph.cast(&ratio, DataType::Float)
}

/// The position of `value` among `knots`, from -1 to 1: the sum of the shares of each interval that lie below it.
fn place(graph: &mut Graph, value: &Wire, knots: &[f64]) -> Wire {
    let last = knots.len() - 1;
    let from: Vec<f64> = knots[..last].iter().map(|knot| knot / 2.0).collect();
    let way: Vec<f64> = knots.windows(2).map(|pair| pair[1] / 2.0 - pair[0] / 2.0).collect();
    let (from, way) =
        (graph.unnamed(&[1, last], Values::F64(from)), graph.unnamed(&[1, last], Values::F64(way)));
    let [half, zero, one, step] = [0.5, 0.0, 1.0, 2.0 / last as f64].map(|number| graph.f64(number));
    let value = graph.node("Mul", &[value, &half]);
    let above = graph.node("Sub", &[&value, &from]);
    let share = graph.node("Div", &[&above, &way]);
    let share = graph.node("Clip", &[&share, &zero, &one]);
    let axis = graph.ints(&[1]);
    let sum = graph.node_with("ReduceSum", "", &[&share, &axis], &[("keepdims", Value::Int(1))]);
    let scaled = graph.node("Mul", &[&sum, &step]);
    let place = graph.node("Sub", &[&scaled, &one]);
    graph.cast(&place, DataType::Float)
}

/// The features of dates, which are days since 1970: Howard Hinnant's `civil_from_days` ("chrono-compatible low-level date
/// algorithms", 2021), in which all numbers are integers.
fn of_date(graph: &mut Graph, days: &Wire, parts: &[DatePart]) -> Vec<Wire> {
    let dates = Dates::new(graph, days);
    parts
        .iter()
        .map(|part| {
            let value = dates.part(graph, &part.name);
            let is_missing = graph.node("IsNaN", &[&value]);
            scaled(graph, &value, &is_missing, &part.scale)
        })
        .collect()
}

struct Dates {
    days: Wire,
    year: Wire,
    month: Wire,
    day: Wire,
    weekday: Wire,
    hour: Wire,
    minute: Wire,
}

impl Dates {
    fn new(graph: &mut Graph, days: &Wire) -> Self {
        let whole = graph.node("Floor", &[days]);
        let mut of = Arithmetic(graph);
        let since_march = of.add(&whole, 719_468.0);
        let era = of.whole_part(&since_march, 146_097.0);
        let day_of_era = of.rest(&since_march, &era, 146_097.0);
        let leap = of.whole_part(&day_of_era, 1460.0);
        let century = of.whole_part(&day_of_era, 36_524.0);
        let cycle = of.whole_part(&day_of_era, 146_096.0);
        let without_leap = of.0.node("Sub", &[&day_of_era, &leap]);
        let with_century = of.0.node("Add", &[&without_leap, &century]);
        let without_cycle = of.0.node("Sub", &[&with_century, &cycle]);
        let year_of_era = of.whole_part(&without_cycle, 365.0);
        let (quarters, centuries) = (of.whole_part(&year_of_era, 4.0), of.whole_part(&year_of_era, 100.0));
        let common = of.times(&year_of_era, 365.0);
        let with_leap = of.0.node("Add", &[&common, &quarters]);
        let start = of.0.node("Sub", &[&with_leap, &centuries]);
        let day_of_year = of.0.node("Sub", &[&day_of_era, &start]);
        let five = of.times(&day_of_year, 5.0);
        let five = of.add(&five, 2.0);
        let month_from_march = of.whole_part(&five, 153.0);
        let before = of.times(&month_from_march, 153.0);
        let before = of.add(&before, 2.0);
        let before = of.whole_part(&before, 5.0);
        let day = of.0.node("Sub", &[&day_of_year, &before]);
        let day = of.add(&day, 1.0);
        let ten = of.0.f64(10.0);
        let is_old_year = of.0.node("Less", &[&month_from_march, &ten]);
        let (later, earlier) = (of.add(&month_from_march, 3.0), of.add(&month_from_march, -9.0));
        let month = of.0.node("Where", &[&is_old_year, &later, &earlier]);
        let of_era = of.times(&era, 400.0);
        let year = of.0.node("Add", &[&of_era, &year_of_era]);
        let next = of.add(&year, 1.0);
        let year = of.0.node("Where", &[&is_old_year, &year, &next]);
        let from_monday = of.add(&whole, 3.0);
        let weeks = of.whole_part(&from_monday, 7.0);
        let weekday = of.rest(&from_monday, &weeks, 7.0);
        let weekday = of.add(&weekday, 1.0);
        let time = of.0.node("Sub", &[days, &whole]);
        let minutes = of.times(&time, 1440.0);
        let minutes = of.add(&minutes, 1e-6);
        let minutes = of.0.node("Floor", &[&minutes]);
        let last = of.0.f64(1439.0);
        let is_within = of.0.node("Less", &[&minutes, &last]);
        let is_none = of.0.node("IsNaN", &[&minutes]);
        let is_kept = of.0.node("Or", &[&is_within, &is_none]);
        let minutes = of.0.node("Where", &[&is_kept, &minutes, &last]);
        let hour = of.whole_part(&minutes, 60.0);
        let minute = of.rest(&minutes, &hour, 60.0);
        Self { days: days.clone(), year, month, day, weekday, hour, minute }
    }

    fn part(&self, graph: &mut Graph, name: &str) -> Wire {
        let part = match name {
            "year" => &self.year,
            "month" => &self.month,
            "day" => &self.day,
            "weekday" => &self.weekday,
            "hour" => &self.hour,
            "minute" => &self.minute,
            _ => return self.days.clone(),
        };
        // For a missing date, the conditions above would still select a month.
        let is_none = graph.node("IsNaN", &[&self.days]);
        let none = graph.f64(f64::NAN);
        graph.node("Where", &[&is_none, &none, part])
    }
}

/// Integer arithmetic in double precision.
struct Arithmetic<'a>(&'a mut Graph);

impl Arithmetic<'_> {
    fn add(&mut self, wire: &Wire, number: f64) -> Wire {
        let number = self.0.f64(number);
        self.0.node("Add", &[wire, &number])
    }

    fn times(&mut self, wire: &Wire, number: f64) -> Wire {
        let number = self.0.f64(number);
        self.0.node("Mul", &[wire, &number])
    }

    /// `wire / divisor`, rounded down.
    fn whole_part(&mut self, wire: &Wire, divisor: f64) -> Wire {
        let divisor = self.0.f64(divisor);
        let quotient = self.0.node("Div", &[wire, &divisor]);
        self.0.node("Floor", &[&quotient])
    }

    /// `wire - count * divisor`.
    fn rest(&mut self, wire: &Wire, count: &Wire, divisor: f64) -> Wire {
        let taken = self.times(count, divisor);
        self.0.node("Sub", &[wire, &taken])
    }
}

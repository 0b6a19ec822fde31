//! Parses the text of cells: words for a missing value, numbers in many notations, dates and times.

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::strtime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Defines a list of words, and a function that matches them, which is faster than searching the list.
macro_rules! words {
    ($list:ident, $is_one:ident: $($word:literal)*) => {
        const $list: &[&str] = &[$($word),*];

        fn $is_one(cell: &str) -> bool {
            matches!(cell, $($word)|*)
        }
    };
}

words!(NOTHING, is_nothing:
    "" "?" "NA" "na" "N/A" "n/a" "#N/A" "<NA>" "NaN" "nan" "NAN" "-nan" "NaT" "null" "NULL" "Null" "None" "N.A." "n.a."
    "(null)" r"\N" "#NULL!" "#DIV/0!" "#VALUE!" "#REF!" "#NAME?" "#NUM!" "#NV"
);
words!(NO_CLASS_NAMES, is_no_class_name: "-" "--" "." "0000-00-00" "0000-00-00 00:00:00");

/// True if `cell` stands for a missing value: an empty cell; `NA`, `N/A`, `NaN`, `null`, `None`, `?`, `-`, `.` in their usual
/// spellings; an error value of a spreadsheet; `\N` and zero dates of databases; or one of `more`.
#[must_use]
pub fn is_missing(cell: &str, more: &[String]) -> bool {
    is_missing_label(cell, more) || is_no_class_name(cell)
}

/// As [`is_missing`], for a class, whose name may well be `-` or `.`.
#[must_use]
pub fn is_missing_label(cell: &str, more: &[String]) -> bool {
    is_nothing(cell) || more.iter().any(|text| text == cell)
}

/// Every word that [`is_missing`] accepts in all tables.
pub fn missing_words() -> impl Iterator<Item = &'static str> {
    NOTHING.iter().chain(NO_CLASS_NAMES).copied()
}

/// True if `text` is a number in the notation of programs; see [`plain_number`].
pub(crate) fn is_plain_number(text: &str) -> bool {
    plain_number(text).is_some()
}

/// Parses a cell that is a number. In a table with `decimal_comma`, 1,5 is one and a half, and 1.234 is over a thousand.
pub(crate) fn cell_number(text: &str, decimal_comma: bool) -> Option<f64> {
    if !decimal_comma || !text.contains([',', '.']) {
        return plain_number(text);
    }
    let (whole, fraction) = text.split_once(',').unwrap_or((text, ""));
    let unsigned = whole.trim_start_matches(['-', '+']);
    if !unsigned.contains('.') {
        return plain_number(&text.replacen(',', ".", 1));
    }
    let Some(digits) = without_thousands(unsigned, DecimalMark::Comma).filter(|_| !unsigned.starts_with('0'))
    else {
        return plain_number(text);
    };
    let sign = &whole[..whole.len() - unsigned.len()];
    plain_number(&format!("{sign}{digits}.{fraction}"))
}

/// A hint from one number on the decimal mark of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MarkHint {
    /// The comma is the decimal mark.
    DecimalComma,
    /// The point is the decimal mark, or commas separate thousands.
    DecimalPoint,
    /// One comma before three digits: it may be a decimal mark or separate thousands.
    AmbiguousComma,
}

/// The hint of `text`, if it is a number with a mark. A single point before three digits gives no hint.
pub(crate) fn mark_hint(text: &str) -> Option<MarkHint> {
    let unsigned = text.trim_start_matches(['-', '+']);
    let mark = unsigned.find([',', '.']).map(|at| unsigned.as_bytes()[at])?;
    let groups: Vec<&str> = unsigned.split([',', '.']).collect();
    let are_digits = groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_digit()));
    if !are_digits || groups[0].is_empty() {
        return None;
    }
    let are_thousands = |groups: &[&str]| {
        (1..=3).contains(&groups[0].len())
            && !groups[0].starts_with('0')
            && groups[1..].iter().all(|group| group.len() == 3)
    };
    let last = unsigned.rfind([',', '.']).map(|at| unsigned.as_bytes()[at])?;
    match (mark, groups.len()) {
        (b',', 2) if are_thousands(&groups) => Some(MarkHint::AmbiguousComma),
        (b',', 2) => Some(MarkHint::DecimalComma),
        (b'.', 2) if are_thousands(&groups) => None,
        (b'.', 2) => Some(MarkHint::DecimalPoint),
        _ if mark == last => (mark == b',' && are_thousands(&groups)).then_some(MarkHint::DecimalPoint),
        _ if !are_thousands(&groups[..groups.len() - 1]) => None,
        (b',', _) => Some(MarkHint::DecimalPoint),
        _ => Some(MarkHint::DecimalComma),
    }
}

/// Parses a number in the notation of programs: digits, a point, an exponent. Leading zeros (`007`) make it a code instead of
/// a number.
fn plain_number(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let unsigned = match bytes {
        [b'-' | b'+', rest @ ..] => rest,
        _ => bytes,
    };
    match unsigned {
        [b'0', b'0'..=b'9', ..] if !unsigned.contains(&b'.') => None,
        [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..] => {
            text.parse().ok().filter(|number: &f64| number.is_finite())
        }
        _ => None,
    }
}

/// The notation of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "NumberMarks")]
pub enum DecimalMark {
    /// 1,234.5: commas between thousands, a decimal point.
    Point,
    /// 1.234,5: points between thousands, a decimal comma.
    Comma,
}

/// Parses a number that may have thousands separators, a percent sign, a currency or a plus. `(1)` is minus one, 45 % is 45.
#[must_use]
pub fn styled_number(text: &str, marks: DecimalMark) -> Option<f64> {
    let mut text = text.trim();
    let mut sign = 1.0;
    if let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
        (sign, text) = (-1.0, inner.trim());
    }
    for _ in 0..2 {
        if let Some(rest) = text.strip_prefix(['-', '−']) {
            (sign, text) = (-sign, rest.trim_start());
        }
        text = text.strip_prefix('+').unwrap_or(text);
        text = without_unit(text);
    }
    let (whole, fraction) = split_decimals(text, marks)?;
    // 02134 is a code, not a number.
    if fraction.is_empty() && whole.len() > 1 && whole.starts_with('0') {
        return None;
    }
    let whole = without_thousands(whole, marks)?;
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let plain = format!("{}.{fraction}", if whole.is_empty() { "0" } else { &whole });
    plain.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| sign * number)
}

fn without_unit(text: &str) -> &str {
    const UNITS: [&str; 14] =
        ["$", "€", "£", "¥", "₹", "₽", "%", "USD", "EUR", "GBP", "CHF", "US$", "Rs.", "kr"];
    for unit in UNITS {
        if let Some(rest) = text.strip_prefix(unit).or_else(|| text.strip_suffix(unit)) {
            return rest.trim();
        }
    }
    text
}

/// The parts before and after the decimal mark. The second consists of digits and perhaps an exponent.
fn split_decimals(text: &str, marks: DecimalMark) -> Option<(&str, &str)> {
    let mark = if marks == DecimalMark::Point { '.' } else { ',' };
    let (whole, fraction) = text.split_once(mark).unwrap_or((text, ""));
    let is_fraction = fraction.split_once(['e', 'E']).map_or(
        fraction.bytes().all(|byte| byte.is_ascii_digit()),
        |(digits, exponent)| {
            let exponent = exponent.trim_start_matches(['-', '+']);
            digits.bytes().all(|byte| byte.is_ascii_digit())
                && !exponent.is_empty()
                && exponent.bytes().all(|byte| byte.is_ascii_digit())
        },
    );
    is_fraction.then_some((whole, fraction))
}

/// The digits of `whole` without thousands separators; `None` unless these separate groups of three digits.
fn without_thousands(whole: &str, marks: DecimalMark) -> Option<String> {
    let mark = if marks == DecimalMark::Point { ',' } else { '.' };
    let mut groups = whole.split([mark, ' ', '\u{a0}', '\u{202f}', '\'', '’', '_']);
    let first = groups.next()?;
    let mut digits = first.to_owned();
    let mut count = 0;
    for group in groups {
        if group.len() != 3 {
            return None;
        }
        digits.push_str(group);
        count += 1;
    }
    let is_good =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (count == 0 || (1..=3).contains(&first.len()));
    is_good.then_some(digits)
}

/// The unit after a blank, such as `km`, that all of `texts` share, and the notation of the numbers before it.
pub(crate) fn unit_of<'a>(texts: &(impl Iterator<Item = &'a str> + Clone)) -> Option<(&'a str, DecimalMark)> {
    let (_, unit) = texts.clone().next()?.rsplit_once(' ')?;
    if unit.is_empty() || unit.chars().any(char::is_numeric) {
        return None;
    }
    let number = |text: &'a str| Some(text.strip_suffix(unit)?.strip_suffix(' ')?.trim_end());
    let numbers: Option<Vec<&str>> = texts.clone().map(number).collect();
    Some((unit, marks_of(&numbers?.into_iter())?))
}

/// The notation in which all of `texts` are numbers; the decimal point if both fit. `None` without any text.
pub(crate) fn marks_of<'a>(texts: &(impl Iterator<Item = &'a str> + Clone)) -> Option<DecimalMark> {
    texts.clone().next()?;
    [DecimalMark::Point, DecimalMark::Comma]
        .into_iter()
        .find(|&marks| texts.clone().all(|text| styled_number(text, marks).is_some()))
}

/// Formats of `strftime`. The first one that parses every value of a column wins. If day and month are ambiguous, the month
/// comes first with slashes, the day with points or dashes.
const FORMATS: &[&str] = &[
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%dT%H:%M:%S%:z",
    "%Y-%m-%d %H:%M:%S%:z",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%d %H:%M:%S UTC",
    "%Y-%m-%d %H:%M:%S %z",
    "%Y-%m-%d %H:%M:%S%.f%:z",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d.%m.%Y",
    "%d.%m.%y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d-%m-%y",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%y %H:%M",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d-%m-%Y %H:%M",
    "%d-%m-%Y %H:%M:%S",
    "%m/%d/%Y %I:%M %p",
    "%m/%d/%Y %I:%M:%S %p",
    "%d-%b-%Y",
    "%d%b%Y",
    "%d%b%Y:%H:%M:%S",
    "%d-%b-%y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%B %d %Y",
    "%a, %d %b %Y",
    "%d/%b/%Y",
    "%d %b %Y %H:%M",
    "%d-%b-%Y %H:%M:%S",
    "%b %d, %Y %H:%M",
    "%H:%M:%S",
    "%H:%M",
    "%I:%M %p",
    "%I:%M:%S %p",
    "%H:%M:%S%.f",
];

/// Parses a date or time into days since 1 January 1970, with the time of day as a fraction. A time without a date is on that
/// day.
pub(crate) fn days(text: &str, format: &str) -> Option<f64> {
    let moment = moment(text, format)?;
    let epoch = Date::constant(1970, 1, 1);
    let days = f64::from((moment.date() - epoch).get_days());
    let time = moment.time();
    let seconds = f64::from(time.hour()) * 3600.0
        + f64::from(time.minute()) * 60.0
        + f64::from(time.second())
        + f64::from(time.subsec_nanosecond()) * 1e-9;
    Some(days + seconds / 86_400.0)
}

/// Year, month (1 to 12), day, weekday (Monday is 1), hour and minute of a time in `days` since 1 January 1970.
pub(crate) fn parts(days: f64) -> Option<[f64; 6]> {
    let whole = days.floor();
    let date = Date::constant(1970, 1, 1).checked_add(jiff::Span::new().try_days(whole as i64).ok()?).ok()?;
    // The small term makes up for rounding: 18:30 as a fraction of a day may come out just below.
    let minutes = ((days - whole) * 1440.0 + 1e-6).floor().min(1439.0);
    Some([
        f64::from(date.year()),
        f64::from(date.month()),
        f64::from(date.day()),
        f64::from(date.weekday().to_monday_one_offset()),
        (minutes / 60.0).floor(),
        minutes % 60.0,
    ])
}

/// The names of [`parts`].
pub(crate) const PARTS: [&str; 6] = ["year", "month", "day", "weekday", "hour", "minute"];

/// The format that parses all of `texts` as dates or times.
pub(crate) fn format_of<'a>(texts: &(impl Iterator<Item = &'a str> + Clone)) -> Option<&'static str> {
    let first = texts.clone().next()?;
    if !(4..=40).contains(&first.len()) || !first.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    FORMATS.iter().copied().find(|format| texts.clone().all(|text| moment(text, format).is_some()))
}

fn moment(text: &str, format: &str) -> Option<DateTime> {
    let broken_down = strtime::parse(format, text.trim()).ok()?;
    match (broken_down.to_date(), broken_down.to_time()) {
        (Ok(date), Ok(time)) => Some(date.to_datetime(time)),
        (Ok(date), Err(_)) => Some(date.to_datetime(Time::midnight())),
        (Err(_), Ok(time)) => Some(Date::constant(1970, 1, 1).to_datetime(time)),
        (Err(_), Err(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_word_is_a_missing_value() {
        assert!(missing_words().all(|word| is_missing(word, &[])));
        assert_eq!(missing_words().filter(|word| is_missing_label(word, &[])).count(), NOTHING.len());
    }

    #[test]
    fn words_for_missing_values_are_recognized() {
        for cell in ["", "?", "NA", "n/a", "NaN", "null", "None", r"\N", "#NV", "#DIV/0!", "#NULL!"] {
            assert!(is_missing(cell, &[]) && is_missing_label(cell, &[]), "{cell}");
        }
        for cell in ["-", ".", "--", "0000-00-00"] {
            assert!(is_missing(cell, &[]) && !is_missing_label(cell, &[]), "{cell}");
        }
        for cell in ["0", "none", "unknown", "+", "N", "-9"] {
            assert!(!is_missing(cell, &[]), "{cell}");
        }
        assert!(is_missing("-9", &["-9".to_owned()]));
    }

    #[test]
    fn plain_numbers_are_in_the_notation_of_programs() {
        for (text, number) in
            [("1", 1.0), ("-2.5", -2.5), ("+3", 3.0), (".5", 0.5), ("5.", 5.0), ("1e39", 1e39), ("00.5", 0.5)]
        {
            assert_eq!(plain_number(text), Some(number), "{text}");
        }
        for text in ["", "inf", "-inf", "NaN", "1e400", "0x10", "007", "1,5", "١", "-", "1 2"] {
            assert_eq!(plain_number(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_with_decimal_commas_are_parsed() {
        for (text, number) in [
            ("1,5", Some(1.5)),
            ("-0,25", Some(-0.25)),
            ("1.234", Some(1234.0)),
            ("-1.234.567,5", Some(-1_234_567.5)),
            ("7", Some(7.0)),
            ("1e3", Some(1000.0)),
            // Not thousands: a decimal point in a table of decimal commas.
            ("48.13", Some(48.13)),
            ("0.125", Some(0.125)),
            ("31.12.2023", None),
            ("1,234,5", None),
            ("a,b", None),
        ] {
            assert_eq!(cell_number(text, true), number, "{text}");
        }
        assert_eq!((cell_number("1.234", false), cell_number("1,5", false)), (Some(1.234), None));
    }

    #[test]
    fn numbers_hint_at_the_decimal_mark_of_their_table() {
        for (text, says) in [
            ("1,5", Some(MarkHint::DecimalComma)),
            ("0,123", Some(MarkHint::DecimalComma)),
            ("-1.234,5", Some(MarkHint::DecimalComma)),
            ("1.5", Some(MarkHint::DecimalPoint)),
            ("0.123", Some(MarkHint::DecimalPoint)),
            ("1,234.5", Some(MarkHint::DecimalPoint)),
            ("1,234,567", Some(MarkHint::DecimalPoint)),
            ("1,234", Some(MarkHint::AmbiguousComma)),
            ("1.234", None),
            ("1.234.567", None),
            ("31.12.2023", None),
            ("12", None),
            ("a,b", None),
            (",", None),
        ] {
            assert_eq!(mark_hint(text), says, "{text}");
        }
    }

    #[test]
    fn styled_numbers_are_parsed_in_both_notations() {
        for (text, number) in [
            ("1,234", 1234.0),
            ("$1,234.50", 1234.5),
            ("45 %", 45.0),
            ("(1,000)", -1000.0),
            ("-$5", -5.0),
            ("1 234", 1234.0),
            ("€ 7", 7.0),
            ("1'000.5", 1000.5),
        ] {
            assert_eq!(styled_number(text, DecimalMark::Point), Some(number), "{text}");
        }
        for (text, number) in [("1,5", 1.5), ("1.234,5", 1234.5), ("2,5 €", 2.5)] {
            assert_eq!(styled_number(text, DecimalMark::Comma), Some(number), "{text}");
        }
        for text in ["12,34", "1,2345", "a", "", "$", "1.2.3", "1,234,5"] {
            assert_eq!(styled_number(text, DecimalMark::Point), None, "{text}");
        }
        assert_eq!(marks_of(&["1,234", "5"].into_iter()), Some(DecimalMark::Point));
        assert_eq!(marks_of(&["1,234", "1,5"].into_iter()), Some(DecimalMark::Comma));
        assert_eq!(marks_of(&["1,234.5", "1,5"].into_iter()), None);
    }

    #[test]
    fn a_column_has_a_unit_if_all_its_cells_have_it() {
        let unit = |texts: &[&'static str]| unit_of(&texts.iter().copied());
        assert_eq!(unit(&["74 bhp", "1,200.5 bhp", "-5 bhp"]), Some(("bhp", DecimalMark::Point)));
        assert_eq!(unit(&["7,5 l", "1.200 l"]), Some(("l", DecimalMark::Comma)));
        for texts in [&["5 km", "5 mi"][..], &["5 km", "5"], &["5km"], &["a km"], &["5 7"], &["km"], &[]] {
            assert_eq!(unit(texts), None, "{texts:?}");
        }
    }

    #[test]
    fn a_column_has_a_date_format_if_it_fits_all_its_cells() {
        let format = |texts: &[&'static str]| format_of(&texts.iter().copied());
        assert_eq!(format(&["2024-01-31", "1999-12-01"]), Some("%Y-%m-%d"));
        assert_eq!(format(&["01/02/2024", "02/01/2024"]), Some("%m/%d/%Y"));
        assert_eq!(format(&["01/02/2024", "13/01/2024"]), Some("%d/%m/%Y"));
        assert_eq!(format(&["1.2.2024"]), Some("%d.%m.%Y"));
        assert_eq!(format(&["2024-01-31T10:20:30Z"]), Some("%Y-%m-%dT%H:%M:%SZ"));
        assert_eq!(format(&["12-Jan-2024", "01-FEB-2024"]), Some("%d-%b-%Y"));
        assert_eq!(format(&["01JAN2020", "28FEB1999"]), Some("%d%b%Y"));
        assert_eq!(format(&["2015-02-24 11:35:52 -0800"]), Some("%Y-%m-%d %H:%M:%S %z"));
        assert_eq!(format(&["10:30", "23:59"]), Some("%H:%M"));
        assert_eq!(format(&["1:30 PM"]), Some("%I:%M %p"));
        for texts in [["40-49", "30-39"], ["2024-13-01", "2024-01-01"], ["a", "b"], ["1-2", "3-4"]] {
            assert_eq!(format(&texts), None, "{texts:?}");
        }
    }

    #[test]
    fn a_time_is_converted_to_days_and_to_its_parts() {
        let day = days("2024-02-29 18:30", "%Y-%m-%d %H:%M").unwrap();
        assert_eq!(day, 19782.0 + 18.5 / 24.0);
        assert_eq!(parts(day), Some([2024.0, 2.0, 29.0, 4.0, 18.0, 30.0]));
        assert_eq!(parts(-0.5), Some([1969.0, 12.0, 31.0, 3.0, 12.0, 0.0]));
        assert_eq!(days("00:15", "%H:%M"), Some(0.25 / 24.0));
        assert_eq!(parts(f64::INFINITY), None);
    }
}

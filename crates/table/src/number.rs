//! Numbers as people write them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// True if `text` is a number as programs write it.
pub(crate) fn is_plain_number(text: &str) -> bool {
    plain_number(text).is_some()
}

/// The number that the cell `text` is; with `decimal_comma`, of a table where 1,5 is one and a half and 1.234 may be over a
/// thousand.
pub(crate) fn cell_number(text: &str, decimal_comma: bool) -> Option<f64> {
    if !decimal_comma || !text.contains([',', '.']) {
        return plain_number(text);
    }
    let (whole, fraction) = text.split_once(',').unwrap_or((text, ""));
    let unsigned = whole.trim_start_matches(['-', '+']);
    if !unsigned.contains('.') {
        return plain_number(&text.replacen(',', ".", 1));
    }
    let Some(digits) = without_thousands(unsigned, Marks::Comma).filter(|_| !unsigned.starts_with('0'))
    else {
        return plain_number(text);
    };
    let sign = &whole[..whole.len() - unsigned.len()];
    plain_number(&format!("{sign}{digits}.{fraction}"))
}

/// What a number says of the marks of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// A comma stands before decimals.
    DecimalComma,
    /// A point stands before decimals, or commas between thousands.
    DecimalPoint,
    /// A comma stands before three digits: decimals, or a thousand.
    AnyComma,
}

/// What `text` says of the marks of its table, if it is a number with a mark. One point before three digits says nothing.
pub(crate) fn says_of_marks(text: &str) -> Option<Says> {
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
        (b',', 2) if are_thousands(&groups) => Some(Says::AnyComma),
        (b',', 2) => Some(Says::DecimalComma),
        (b'.', 2) if are_thousands(&groups) => None,
        (b'.', 2) => Some(Says::DecimalPoint),
        _ if mark == last => (mark == b',' && are_thousands(&groups)).then_some(Says::DecimalPoint),
        _ if !are_thousands(&groups[..groups.len() - 1]) => None,
        (b',', _) => Some(Says::DecimalPoint),
        _ => Some(Says::DecimalComma),
    }
}

/// The number that `text` is, as programs write it: digits, a point, an exponent. Zeros in front (`007`) make it a code,
/// and no number.
pub(crate) fn plain_number(text: &str) -> Option<f64> {
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

/// Which marks numbers are written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "NumberMarks")]
pub enum Marks {
    /// 1,234.5: commas between thousands, a decimal point.
    Point,
    /// 1.234,5: points between thousands, a decimal comma.
    Comma,
}

/// The number that `text` is, with thousands, a percent sign, a currency or a plus; `(1)` is minus one, 45 % is 45.
#[must_use]
pub fn styled_number(text: &str, marks: Marks) -> Option<f64> {
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
    // 02134 is a code, and no number.
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

/// What stands before and after the decimal mark; digits (and an exponent) alone stand after it.
fn split_decimals(text: &str, marks: Marks) -> Option<(&str, &str)> {
    let mark = if marks == Marks::Point { '.' } else { ',' };
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

/// The digits of `whole`, whose marks stand before groups of three; none where it is no such number.
fn without_thousands(whole: &str, marks: Marks) -> Option<String> {
    let mark = if marks == Marks::Point { ',' } else { '.' };
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

/// The unit that stands behind a blank in all of `texts`, such as `km`, and the marks of the numbers before it.
pub(crate) fn unit_of<'a>(texts: &(impl Iterator<Item = &'a str> + Clone)) -> Option<(&'a str, Marks)> {
    let (_, unit) = texts.clone().next()?.rsplit_once(' ')?;
    if unit.is_empty() || unit.chars().any(char::is_numeric) {
        return None;
    }
    let number = |text: &'a str| Some(text.strip_suffix(unit)?.strip_suffix(' ')?.trim_end());
    let numbers: Option<Vec<&str>> = texts.clone().map(number).collect();
    Some((unit, marks_of(&numbers?.into_iter())?))
}

/// The marks with which all of `texts`, of which there is one at least, are numbers; the point where both do.
pub(crate) fn marks_of<'a>(texts: &(impl Iterator<Item = &'a str> + Clone)) -> Option<Marks> {
    texts.clone().next()?;
    [Marks::Point, Marks::Comma]
        .into_iter()
        .find(|&marks| texts.clone().all(|text| styled_number(text, marks).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_numbers_are_those_that_programs_write() {
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
    fn cells_of_tables_with_decimal_commas() {
        for (text, number) in [
            ("1,5", Some(1.5)),
            ("-0,25", Some(-0.25)),
            ("1.234", Some(1234.0)),
            ("-1.234.567,5", Some(-1_234_567.5)),
            ("7", Some(7.0)),
            ("1e3", Some(1000.0)),
            // No thousands: a point where the others have a comma.
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
    fn numbers_say_how_their_table_is_written() {
        for (text, says) in [
            ("1,5", Some(Says::DecimalComma)),
            ("0,123", Some(Says::DecimalComma)),
            ("-1.234,5", Some(Says::DecimalComma)),
            ("1.5", Some(Says::DecimalPoint)),
            ("0.123", Some(Says::DecimalPoint)),
            ("1,234.5", Some(Says::DecimalPoint)),
            ("1,234,567", Some(Says::DecimalPoint)),
            ("1,234", Some(Says::AnyComma)),
            ("1.234", None),
            ("1.234.567", None),
            ("31.12.2023", None),
            ("12", None),
            ("a,b", None),
            (",", None),
        ] {
            assert_eq!(says_of_marks(text), says, "{text}");
        }
    }

    #[test]
    fn styles_of_two_worlds() {
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
            assert_eq!(styled_number(text, Marks::Point), Some(number), "{text}");
        }
        for (text, number) in [("1,5", 1.5), ("1.234,5", 1234.5), ("2,5 €", 2.5)] {
            assert_eq!(styled_number(text, Marks::Comma), Some(number), "{text}");
        }
        for text in ["12,34", "1,2345", "a", "", "$", "1.2.3", "1,234,5"] {
            assert_eq!(styled_number(text, Marks::Point), None, "{text}");
        }
        assert_eq!(marks_of(&["1,234", "5"].into_iter()), Some(Marks::Point));
        assert_eq!(marks_of(&["1,234", "1,5"].into_iter()), Some(Marks::Comma));
        assert_eq!(marks_of(&["1,234.5", "1,5"].into_iter()), None);
    }

    #[test]
    fn a_unit_is_one_for_all() {
        let unit = |texts: &[&'static str]| unit_of(&texts.iter().copied());
        assert_eq!(unit(&["74 bhp", "1,200.5 bhp", "-5 bhp"]), Some(("bhp", Marks::Point)));
        assert_eq!(unit(&["7,5 l", "1.200 l"]), Some(("l", Marks::Comma)));
        for texts in [&["5 km", "5 mi"][..], &["5 km", "5"], &["5km"], &["a km"], &["5 7"], &["km"], &[]] {
            assert_eq!(unit(texts), None, "{texts:?}");
        }
    }
}

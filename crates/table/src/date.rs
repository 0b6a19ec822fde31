//! Dates and times as people write them.

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::strtime;

/// Formats of `strftime`, the first that reads every value of a column being taken: where day and month could be either, a
/// slash puts the month in front, a point or a dash the day.
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

/// A place in time: days since 1 January 1970, with the time of day as a fraction. A time alone is of that day.
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

/// Year, month (1 to 12), day, weekday (Monday is 1), hour and minute of the place in time that is `days` after 1970 began.
pub(crate) fn parts(days: f64) -> Option<[f64; 6]> {
    let whole = days.floor();
    let date = Date::constant(1970, 1, 1).checked_add(jiff::Span::new().try_days(whole as i64).ok()?).ok()?;
    // A minute and a half in a million days is the precision of `f64` many times over.
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

/// The format in which all of `texts` are dates or times.
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
    fn a_column_has_one_format() {
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
    fn moments_become_days_and_parts() {
        let day = days("2024-02-29 18:30", "%Y-%m-%d %H:%M").unwrap();
        assert_eq!(day, 19782.0 + 18.5 / 24.0);
        assert_eq!(parts(day), Some([2024.0, 2.0, 29.0, 4.0, 18.0, 30.0]));
        assert_eq!(parts(-0.5), Some([1969.0, 12.0, 31.0, 3.0, 12.0, 0.0]));
        assert_eq!(days("00:15", "%H:%M"), Some(0.25 / 24.0));
        assert_eq!(parts(f64::INFINITY), None);
    }
}

//! What stands for a value that is not there.

/// True if `cell` stands for a missing value: nothing, `NA`, `N/A`, `NaN`, `null`, `None`, `?`, `-`, `.` and their usual
/// spellings, what spreadsheets write for an error, a database's `\N` and date of zeros, or one of `more`.
#[must_use]
pub fn is_missing(cell: &str, more: &[String]) -> bool {
    is_missing_label(cell, more) || matches!(cell, "-" | "--" | "." | "0000-00-00" | "0000-00-00 00:00:00")
}

/// As [`is_missing`] for a class, which may well be called `-` or `none`.
#[must_use]
pub fn is_missing_label(cell: &str, more: &[String]) -> bool {
    matches!(
        cell,
        "" | "?"
            | "NA"
            | "na"
            | "N/A"
            | "n/a"
            | "#N/A"
            | "<NA>"
            | "NaN"
            | "nan"
            | "NAN"
            | "-nan"
            | "NaT"
            | "null"
            | "NULL"
            | "Null"
            | "None"
            | "N.A."
            | "n.a."
            | "(null)"
            | r"\N"
            | "#NULL!"
            | "#DIV/0!"
            | "#VALUE!"
            | "#REF!"
            | "#NAME?"
            | "#NUM!"
            | "#NV"
    ) || more.iter().any(|text| text == cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_no_value() {
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
}

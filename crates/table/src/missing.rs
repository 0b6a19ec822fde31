//! What stands for a value that is not there.

/// True if `cell` stands for a missing value: nothing, `NA`, `N/A`, `NaN`, `null`, `None`, `?`, `-` and their usual
/// spellings, or one of `more`.
#[must_use]
pub fn is_missing(cell: &str, more: &[String]) -> bool {
    is_missing_label(cell, more) || cell == "-"
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
    ) || more.iter().any(|text| text == cell)
}

//! What stands for a value that is not there.

/// A list of words, and a match on them, which is faster than a search in the list.
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

/// True if `cell` stands for a missing value: nothing, `NA`, `N/A`, `NaN`, `null`, `None`, `?`, `-`, `.` and their usual
/// spellings, what spreadsheets write for an error, a database's `\N` and date of zeros, or one of `more`.
#[must_use]
pub fn is_missing(cell: &str, more: &[String]) -> bool {
    is_missing_label(cell, more) || is_no_class_name(cell)
}

/// As [`is_missing`] for a class, which may well be called `-` or `none`.
#[must_use]
pub fn is_missing_label(cell: &str, more: &[String]) -> bool {
    is_nothing(cell) || more.iter().any(|text| text == cell)
}

/// Every word that [`is_missing`] takes for a missing value in any table.
pub fn missing_words() -> impl Iterator<Item = &'static str> {
    NOTHING.iter().chain(NO_CLASS_NAMES).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_list_is_one() {
        assert!(missing_words().all(|word| is_missing(word, &[])));
        assert_eq!(missing_words().filter(|word| is_missing_label(word, &[])).count(), NOTHING.len());
    }

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

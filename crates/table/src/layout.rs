//! The layout of a table: its dialect, the names of its columns, and where its data begins. Detected from the first rows.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::cell_text::{MarkHint, is_plain_number, mark_hint};
use crate::dialect::{Candidate, Header, is_of_names};
use crate::splitter::{Scan, Splitter};
use crate::{ColumnRef, Dialect, ReadOptions, Record, Separator, TableError, listed};

/// The dialect of a table and the names of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The dialect.
    pub dialect: Dialect,
    /// Unique names, one per column.
    pub names: Vec<String>,
    /// For each column, whether the file or the user names it.
    pub is_named: Vec<bool>,
    /// Notices for the user, one sentence each.
    pub notices: Vec<String>,
}

impl Layout {
    /// Unique names for at least `width` columns: the names in `found`; `column 3` for an empty or absent one.
    pub(crate) fn named(dialect: Dialect, mut found: Vec<String>, width: usize) -> Self {
        found.resize(width.max(found.len()), String::new());
        let is_named: Vec<bool> = found.iter().map(|name| !name.is_empty()).collect();
        let mut names: Vec<String> = Vec::with_capacity(found.len());
        let (mut repeated, mut notices) = (Vec::new(), Vec::new());
        let mut taken = HashSet::new();
        // Thousands of columns may have the same name: counting avoids a quadratic search.
        let mut counts: HashMap<String, usize> = HashMap::new();
        for (at, name) in found.into_iter().enumerate() {
            let base = if name.is_empty() { format!("column {}", at + 1) } else { name };
            let mut unique = base.clone();
            while !taken.insert(unique.clone()) {
                let count = counts.entry(base.clone()).or_insert(1);
                *count += 1;
                unique = format!("{base} ({count})");
            }
            if unique != base {
                repeated.push(unique.clone());
            }
            names.push(unique);
        }
        if !repeated.is_empty() {
            let names = listed(repeated.iter().map(String::as_str), 5);
            notices.push(format!("the header repeats names; the columns are called {names}"));
        }
        Self { dialect, names, is_named, notices }
    }

    /// True if the columns have names, from a header or the user; otherwise positions identify them.
    #[must_use]
    pub fn has_names(&self) -> bool {
        self.is_named.contains(&true)
    }

    /// A notice for a table whose columns have no names: they are matched with the training table by position.
    #[must_use]
    pub fn matched_by_position(&self) -> Option<String> {
        (!self.has_names()).then(|| {
            format!(
                "the file has no header: its {} columns are matched with those of the training table by position",
                self.names.len()
            )
        })
    }
}

/// Detects the layout of a text that begins with `sample`. Also returns a splitter at the first row of data, and its byte.
pub(crate) fn detect_layout(
    sample: &str,
    is_all: bool,
    path: &Path,
    options: &ReadOptions,
) -> Result<(Layout, Splitter, usize), TableError> {
    let (stated, skipped) = stated_separator(sample);
    let separator = options.separator.or(stated);
    let rest = &sample[skipped..];
    let preamble = usize::from(skipped > 0);
    let Some(candidate) = Candidate::best(separator, rest, is_all, path, options) else {
        let dialect = Dialect { preamble, ..Dialect::plain() };
        let splitter = Splitter::new(&dialect, path);
        return Ok((Layout::named(dialect, Vec::new(), 0), splitter, sample.len()));
    };
    let (table, width) = (candidate.table(), candidate.width);
    let mut dialect = candidate.dialect.clone();
    dialect.decimal_comma = has_decimal_commas(&dialect, table);
    let header = Header::of(table, width, dialect.decimal_comma, options);
    let first_line = table[0].line();
    let commented = if header.names.is_none() && options.header.is_none() {
        names_in_comment(&dialect, rest, first_line, width, options)
    } else {
        None
    };
    let names = header.names.map(|row| &table[row]).or(commented.as_ref());
    dialect.header = names.is_some();
    let lines_above =
        first_line.saturating_sub(1) as usize + usize::from(header.names.is_none()) * header.rows;
    // The splitter skips comments anyway.
    dialect.preamble = preamble + if dialect.comment.is_some() { 0 } else { lines_above };
    let mut layout = Layout::named(dialect, names_of_columns(names, width, options), width);
    if header.rows > 1 {
        let line = table[1 - header.names.unwrap_or(0)].line() + preamble as u64;
        layout.notices.push(format!("line {line} is skipped: it contains neither data nor column names"));
    }
    let (splitter, at) =
        start_of_data(&layout.dialect, rest, is_all, path, preamble as u64, first_line, header.rows)?;
    Ok((layout, splitter, skipped + at))
}

/// The separator in a first line such as `sep=;`, which Excel understands, and the length of that line.
fn stated_separator(sample: &str) -> (Option<Separator>, usize) {
    let end = sample.find(['\n', '\r']).unwrap_or(sample.len());
    let line = sample[..end].trim_matches('"');
    let Some(separator) = line.strip_prefix("sep=").and_then(Separator::parse) else {
        return (None, 0);
    };
    (Some(separator), after_line(sample, end))
}

/// The byte at which the line after the one that ends at byte `end` begins.
fn after_line(text: &str, end: usize) -> usize {
    let length = if text[end..].starts_with("\r\n") { 2 } else { 1 };
    (end + length).min(text.len())
}

/// Column names in the comment line right above a table without a header, as `numpy.savetxt` writes them.
fn names_in_comment(
    dialect: &Dialect,
    text: &str,
    first_line: u64,
    width: usize,
    options: &ReadOptions,
) -> Option<Record> {
    let mark = dialect.comment?;
    let comment = text.lines().nth(first_line.checked_sub(2)? as usize)?.trim();
    let names = comment.strip_prefix(mark)?.trim_start_matches(mark);
    let mut record = Record::default();
    let plain = Dialect { comment: None, ..dialect.clone() };
    let Ok(Scan::Row(_)) = Splitter::new(&plain, "").scan(names, 0, true, &mut record) else { return None };
    let is_wanted = match &options.label {
        _ if !options.known.is_empty() => is_of_names(&record, &options.known),
        Some(label @ ColumnRef::Name(_)) => label.is_named_in(record.cells()),
        _ => record.cells().all(|name| !name.is_empty() && !is_plain_number(name)),
    };
    (record.len() == width && is_wanted).then_some(record)
}

/// True if numbers have decimal commas and none has a decimal point.
fn has_decimal_commas(dialect: &Dialect, rows: &[Record]) -> bool {
    if dialect.separator == Separator::Comma {
        return false;
    }
    let (mut commas, mut points, mut either) = (0, 0, 0);
    for cell in rows.iter().flat_map(Record::cells) {
        match mark_hint(cell) {
            Some(MarkHint::DecimalComma) => commas += 1,
            Some(MarkHint::DecimalPoint) => points += 1,
            Some(MarkHint::AmbiguousComma) => either += 1,
            None => {}
        }
    }
    // Programs use semicolons as separators where commas are decimal marks.
    points == 0 && (commas > 0 || (either > 0 && dialect.separator == Separator::Semicolon))
}

/// The names of `width` columns: the user's if there are any, otherwise the cells of `row`.
fn names_of_columns(row: Option<&Record>, width: usize, options: &ReadOptions) -> Vec<String> {
    if !options.names.is_empty() {
        options.names.clone()
    } else if let Some(row) = row {
        let mut names: Vec<String> =
            row.cells().map(|cell| cell.trim().trim_start_matches('#').trim().to_owned()).collect();
        if names.len() > width && names.last().is_some_and(String::is_empty) {
            names.pop();
        } else if names.len() + 1 == width {
            // R's write.table writes no name above the column of row names.
            names.insert(0, String::new());
        }
        names
    } else {
        Vec::new()
    }
}

/// A splitter at the first row of data, and its byte: it comes after the `rows` rows of the header, which begin on line
/// `first_line` of `text`. `lines_above` lines of the file come before `text`.
fn start_of_data(
    dialect: &Dialect,
    text: &str,
    is_all: bool,
    path: &Path,
    lines_above: u64,
    first_line: u64,
    rows: usize,
) -> Result<(Splitter, usize), TableError> {
    let (mut at, mut line) = (0, 1);
    while line < first_line
        && let Some(length) = text[at..].find(['\n', '\r'])
    {
        at = after_line(text, at + length);
        line += 1;
    }
    let mut splitter = Splitter::new(dialect, path);
    splitter.skip_lines(lines_above + line - 1);
    let mut record = Record::default();
    for _ in 0..rows {
        match splitter.scan(text, at, is_all, &mut record)? {
            Scan::Row(next) => at = next,
            Scan::Unfinished | Scan::End => return Ok((splitter, text.len())),
        }
    }
    Ok((splitter, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The layout and the first row of data of the table `text`.
    fn layout_and_row(text: &str, options: &ReadOptions) -> (Layout, Record) {
        let (layout, mut splitter, at) = detect_layout(text, true, Path::new("t.csv"), options).unwrap();
        let mut record = Record::default();
        splitter.scan(text, at, true, &mut record).unwrap();
        (layout, record)
    }

    /// Dialect, names and first row of data of the table `text` with this label.
    fn read(text: &str, label: ColumnRef) -> (String, String, String) {
        let options = ReadOptions { label: Some(label), ..ReadOptions::default() };
        let (layout, record) = layout_and_row(text, &options);
        let row: Vec<&str> = record.cells().collect();
        (layout.dialect.to_string(), layout.names.join("/"), format!("{}: {}", record.line(), row.join("/")))
    }

    /// Checks cases of table, dialect, names and first row. The last column is the label.
    fn check(cases: &[(&str, &str, &str, &str)]) {
        for &(text, dialect, names, row) in cases {
            let found = read(text, ColumnRef::Position(-1));
            let wanted = (format!("cells separated by {dialect}"), names.to_owned(), row.to_owned());
            assert_eq!(found, wanted, "{text:?}");
        }
    }

    #[test]
    fn separators_are_detected() {
        check(&[
            ("a,b,c\n1,2,x\n", "commas, a header", "a/b/c", "2: 1/2/x"),
            ("a;b\n1,5;x, y\n2,5;z\n", "semicolons, a header, decimal commas", "a/b", "2: 1,5/x, y"),
            ("a\tb c\n1\tx\n", "tabs, a header", "a/b c", "2: 1/x"),
            ("a|b\n1|x,y\n", "pipes, a header", "a/b", "2: 1/x,y"),
            ("  1  2   x\n 10 3   y\n", "blanks, no header", "column 1/column 2/column 3", "1: 1/2/x"),
            // A tab before the quoted name, blanks before the numbers.
            (
                "18.0   8   307.0\t\"ford a\"\n15.0   8   350.0\t\"amc\"\n",
                "blanks, no header",
                "column 1/column 2/column 3/column 4",
                "1: 18.0/8/307.0/ford a",
            ),
            // Two tabs sometimes stand for one.
            ("1\t2\tx\n1\t\t2\tx\n1\t2\ty\n", "blanks, no header", "column 1/column 2/column 3", "1: 1/2/x"),
            ("a b\n1,5 2,5\n3,5 4,5\n", "blanks, a header, decimal commas", "a/b", "2: 1,5/2,5"),
            ("a,pixels\n0,70 80 90\n1,1 2 3\n", "commas, a header", "a/pixels", "2: 0/70 80 90"),
            ("sep=;\r\na;b\r\n1;x\r\n", "semicolons, a header, a line above the table", "a/b", "3: 1/x"),
            ("sep=;\ra;b\r1;x\r", "semicolons, a header, a line above the table", "a/b", "3: 1/x"),
            // Every row has a pipe in a cell, but the header has none.
            ("a,b,k\n1,x|y,u\n2,z|y,v\n", "commas, a header", "a/b/k", "2: 1/x|y/u"),
            (
                "Report;2023\n\na;b;k\nx;1,5;u\ny;2,5;v\n",
                "semicolons, a header, decimal commas, 2 lines above the table",
                "a/b/k",
                "4: x/1,5/u",
            ),
            ("a,b\n'x, y',1\n'z',2\n", "commas, a header, single quotes", "a/b", "2: x, y/1"),
        ]);
    }

    #[test]
    fn a_header_is_detected() {
        let (plain, none) = ("commas, a header", "commas, no header");
        check(&[
            ("5.1,3.5,a\n4.9,3.0,b\n\n", none, "column 1/column 2/column 3", "1: 5.1/3.5/a"),
            // Words above words.
            ("size,kind\nbig,x\nsmall,y\nbig,y\n", plain, "size/kind", "2: big/x"),
            ("big,x\nsmall,y\nbig,y\nsmall,x\n", none, "column 1/column 2", "1: big/x"),
            // A formatted number is not a name.
            (
                "1,5;2,5;a\n3,5;4,5;b\n",
                "semicolons, no header, decimal commas",
                "column 1/column 2/column 3",
                "1: 1,5/2,5/a",
            ),
            ("$5,x y\n$7,z\n$8,x y\n", none, "column 1/column 2", "1: $5/x y"),
            ("31.12.2023,x\n30.12.2023,y\n", none, "column 1/column 2", "1: 31.12.2023/x"),
            ("id,2020-01-01,k\n1,2,x\n2,4,y\n", plain, "id/2020-01-01/k", "2: 1/2/x"),
            ("x,y,5\n1,2,0\n3,4,1\n", plain, "x/y/5", "2: 1/2/0"),
            // Numbers that are names: positions and years.
            (
                "0,1,2,3\n.5,.5,.5,a\n.5,.5,.5,b\n.5,.5,.5,b\n.5,.5,.5,b\n.5,.5,.5,b\n",
                plain,
                "0/1/2/3",
                "2: .5/.5/.5/a",
            ),
            ("land,1990,1995,k\nA,.5,.5,x\nB,.5,.5,y\n", plain, "land/1990/1995/k", "2: A/.5/.5/x"),
            (
                "1,2,3,4\n1,2,3,4\n2,3,4,5\n1,1,3,4\n1,2,2,4\n1,2,3,5\n",
                none,
                "column 1/column 2/column 3/column 4",
                "1: 1/2/3/4",
            ),
        ]);
        // The first line of scikit-learn's tables.
        let iris = "3,4,setosa,versicolor,virginica\n5.1,3.5,1.4,0.2,0\n4.9,3.0,1.4,0.2,0\n7,3.2,4.7,1.4,1\n";
        let names = "column 1/column 2/column 3/column 4/column 5";
        check(&[(iris, "commas, no header, a line above the table", names, "2: 5.1/3.5/1.4/0.2/0")]);
    }

    #[test]
    fn a_header_may_have_two_lines() {
        let text = ",X1,X2,Y\nID,AGE,PAY,next\n1,20,5,0\n2,30,6,1\n3,40,6,1\n";
        check(&[
            (text, "commas, a header", "ID/AGE/PAY/next", "3: 1/20/5/0"),
            ("h,w,k\ncm,cm,-\n1,2,a\n1,3,b\n", "commas, a header", "h/w/k", "3: 1/2/a"),
            // A word among numbers is a value.
            ("n,h,k\nx,absent,a\ny,3,b\nz,4,b\n", "commas, a header", "n/h/k", "2: x/absent/a"),
        ]);
        let first = read(text, ColumnRef::Name("Y".to_owned()));
        assert_eq!((first.1.as_str(), first.2.as_str()), ("column 1/X1/X2/Y", "3: 1/20/5/0"));
    }

    #[test]
    fn known_names_and_names_of_the_user_decide_what_is_a_header() {
        let read = |text: &str, options: &ReadOptions| {
            let (layout, record) = layout_and_row(text, options);
            (layout.names.join("/"), record.line())
        };
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let known = ReadOptions { known: list(&["ID", "AGE", "PAY", "next"]), ..ReadOptions::default() };
        let two = ",X1,X2,Y\nID,AGE,PAY,next\n1,20,5,0\n2,30,6,1\n";
        assert_eq!(read(two, &known), ("ID/AGE/PAY/next".to_owned(), 3));
        assert_eq!(read("PAY,ID\nx,y\n", &known), ("PAY/ID".to_owned(), 2));
        assert_eq!(read("x,y\nz,w\n", &known), ("column 1/column 2".to_owned(), 1));
        let named = ReadOptions { names: list(&["a", "b"]), ..ReadOptions::default() };
        assert_eq!(read("1,x\n2,y\n", &named), ("a/b".to_owned(), 1));
        assert_eq!(read("v,w\nx,y\n", &named), ("a/b".to_owned(), 1));
        // A header with other names is still not data.
        assert_eq!(read("size,kind\n1,x\n2,y\n", &named), ("a/b".to_owned(), 2));
        assert_eq!(read("b,a\n1,x\n2,y\n", &named), ("a/b".to_owned(), 2));
    }

    #[test]
    fn lines_above_a_table_and_trailing_separators_are_not_data() {
        let below = "a,b,c\n1,2,x\n3,4,y\n5,6,y\n";
        for (above, dialect) in [
            ("Report\n\n", "commas, a header, 2 lines above the table"),
            ("Made by Anna, Berlin\n", "commas, a header, a line above the table"),
            ("|1x3 Cross validator\n", "commas, a header, a line above the table"),
            ("# made by x\n# a, b\n", "commas, a header, comments after #"),
        ] {
            let text = format!("{above}{below}");
            let line = above.lines().count() + 2;
            check(&[(&text, dialect, "a/b/c", &format!("{line}: 1/2/x"))]);
        }
        check(&[
            ("# a b c\n1 2 3\n4 5 6\n", "blanks, a header, comments after #", "a/b/c", "2: 1/2/3"),
            ("# a,b\n1,2\n4,5\n", "commas, a header", "a/b", "2: 1/2"),
            // Row names, as R writes them.
            (
                "\"a\" \"k\"\n\"x 1\" 2 \"y\"\n\"x 2\" 3 \"z\"\n",
                "blanks, a header",
                "column 1/a/k",
                "2: x 1/2/y",
            ),
            // A trailing separator: in all lines, in the rows only, in the header only, and without a header.
            ("a,b,c,\n1,2,x,\n3,4,y,\n", "commas, a header", "a/b/c", "2: 1/2/x/"),
            ("a,b,c\n1,2,x,\n3,4,y,\n", "commas, a header", "a/b/c", "2: 1/2/x/"),
            ("a,b,c,\n1,2,x\n3,4,y\n", "commas, a header", "a/b/c", "2: 1/2/x"),
            ("1,2,x,\n3,4,y,\n", "commas, no header", "column 1/column 2/column 3", "1: 1/2/x/"),
            // A repeated name and an empty one.
            (
                "a,a,,a (2)\n1,2,3,x\n3,4,5,y\n",
                "commas, a header",
                "a/a (2)/column 3/a (2) (2)",
                "2: 1/2/3/x",
            ),
        ]);
        let many = Layout::named(Dialect::plain(), vec!["a".to_owned(); 50_000], 0);
        assert_eq!(many.names[49_999], "a (50000)");
    }

    #[test]
    fn decimal_commas_are_detected() {
        let marks = |text: &str| {
            let (layout, ..) =
                detect_layout(text, true, Path::new("t.csv"), &ReadOptions::default()).unwrap();
            layout.dialect.decimal_comma
        };
        assert!(marks("a;b\n1,5;1.234\n2,5;12.345\n"));
        assert!(marks("a;b\n1,234;x\n2,345;y\n"));
        assert!(!marks("a\tb\n1,234\tx\n2,345\ty\n"));
        assert!(!marks("a;b\n1,5;1.5\n2,5;0.345\n"));
        assert!(!marks("a;b\n\"1,234,567\";x\n\"1,234,568\";x\n"));
    }
}

use proptest::prelude::*;

use super::*;

/// Rows with the lines on which they begin, the text given in pieces of `piece` bytes.
fn rows(form: &Form, text: &str, piece: usize) -> Vec<(u64, Vec<String>)> {
    let mut splitter = Splitter::new(form, "t.csv");
    let (mut rows, mut record, mut at, mut known) = (Vec::new(), Record::default(), 0, 0);
    loop {
        let is_all = known == text.len();
        let scan = splitter.scan(&text[..known], at, is_all, &mut record);
        match scan.unwrap_or_else(|error| {
            rows.push((0, vec![error.to_string()]));
            Scan::End
        }) {
            Scan::Row(next) => {
                at = next;
                rows.push((record.line(), record.cells().map(str::to_owned).collect()));
            }
            Scan::Unfinished => {
                known = (known + piece).min(text.len());
                while !text.is_char_boundary(known) {
                    known += 1;
                }
            }
            Scan::End => return rows,
        }
    }
}

fn cells(form: &Form, text: &str) -> Vec<(u64, Vec<String>)> {
    rows(form, text, usize::MAX / 2)
}

fn row(line: u64, cells: &[&str]) -> (u64, Vec<String>) {
    (line, cells.iter().map(|&cell| cell.to_owned()).collect())
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    for end in ["\n", "\r\n", "\r"] {
        let text = "a,b\n\n  \n1,\"two\nlines\"\n3,4".replace('\n', end);
        let lines: Vec<u64> = cells(&Form::plain(), &text).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [1, 4, 6], "{end:?}");
    }
}

#[test]
fn quotes_blanks_and_what_follows_them() {
    let found = cells(&Form::plain(), " a , \"b, \"\"c\"\" \" ,\"d\"e,'f'\n,,\"\",\n");
    assert_eq!(found, [row(1, &["a", "b, \"c\" ", "de", "'f'"]), row(2, &["", "", "", ""])]);
    let single = Form { single_quotes: true, ..Form::plain() };
    assert_eq!(cells(&single, "'it''s','a,b'"), [row(1, &["it's", "a,b"])]);
    assert_eq!(cells(&Form::plain(), "a,\"never closed"), [row(1, &["a", "never closed"])]);
    let blanks = Form { separator: Separator::Blanks, ..Form::plain() };
    assert_eq!(cells(&blanks, "\"a b\" \"c\"  d \"\"\n"), [row(1, &["a b", "c", "d", ""])]);
}

#[test]
fn a_quote_that_would_swallow_rows_is_an_error() {
    let found = cells(&Form::plain(), "a,b\n1,\"2\n3,4\n");
    assert_eq!(found[0], row(1, &["a", "b"]));
    assert!(
        found[1].1[0].starts_with("open quote: t.csv, line 2: expected a quote that is closed"),
        "{found:?}"
    );
}

#[test]
fn the_end_of_a_dos_file_is_no_row() {
    assert_eq!(cells(&Form::plain(), "a\r\nb\r\n\u{1a}"), [row(1, &["a"]), row(2, &["b"])]);
    assert_eq!(cells(&Form::plain(), "\u{1a}\nb"), [row(1, &["\u{1a}"]), row(2, &["b"])]);
}

#[test]
fn quotes_behind_a_backslash_where_that_is_the_custom() {
    let form = Form { single_quotes: true, ..Form::plain() };
    let mut splitter = Splitter::new(&form, "t.arff").with_escapes();
    let mut record = Record::default();
    splitter.scan(r"'can\'t, won\'t','\\',a\'b", 0, true, &mut record).unwrap();
    assert_eq!(record.cells().collect::<Vec<_>>(), ["can't, won't", r"\\", r"a\'b"]);
}

#[test]
fn blanks_and_comments() {
    let form = Form { separator: Separator::Blanks, comment: Some('%'), ..Form::plain() };
    assert_eq!(
        cells(&form, "% title\n  1 \t 2  \n3 \"4 5\"\n% end"),
        [row(2, &["1", "2"]), row(3, &["3", "4 5"])]
    );
}

proptest! {
    #[test]
    fn pieces_of_any_size_make_the_same_rows(text in "[a\"', \r\n;é\t]{0,60}", piece in 1_usize..9, kind in 0_usize..5) {
        let form = Form { separator: Separator::ALL[kind], single_quotes: true, ..Form::plain() };
        prop_assert_eq!(rows(&form, &text, piece), cells(&form, &text));
    }

    #[test]
    fn plain_rows_are_read_as_they_were_written(table in proptest::collection::vec(proptest::collection::vec("[a-z\"\n,']{1,5}", 2..4), 1..6)) {
        let text = String::from_utf8(kiln_files::csv_text(table.clone())).unwrap();
        let read: Vec<Vec<String>> = cells(&Form::plain(), &text).into_iter().map(|(_, row)| row).collect();
        prop_assert_eq!(read, table);
    }
}

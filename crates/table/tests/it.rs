//! Reads and prepares whole tables like other crates: workbooks and Parquet files, preparations that must not depend on rows
//! other than the training rows, and tables with damaged bytes.
//!
//! `KILN_FUZZ_COUNT=5000 cargo test --release --workspace --test it -- changed_bytes` tries 5000 damaged tables.
#![allow(clippy::unwrap_used, reason = "a test that fails to unwrap has failed")]
#![allow(clippy::print_stderr, reason = "the statistics of a fuzz run, and the table of a panic")]

use std::io::{Cursor, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use kiln_table::{
    Choices, ColumnKind, ColumnRef, Preparation, ReadOptions, Record, Records, Remarks, Scaling, Table,
    TableError,
};
use proptest::prelude::*;
use proptest::sample::select;

#[cfg(all(feature = "excel", feature = "parquet"))]
#[test]
fn a_workbook_and_a_parquet_file_are_read_like_a_csv() {
    for name in ["rows.xlsx", "rows.parquet"] {
        let path = Path::new("tests/data").join(name);
        let label = Some(ColumnRef::Name("label".to_owned()));
        let table =
            Table::read(&path, &ReadOptions { label, ..ReadOptions::default() }, &mut |_| {}).unwrap();
        assert_eq!((table.rows(), table.line(0)), (12, 2), "{name}");
        assert_eq!(table.names(), ["when", "size", "count", "kind", "is new", "label"]);
        let rows: Vec<u32> = (0..12).collect();
        let (choices, label) = (Choices::default(), table.label().unwrap());
        let preparation = Preparation::fit(&table, &rows, &[label], &choices, Scaling::Unit, &[]).unwrap();
        let kinds: Vec<&str> = preparation.columns.iter().map(|column| column.kind.name()).collect();
        assert_eq!(kinds, ["date", "number", "number", "category", "boolean"], "{name}");
        let words = preparation.words(preparation.rows(table).unwrap().row(5));
        let words: Vec<&str> = words.iter().map(|(_, word)| word.as_str()).collect();
        assert_eq!(words, ["2024-01-06 06:00", "6.25", "5", "ä, b", "false"], "{name}");
    }
}

#[cfg(feature = "parquet")]
#[test]
fn a_parquet_file_with_a_damaged_page_is_refused_or_keeps_all_its_rows() {
    let bytes = std::fs::read("tests/data/rows.parquet").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    // The pages lie between the magic number and the footer, whose length is before the last magic number.
    let end = bytes.len() - 8;
    let footer = u32::from_le_bytes(bytes[end..end + 4].try_into().unwrap()) as usize;
    let (mut refused, pages) = (0, 4..end - footer);
    for at in pages.clone() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        std::fs::write(&path, &damaged).unwrap();
        match Table::read(&path, &ReadOptions::default(), &mut |_| {}) {
            Ok(table) => assert_eq!(table.rows(), 12, "byte {at}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > pages.len() / 10, "only {refused} of {} were refused", pages.len());
}

/// The number of rows; every second one is a training row.
const ROWS: usize = 60;
const HEADER: &str = "row,amount,price,when,ready,colour,odd,code,note,same,label";

/// Row `at` of the table.
fn row(at: usize) -> Vec<String> {
    let cell = |text: &str| text.to_owned();
    vec![
        at.to_string(),
        if at % 11 == 4 { String::new() } else { format!("{}.25", at * 7 % 50) },
        format!("\"${},{:03}\"", at % 9 + 1, at * 37 % 1000),
        format!("2024-{:02}-{:02}", at % 12 + 1, at % 28 + 1),
        cell(["yes", "no", ""][at % 3 % 2]),
        cell(["red", "green", "blue"][at / 2 % 3]),
        if at == 20 { cell("none yet") } else { (at * 3).to_string() },
        format!("k{}", at % 5),
        format!("note {at} of {}", at * 31 % 97),
        cell("x"),
        cell(["a", "b"][at / 2 % 2]),
    ]
}

fn table(rows: &[Vec<String>]) -> Table {
    let lines: Vec<String> = rows.iter().map(|row| row.join(",")).collect();
    let text = format!("{HEADER}\n{}\n", lines.join("\n"));
    let label = Some(ColumnRef::Name("label".to_owned()));
    let options = ReadOptions { label, header: Some(true), ..ReadOptions::default() };
    let records = Records::read(Box::new(Cursor::new(text)), Path::new("t.csv"), &options).unwrap();
    Table::take(records, &options, &mut |_| {}).unwrap()
}

fn fitted(rows: &[Vec<String>], scaling: Scaling) -> Preparation {
    let table = table(rows);
    let train: Vec<u32> = (0..ROWS as u32).filter(|row| row % 2 == 0).collect();
    let aside = [table.label().unwrap()];
    Preparation::fit(&table, &train, &aside, &Choices::default(), scaling, &[]).unwrap()
}

#[test]
fn the_generated_table_has_columns_of_every_kind() {
    let rows: Vec<Vec<String>> = (0..ROWS).map(row).collect();
    let kinds: Vec<ColumnKind> =
        fitted(&rows, Scaling::Unit).columns.iter().map(|column| column.kind).collect();
    let (number, category) = (ColumnKind::Number, ColumnKind::Category);
    let rest = [
        ColumnKind::Date,
        ColumnKind::Boolean,
        category,
        number,
        category,
        ColumnKind::Text,
        ColumnKind::Constant,
    ];
    assert_eq!(kinds[1..3], [number, number]);
    assert_eq!(kinds[3..], rest);
}

/// A cell of a row that is not a training row: anything.
fn other_cell() -> impl Strategy<Value = String> {
    let odd = [
        "",
        "?",
        "none yet",
        "1e300",
        "-5",
        "007",
        "$9",
        "2024-13-45",
        "31.12.2023",
        "violet",
        "yes",
        "x y z",
    ];
    prop_oneof![
        select(odd.to_vec()).prop_map(str::to_owned),
        "[a-z]{1,4}",
        any::<i32>().prop_map(|number| number.to_string()),
        (-1e9..1e9).prop_map(|number: f64| number.to_string()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rows_outside_of_the_training_split_do_not_change_the_preparation(
        others in proptest::collection::vec(proptest::collection::vec(other_cell(), 10), ROWS / 2),
        scaling in prop_oneof![Just(Scaling::Unit), Just(Scaling::Standard), Just(Scaling::Robust), Just(Scaling::Quantile)],
    ) {
        let mut rows: Vec<Vec<String>> = (0..ROWS).map(row).collect();
        let before = fitted(&rows, scaling);
        for (at, mut cells) in others.into_iter().enumerate() {
            cells.push("c".to_owned());
            rows[2 * at + 1] = cells;
        }
        let after = fitted(&rows, scaling);
        prop_assert_eq!(serde_json::to_string(&after).unwrap(), serde_json::to_string(&before).unwrap());
        prop_assert_eq!(after, before);
    }

    #[test]
    fn the_order_of_rows_outside_of_the_training_split_does_not_change_the_preparation(order in Just((0..ROWS / 2).collect::<Vec<_>>()).prop_shuffle()) {
        let rows: Vec<Vec<String>> = (0..ROWS).map(row).collect();
        let mut mixed = rows.clone();
        for (at, from) in order.into_iter().enumerate() {
            mixed[2 * at + 1] = rows[2 * from + 1].clone();
        }
        for scaling in [Scaling::Standard, Scaling::Quantile] {
            prop_assert_eq!(fitted(&mixed, scaling), fitted(&rows, scaling));
        }
    }
}

/// The default number of damaged tables.
const COUNT: u64 = 300;

/// Tables of all dialects and formats. The last column is the class.
const SEEDS: &[&str] = &[
    "5.1,3.5,1.4,0.2,Iris-setosa\n4.9,3.0,1.4,0.2,Iris-setosa\n6.2,3.4,5.4,2.3,Iris-virginica\n\n",
    "id,name,age,fare,sex,y\n1,\"Braund, Mr. \"\"O\"\"\",22,7.25,male,0\n2,Cumings,,71.28,female,1\n3,?,26,8,male,1\n",
    "\"age\";\"job\";\"balance\";\"y\"\r\n30;\"unemployed\";1787;\"no\"\r\n33;\"services\";-4789;\"yes\"\r\n",
    "sep=;\r\nGröße;Umsatz;Datum;Klasse\r\n1,75;1.234,50;31.12.2023;gut\r\n1,62;12,00;01.02.2024;schlecht\r\n",
    "2 1 530101 38.50 66 ? 1\n1 1 534817 39.2 88 20 2 \n2 1 530334 38.30 40 24 1 \n",
    "18.0   8   307.0\t\"chevrolet chevelle\"\n15.0   8   350.0\t\"buick skylark\"\n",
    "15.26\t14.84\t0.871\t1\n14.88\t\t14.57\t0.8811\t1\n14.29\t14.09\t0.905\t2\n",
    "|1x3 Cross validator\n39, State-gov, 77516, <=50K.\n50, ?, 83311, >50K.\n",
    "p,x,s,n,t,p\ne,x,s,y,t,a\ne,b,s,w,t,l\np,x,y,w,t,p\n",
    "\"mpg\" \"cyl\" \"am\"\n\"Mazda RX4\" 21 6 1\n\"Datsun 710\" 22.8 4 0\n",
    ",X1,X2,Y\nID,AGE,PAY,next\n1,20,5,0\n2,30,6,1\n3,40,6,1\n",
    "150,4,setosa,versicolor,virginica\n5.1,3.5,1.4,0.2,0\n4.9,3.0,1.4,0.2,1\n",
    "% title\n@relation 'a b'\n@attribute 'it\\'s' {'x, y',z}\n@attribute n numeric\n@attribute c {1,2}\n@data\n'x, y',1.5,1\nz,?,2\n",
    "# made by x\n# a b c\n1 2 3\n4 5 6\n7 8 9\n",
    "when,at,price,share,ready,k\n2024-01-31,10:30,\"$1,234.50\",45%,yes,a\n2024-02-29,23:59,$9,5%,no,b\n",
    "ts,jd,x,k\n1262304000,2460310.5,1e308,a\n1262307600,2460311.5,-1e308,b\n1262311200,2460312.5,5e-324,a\n",
    "a|b|c\n1|one, two|x\n2|three|y\n",
    "a,b,c,\n1,2,x,\n3,4,y,\n",
    "a,b,k\r1,2,x\r\r3,4,y\r",
    "Title\n\nMade by Anna, Berlin\n\na,b,c,d\n'1',2,3,x\n'4, 5',5,6,y\n",
    "text,n,k\n\"two\nlines, \"\"x\"\"\",1,a\nother,2,b\n",
];

/// A stream of pseudo-random numbers (SplitMix64), different for every start.
struct Stream(u64);

impl Stream {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }
}

/// `seed` with up to 200 more rows, so that the half to train on is not tiny.
fn grown(seed: &str, stream: &mut Stream) -> Vec<u8> {
    let lines: Vec<&str> = seed.split_inclusive(['\n', '\r']).collect();
    let mut text = seed.to_owned();
    for _ in 0..stream.below(200) {
        text.push_str(lines[lines.len() - 1 - stream.below(2).min(lines.len() - 1)]);
    }
    text.into_bytes()
}

fn encoded(text: Vec<u8>, stream: &mut Stream) -> Vec<u8> {
    match stream.below(8) {
        0 => {
            let wide =
                String::from_utf8_lossy(&text).encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
            if stream.below(2) == 0 { [&[0xff, 0xfe], &wide[..]].concat() } else { wide }
        }
        1 => [b"\xef\xbb\xbf", &text[..]].concat(),
        _ => text,
    }
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Damages some of `bytes`.
fn mutate(bytes: &mut Vec<u8>, stream: &mut Stream) {
    const PIECES: &[&[u8]] = &[
        b"\"",
        b"'",
        b"\0",
        b"\n",
        b"\r",
        b",",
        b";",
        b"\t",
        b"|",
        b" ",
        b"\\",
        b"#",
        b"%",
        b"{",
        b"\x1a",
        b"1e308",
        b"-1e308",
        b"1e400",
        b"5e-324",
        b"999999999999999999999",
        b"inf",
        b"NaN",
        b"0x10",
        b"-0",
        b"1,5",
        b"1.234.567",
        b"2024-02-30",
        b"9999-12-31",
        b"-009999-01-01",
        b"24:00",
        b"@data",
        b"@attribute x {",
        b"sep=;\n",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xc3",
        b"\x1f\x8b",
        "\u{2028}\u{1f40b}\u{301}".as_bytes(),
        b"\"\"\"",
        b",,,,,,,,",
        b"\n\n\n",
    ];
    let at = stream.below(bytes.len() + 1);
    let end = (at + stream.below(20)).min(bytes.len());
    match stream.below(9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << stream.below(8),
        1 => drop(bytes.drain(at..end)),
        2 => bytes.insert(at, stream.below(256) as u8),
        3 => {
            let piece = bytes[at..end].to_vec();
            let count = stream.below(50);
            bytes.splice(at..at, piece.repeat(count));
        }
        4 => {
            let other = SEEDS[stream.below(SEEDS.len())].as_bytes();
            let from = stream.below(other.len());
            let to = (from + stream.below(60)).min(other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        5 if stream.below(4) == 0 => bytes.truncate(at),
        _ => {
            let piece = PIECES[stream.below(PIECES.len())];
            bytes.splice(at..at, piece.iter().copied());
        }
    }
}

/// The numbers of tables by outcome.
#[derive(Debug, Default)]
struct Outcomes {
    refused: usize,
    unfit: usize,
    odd: usize,
    prepared: usize,
    rows: usize,
}

/// Reads the table at `path`, fits half of its rows, and prepares all.
fn try_table(path: &Path, outcomes: &mut Outcomes) -> Result<(), TableError> {
    let options = ReadOptions { label: Some(ColumnRef::Position(-1)), ..ReadOptions::default() };
    outcomes.refused += 1;
    let table = Table::read(path, &options, &mut |_| {})?;
    outcomes.refused -= 1;
    let (rows, columns) = (table.rows(), table.names().len());
    assert!((rows * columns) as u64 <= table.content().bytes + 1, "more cells than bytes");
    let train: Vec<u32> = (0..rows as u32).step_by(2).collect();
    let aside = [table.label().unwrap()];
    let scaling = if rows % 2 == 0 { Scaling::Unit } else { Scaling::Standard };
    outcomes.unfit += 1;
    let preparation = Preparation::fit(&table, &train, &aside, &Choices::default(), scaling, &[])?;
    outcomes.unfit -= 1;
    let json = serde_json::to_string(&preparation).unwrap();
    assert_eq!(serde_json::from_str::<Preparation>(&json).unwrap(), preparation);
    let (width, features) = (preparation.raw_width(), preparation.features());
    assert!(features <= 8 * columns + train.len() * columns, "more features than values");
    assert_eq!(preparation.feature_names().len(), features);
    let mut encoded = vec![0.0; features];
    let mut check = |raw: &[f64]| {
        preparation.encode(raw, &mut encoded);
        assert!(encoded.iter().all(|value| value.is_finite()), "{encoded:?}");
        assert_eq!(preparation.words(raw).len(), preparation.used().count());
    };
    // Read the rows again, as rows to predict.
    let mut records = Records::open(path, &preparation.read_options())?;
    if let Ok(indices) = preparation.column_indices(records.layout(), path) {
        let decimal_comma = records.layout().dialect.decimal_comma;
        let (mut record, mut raw) = (Record::default(), Vec::new());
        let mut remarks = Remarks::default();
        while records.next(&mut record)? {
            raw.clear();
            if preparation.record(&record, &indices, decimal_comma, &mut raw).is_ok() {
                check(&raw);
                let _ = preparation.remark(&raw, |used| record.cell(indices[used]), &mut remarks);
            }
        }
        let _ = preparation.sentences(&remarks);
    }
    outcomes.odd += 1;
    let prepared = preparation.rows(table)?;
    outcomes.odd -= 1;
    assert_eq!((prepared.rows(), prepared.width()), (rows, width));
    prepared.iter().for_each(check);
    outcomes.prepared += 1;
    outcomes.rows += rows;
    Ok(())
}

/// Prints the number of the table that causes a panic.
struct Run(u64);

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("table {} caused the panic", self.0);
        }
    }
}

#[test]
fn changed_bytes_give_an_error_or_finite_features() {
    let count = std::env::var("KILN_FUZZ_COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(COUNT);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    let mut outcomes = Outcomes::default();
    let mut longest = Duration::ZERO;
    for number in 0..count {
        let run = Run(number);
        let mut stream = Stream(number << 32);
        let mut bytes = encoded(grown(SEEDS[stream.below(SEEDS.len())], &mut stream), &mut stream);
        for _ in 0..stream.below(4) {
            mutate(&mut bytes, &mut stream);
        }
        if stream.below(10) == 0 {
            bytes = compressed(&bytes);
            if stream.below(2) == 0 {
                mutate(&mut bytes, &mut stream);
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        let start = Instant::now();
        if let Err(error) = try_table(&path, &mut outcomes) {
            let message = error.to_string();
            assert!(!message.is_empty() && !message.contains(char::is_control), "{message:?}");
        }
        let taken = start.elapsed();
        assert!(taken < Duration::from_secs(10), "{taken:?}");
        longest = longest.max(taken);
        drop(run);
    }
    eprintln!("{count} tables: {outcomes:?}, the longest in {longest:?}");
    assert!(outcomes.prepared as u64 * 4 > count, "most seeds are good tables: {outcomes:?}");
}

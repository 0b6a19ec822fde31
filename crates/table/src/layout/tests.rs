use super::*;

/// Form, names and first row of data of the table `text`, whose label is in `label`.
fn read(text: &str, label: ColumnRef) -> (String, String, String) {
    let options = ReadOptions { label: Some(label), ..ReadOptions::default() };
    let (layout, mut splitter, at) = layout(text, true, Path::new("t.csv"), &options).unwrap();
    let mut record = Record::default();
    splitter.scan(text, at, true, &mut record).unwrap();
    let row: Vec<&str> = record.cells().collect();
    (layout.form.to_string(), layout.names.join("/"), format!("{}: {}", record.line(), row.join("/")))
}

/// Each table is read as it says, where its last column holds the class.
fn check(cases: &[(&str, &str, &str, &str)]) {
    for &(text, form, names, row) in cases {
        let found = read(text, ColumnRef::Place(-1));
        let wanted = (format!("cells between {form}"), names.to_owned(), row.to_owned());
        assert_eq!(found, wanted, "{text:?}");
    }
}

#[test]
fn separators() {
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
        // A tab that is sometimes two.
        ("1\t2\tx\n1\t\t2\tx\n1\t2\ty\n", "blanks, no header", "column 1/column 2/column 3", "1: 1/2/x"),
        ("a b\n1,5 2,5\n3,5 4,5\n", "blanks, a header, decimal commas", "a/b", "2: 1,5/2,5"),
        ("a,pixels\n0,70 80 90\n1,1 2 3\n", "commas, a header", "a/pixels", "2: 0/70 80 90"),
        ("sep=;\r\na;b\r\n1;x\r\n", "semicolons, a header, a line above the table", "a/b", "3: 1/x"),
        ("sep=;\ra;b\r1;x\r", "semicolons, a header, a line above the table", "a/b", "3: 1/x"),
        // A mark in a cell of every row, and none in the header.
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
fn a_header_or_none() {
    let (plain, none) = ("commas, a header", "commas, no header");
    check(&[
        ("5.1,3.5,a\n4.9,3.0,b\n\n", none, "column 1/column 2/column 3", "1: 5.1/3.5/a"),
        // Words above words.
        ("size,kind\nbig,x\nsmall,y\nbig,y\n", plain, "size/kind", "2: big/x"),
        ("big,x\nsmall,y\nbig,y\nsmall,x\n", none, "column 1/column 2", "1: big/x"),
        // What is a number as people write it is no name.
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
        // Numbers that are names: places, and years.
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
    // What scikit-learn writes above its tables.
    let iris = "3,4,setosa,versicolor,virginica\n5.1,3.5,1.4,0.2,0\n4.9,3.0,1.4,0.2,0\n7,3.2,4.7,1.4,1\n";
    let names = "column 1/column 2/column 3/column 4/column 5";
    check(&[(iris, "commas, no header, a line above the table", names, "2: 5.1/3.5/1.4/0.2/0")]);
}

#[test]
fn two_lines_of_names() {
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
fn names_that_are_known_and_names_of_the_user() {
    let read = |text: &str, options: &ReadOptions| {
        let (layout, mut splitter, at) = layout(text, true, Path::new("t.csv"), options).unwrap();
        let mut record = Record::default();
        splitter.scan(text, at, true, &mut record).unwrap();
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
    // A header with other names is none of the data.
    assert_eq!(read("size,kind\n1,x\n2,y\n", &named), ("a/b".to_owned(), 2));
    assert_eq!(read("b,a\n1,x\n2,y\n", &named), ("a/b".to_owned(), 2));
}

#[test]
fn what_stands_above_and_beside_a_table() {
    let below = "a,b,c\n1,2,x\n3,4,y\n5,6,y\n";
    for (above, form) in [
        ("Report\n\n", "commas, a header, 2 lines above the table"),
        ("Made by Anna, Berlin\n", "commas, a header, a line above the table"),
        ("|1x3 Cross validator\n", "commas, a header, a line above the table"),
        ("# made by x\n# a, b\n", "commas, a header, comments after #"),
    ] {
        let text = format!("{above}{below}");
        let line = above.lines().count() + 2;
        check(&[(&text, form, "a/b/c", &format!("{line}: 1/2/x"))]);
    }
    check(&[
        ("# a b c\n1 2 3\n4 5 6\n", "blanks, a header, comments after #", "a/b/c", "2: 1/2/3"),
        ("# a,b\n1,2\n4,5\n", "commas, a header", "a/b", "2: 1/2"),
        // The rows' own names, as R writes them.
        ("\"a\" \"k\"\n\"x 1\" 2 \"y\"\n\"x 2\" 3 \"z\"\n", "blanks, a header", "column 1/a/k", "2: x 1/2/y"),
        // A separator behind the last cell: of all lines, of the rows, of the names, and without names.
        ("a,b,c,\n1,2,x,\n3,4,y,\n", "commas, a header", "a/b/c", "2: 1/2/x/"),
        ("a,b,c\n1,2,x,\n3,4,y,\n", "commas, a header", "a/b/c", "2: 1/2/x/"),
        ("a,b,c,\n1,2,x\n3,4,y\n", "commas, a header", "a/b/c", "2: 1/2/x"),
        ("1,2,x,\n3,4,y,\n", "commas, no header", "column 1/column 2/column 3", "1: 1/2/x/"),
        // Names that come twice, and none.
        ("a,a,,a (2)\n1,2,3,x\n3,4,5,y\n", "commas, a header", "a/a (2)/column 3/a (2) (2)", "2: 1/2/3/x"),
    ]);
    let many = Layout::named(Form::plain(), vec!["a".to_owned(); 50_000], 0);
    assert_eq!(many.names[49_999], "a (50000)");
}

#[test]
fn decimal_commas() {
    let marks = |text: &str| {
        let (layout, ..) = layout(text, true, Path::new("t.csv"), &ReadOptions::default()).unwrap();
        layout.form.decimal_comma
    };
    assert!(marks("a;b\n1,5;1.234\n2,5;12.345\n"));
    assert!(marks("a;b\n1,234;x\n2,345;y\n"));
    assert!(!marks("a\tb\n1,234\tx\n2,345\ty\n"));
    assert!(!marks("a;b\n1,5;1.5\n2,5;0.345\n"));
    assert!(!marks("a;b\n\"1,234,567\";x\n\"1,234,568\";x\n"));
}

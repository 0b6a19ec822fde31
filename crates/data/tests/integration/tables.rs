//! What is said of tables, and what their labels come to.

use std::fs;

use kiln_config::{Data, DataSource, Holdout, LabelColumn};
use kiln_data::DataSet;

use crate::fixture::{data, load};

/// The table `text` beside the test table `tested`, if any.
fn table(text: &str, tested: Option<&str>, more: impl FnOnce(Data) -> Data) -> DataSet {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::write(place("train.csv"), text).unwrap();
    let test_path = tested.map(|rows| {
        fs::write(place("test.csv"), rows).unwrap();
        place("test.csv")
    });
    load(&more(Data { test_path, ..data(DataSource::Csv, place("train.csv")) })).unwrap()
}

fn rows(count: usize, row: impl Fn(usize) -> String) -> String {
    (0..count).map(row).collect()
}

#[test]
fn labels_that_differ_in_writing_alone_are_one_class_if_asked_for() {
    let writings = ["Bad", "bad", "BAD.", "\" bad\"", "bad", "good", "Good", "good"];
    let text = format!("x,label\n{}", rows(80, |row| format!("{row},{}\n", writings[row % 8])));
    let apart = table(&text, None, |data| data);
    assert_eq!(apart.class_count(), 6);
    let asked =
        |notice: &&String| notice.contains("are they one?") && notice.contains("data.join_labels=true");
    assert_eq!(apart.notices.iter().filter(asked).count(), 1, "{:?}", apart.notices);
    // Other files may have other writings still.
    let later = "x,label\n1,BAD\n2,gOOd\n3,bad\n";
    let one = table(&text, Some(later), |data| Data { join_labels: true, ..data });
    assert_eq!(one.classes, ["bad", "good"], "the most frequent writing");
    assert_eq!(one.train.counts(2), [50, 30]);
    assert_eq!(one.test.labels(), [0, 1, 0]);
    assert!(!one.notices.iter().any(|notice| notice.contains("are they one?")), "{:?}", one.notices);
    let said = one.notices.iter().find(|notice| notice.contains("count as one")).unwrap();
    assert!(said.contains("\"Bad\" as \"bad\"") && said.contains("\"Good\" as \"good\""), "{said}");
    // Of equally frequent ones, the first in order.
    let numbers = ["1", "1.0", "01", "2"];
    let text = format!("x,label\n{}", rows(40, |row| format!("{row},{}\n", numbers[row % 4])));
    assert_eq!(table(&text, None, |data| Data { join_labels: true, ..data }).classes, ["01", "2"]);
}

#[test]
fn rows_that_are_tested_and_trained_on_are_counted_and_many_are_a_warning() {
    let text = format!("x,y,label\n{}", rows(200, |row| format!("{row}.25,{},{}\n", row % 7, row % 2)));
    let said = |equal: usize| {
        let row = |row: usize| {
            if row < equal { format!("{row}.25,{},0\n", row % 7) } else { format!("{row}.5,1,1\n") }
        };
        let set = table(&text, Some(&format!("x,y,label\n{}", rows(100, row))), |data| data);
        set.notices.into_iter().filter(|notice| notice.contains("equal a training row")).collect::<Vec<_>>()
    };
    assert_eq!(said(0), <[String; 0]>::default());
    assert_eq!(said(5), ["5 of 100 test rows equal a training row"]);
    assert_eq!(
        said(6),
        ["6 of 100 test rows equal a training row, so their figures are better than those of new rows"]
    );
}

#[test]
fn a_file_without_a_header_is_said_to_be_read_by_place() {
    let body = |count| rows(count, |row| format!("{row}.5,{},{}\n", row % 7, row % 2));
    let last = |data| Data { label_column: LabelColumn::Place(-1), validation: Holdout::Count(0), ..data };
    let said = |set: DataSet| {
        set.notices.into_iter().filter(|notice| notice.contains("no header")).collect::<Vec<_>>()
    };
    let plain = said(table(&body(40), None, last));
    assert!(plain.len() == 1 && plain[0].contains("3 columns are known by their places"), "{plain:?}");
    let header = "x,y,label\n";
    let beside = said(table(&format!("{header}{}", body(40)), Some(&body(10)), |data| data));
    let wanted = "test data: the file has no header: its 3 columns are matched with those of the training table by their places";
    // The class stands where the training table has it.
    assert_eq!(beside, [wanted]);
    let named = table(&format!("{header}{}", body(40)), Some(&format!("{header}{}", body(10))), |data| data);
    assert_eq!(said(named), <[String; 0]>::default());
}

//! Settings that ask for what the data does not have.

use std::fs;

use kiln_config::{ClassLabel, Data, DataSource, Holdout};

use crate::{
    broken::{check, put_gzip},
    fixture::{TRAIN_IMAGES, data, good_pictures, gzip, idx, load, write_idx},
};

#[test]
fn paths_that_lead_nowhere_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    for source in [DataSource::Idx, DataSource::ImageFolder, DataSource::Mnist, DataSource::Kmnist] {
        check(
            "nothing there",
            load(&data(source, folder.path().join("no"))),
            &["missing data", "found nothing"],
        );
        check("a file", load(&data(source, &file)), &["missing data", "found a file"]);
    }
    check(
        "no csv",
        load(&data(DataSource::Csv, folder.path().join("no.csv"))),
        &["a file with a table, found nothing"],
    );
    check("a folder", load(&data(DataSource::Csv, folder.path())), &["a file with a table, found a folder"]);
    for source in [DataSource::Idx, DataSource::Csv, DataSource::ImageFolder] {
        let data = Data { source, ..Data::default() };
        check("no path", load(&data), &["no path to the data: data.path", "set data.path"]);
    }
}

#[test]
fn other_bytes_under_a_published_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_idx(folder.path());
    for source in [DataSource::Mnist, DataSource::FashionMnist] {
        check(
            "plain",
            load(&data(source, folder.path())),
            &["wrong checksum", TRAIN_IMAGES, "data.source=idx"],
        );
    }
    put_gzip(folder.path(), TRAIN_IMAGES, gzip(&idx(8, &[6, 2, 3], 0..36)));
    check("gzip", load(&data(DataSource::Kmnist, folder.path())), &["wrong checksum", "51467d22", ".gz"]);
}

#[test]
fn settings_that_leave_nothing_are_refused_by_key() {
    let digits = Data::default();
    let cases: &[(&str, Data, &[&str])] = &[
        (
            "an unknown name",
            Data { classes: vec![ClassLabel::Name("ten".into())], ..digits.clone() },
            &["unknown class: data.classes", "0 (0), 1 (1)", "\"ten\""],
        ),
        (
            "an unknown number",
            Data { classes: vec![ClassLabel::Number(10)], ..digits.clone() },
            &["unknown class", "\"10\""],
        ),
        (
            "a class twice",
            Data { classes: vec![ClassLabel::Number(1), ClassLabel::Name("1".into())], ..digits.clone() },
            &["repeated class", "\"1\" twice"],
        ),
        (
            "one class",
            Data { classes: vec![ClassLabel::Number(1)], ..digits.clone() },
            &["only one class: data.classes"],
        ),
        (
            "all for validation",
            Data { validation: Holdout::Count(1437), ..digits.clone() },
            &["nothing to train on: data.validation", "fewer than the 1437"],
        ),
        (
            "more than all for validation",
            Data { validation: Holdout::Count(9999), ..digits.clone() },
            &["nothing to train on"],
        ),
        (
            "a share of nothing",
            Data { limit: Some(4), ..digits.clone() },
            &["nothing held out: data.validation", "none of 4"],
        ),
        (
            "no training examples",
            Data { limit: Some(0), ..digits.clone() },
            &["nothing to train on", "data.limit"],
        ),
        (
            "no test examples",
            Data { test_limit: Some(0), ..digits.clone() },
            &["nothing to test on", "data.test_limit"],
        ),
    ];
    for (name, data, fragments) in cases {
        check(name, load(data), fragments);
    }
    let folder = tempfile::tempdir().unwrap();
    good_pictures(folder.path());
    let data = Data { test: Holdout::Count(0), ..data(DataSource::ImageFolder, folder.path()) };
    let set = load(&data).unwrap();
    assert!(set.test.is_empty(), "no test data were asked for");
}

//! Files that cannot be read.

use std::fs;

use tempfile::TempDir;

use crate::{file, message};

/// What is said of `name`, in a folder that holds `mnist.toml`, with the folder's own path left out.
fn refusal(name: &str, bytes: Option<&[u8]>) -> String {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("mnist.toml"), "").unwrap();
    fs::create_dir(folder.path().join("folder.toml")).unwrap();
    if let Some(bytes) = bytes {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let message = message(file(&folder.path().join(name), &[]));
    message.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn a_missing_file_is_named_with_its_like() {
    assert_eq!(
        refusal("mnits.toml", None),
        "cannot read `mnits.toml`: no such file; did you mean `mnist.toml`?"
    );
    assert_eq!(refusal("mnist", None), "cannot read `mnist`: no such file; did you mean `mnist.toml`?");
    assert_eq!(refusal("xyz.toml", None), "cannot read `xyz.toml`: no such file");
    assert_eq!(refusal("no/mnist.toml", None), "cannot read `no/mnist.toml`: there is no folder `no`");
}

#[test]
fn a_folder_is_no_file() {
    assert_eq!(refusal("folder.toml", None), "cannot read `folder.toml`: it is a folder, not a file");
}

#[test]
fn bytes_that_are_no_text_are_placed() {
    let message = refusal("a.toml", Some(b"seed = 1\nname = \"\xff\"\n"));
    assert_eq!(message, "cannot read `a.toml`: it is not UTF-8 text (line 2, byte 17)");
}

#[test]
fn a_file_of_the_wrong_size_is_not_read_to_the_end() {
    let message = refusal("a.toml", Some(&vec![b'#'; 16 * 1024 * 1024 + 1]));
    assert_eq!(message, "cannot read `a.toml`: it is larger than 16 MiB, which no experiment file is");
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_no_mistake() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.toml");
    fs::write(&path, "\u{feff}seed = 1\r\n[training]\r\nepochs = 0\r\n").unwrap();
    let message = message(file(&path, &[]));
    assert!(message.starts_with(&format!("{}:3: `training.epochs`", path.display())), "{message}");
    fs::write(&path, "\u{feff}seed = 1\r\n").unwrap();
    assert_eq!(file(&path, &[]).unwrap().experiment.seed, 1);
}

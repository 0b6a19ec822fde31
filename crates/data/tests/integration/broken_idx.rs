//! IDX files that are broken in every way that we could think of.

use std::fs;

use kiln_config::DataSource;

use crate::{
    broken::{FileCase, check_folders, put, put_gzip},
    fixture::{TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, gzip, idx, write_idx},
};

const IDX: &[FileCase] = &[
    ("no byte", |f| put(f, TRAIN_IMAGES, []), &["truncated IDX header", TRAIN_IMAGES, "4 bytes", "found 0"]),
    ("three bytes", |f| put(f, TRAIN_LABELS, [0, 0, 8]), &["truncated IDX header", TRAIN_LABELS, "found 3"]),
    (
        "half a header",
        |f| put(f, TRAIN_IMAGES, [0, 0, 8, 3, 0, 0]),
        &["truncated IDX header", "12 bytes", "found 2"],
    ),
    (
        "text",
        |f| put(f, TRAIN_IMAGES, "<html>404</html>"),
        &["not an IDX file", "00 00 08", "is this the file"],
    ),
    ("a picture", |f| put(f, TEST_IMAGES, b"\x89PNG\r\n\x1a\n0000"), &["not an IDX file", TEST_IMAGES]),
    ("an unknown type", |f| put(f, TRAIN_IMAGES, idx(0x42, &[6, 2, 3], 0..36)), &["not an IDX file", "42"]),
    (
        "a reserved type",
        |f| put(f, TRAIN_IMAGES, idx(0x0A, &[6, 2, 3], 0..36)),
        &["unsupported IDX element type"],
    ),
    (
        "floats that are no pixels",
        |f| put(f, TRAIN_IMAGES, idx(0x0D, &[6, 2, 3], (0..144).map(|byte| byte | 0x40))),
        &["not a pixel", "32-bit floats", "0 to 255, or 0 to 1", "value 1"],
    ),
    (
        "half of the doubles",
        |f| put(f, TRAIN_IMAGES, idx(0x0E, &[6, 2, 3], 0..36)),
        &["288 bytes", "at most 36"],
    ),
    (
        "integers beyond a byte",
        |f| put(f, TRAIN_IMAGES, idx(0x0B, &[6, 2, 3], 0..72)),
        &["not a pixel", "16-bit integers", "value 1"],
    ),
    (
        "test pixels beyond those of training",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6, 2, 3], (0..36).map(|at| at % 2))),
        &["not a pixel", TEST_IMAGES, "0 to 1, as in the training images"],
    ),
    (
        "labels that are no whole numbers",
        |f| put(f, TRAIN_LABELS, idx(0x0D, &[6], [0x3F, 0xC0, 0, 0].repeat(6))),
        &["not a label", TRAIN_LABELS, "1.5"],
    ),
    (
        "too many classes",
        |f| {
            let labels: Vec<u8> = (0..1001_u16).flat_map(u16::to_be_bytes).collect();
            put(f, TRAIN_LABELS, idx(0x0B, &[1001], labels));
            put(f, TRAIN_IMAGES, idx(8, &[1001, 2, 3], (0..6006).map(|at| at as u8)));
        },
        &["too many classes", "1001 different labels"],
    ),
    (
        "swapped files",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6], 0..6)),
        &["number of IDX dimensions", "expected 3", "swapped"],
    ),
    (
        "labels of rank 3",
        |f| put(f, TEST_LABELS, idx(8, &[4, 1, 1], 0..4)),
        &["expected 1 (labels), found 3"],
    ),
    (
        "images of rank 5",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6, 1, 2, 3, 3], 0..108)),
        &["number of IDX dimensions", "found 5"],
    ),
    (
        "images in two colours",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6, 2, 3, 2], 0..72)),
        &["impossible images", "[6, 2, 3, 2]"],
    ),
    (
        "flat images that are no squares",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6, 6], 0..36)),
        &["impossible images", "[6, 6]", "square"],
    ),
    (
        "colour in training alone",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6, 2, 3, 3], 0..108)),
        &["image sizes differ", "2x3 pixels in 3 colours", "found 2x3"],
    ),
    (
        "no dimension",
        |f| put(f, TRAIN_IMAGES, [0, 0, 8, 0, 1, 1, 1, 1]),
        &["number of IDX dimensions", "found 0"],
    ),
    ("no images", |f| put(f, TRAIN_IMAGES, idx(8, &[0, 2, 3], [])), &["empty IDX file", "[0, 2, 3]"]),
    (
        "images without pixels",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6, 0, 3], [])),
        &["empty IDX file", "[6, 0, 3]"],
    ),
    ("no labels", |f| put(f, TRAIN_LABELS, idx(8, &[0], [])), &["empty IDX file", TRAIN_LABELS]),
    ("a size beyond 64 bits", |f| put(f, TRAIN_IMAGES, idx(8, &[u32::MAX; 3], [])), &["impossible IDX size"]),
    (
        "a size beyond reason",
        |f| put(f, TRAIN_IMAGES, idx(8, &[1 << 20, 1 << 10, 1 << 10], [])),
        &["impossible IDX size"],
    ),
    (
        "a pixel too few",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6, 2, 3], 0..35)),
        &["truncated IDX file", "36 bytes", "35"],
    ),
    (
        "a header alone",
        |f| put(f, TEST_IMAGES, idx(8, &[4, 2, 3], [])),
        &["truncated IDX file", "found at most 0"],
    ),
    (
        "a pixel too many",
        |f| put(f, TRAIN_IMAGES, idx(8, &[6, 2, 3], 0..37)),
        &["over-long IDX file", "expected 36", "found 37"],
    ),
    ("a label too many", |f| put(f, TEST_LABELS, idx(8, &[4], 0..9)), &["over-long IDX file", "found 9"]),
    (
        "fewer labels than images",
        |f| put(f, TRAIN_LABELS, idx(8, &[5], [0, 1, 0, 1, 0])),
        &["do not match", "expected 6 labels", "found 5"],
    ),
    (
        "more labels than images",
        |f| put(f, TEST_LABELS, idx(8, &[5], [0, 1, 0, 1, 0])),
        &["do not match", "expected 4 labels"],
    ),
    (
        "a test label beyond the classes",
        |f| put(f, TEST_LABELS, idx(8, &[4], [0, 1, 7, 1])),
        &["label out of range", "label 2", "expected 0 to 1, found 7"],
    ),
    ("one class", |f| put(f, TRAIN_LABELS, idx(8, &[6], [0; 6])), &["only one class", TRAIN_LABELS]),
    (
        "test images of another size",
        |f| put(f, TEST_IMAGES, idx(8, &[4, 3, 2], 0..24)),
        &["image sizes differ", "2x3", "found 3x2"],
    ),
    (
        "a missing file",
        |f| fs::remove_file(f.join(TEST_LABELS)).unwrap(),
        &["missing data", "no t10k-labels", "data.path"],
    ),
    (
        "four missing files",
        |f| {
            for name in [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS] {
                fs::remove_file(f.join(name)).unwrap();
            }
        },
        &["no train-images-idx3-ubyte, no train-labels"],
    ),
    (
        "text called gzip",
        |f| put_gzip(f, TRAIN_IMAGES, "not gzip at all"),
        &["damaged gzip file", ".gz", "delete it"],
    ),
    ("an empty gzip file", |f| put_gzip(f, TRAIN_IMAGES, []), &["damaged gzip file", "end of file"]),
    (
        "half a gzip file",
        |f| {
            let whole = gzip(&idx(8, &[6, 2, 3], 0..36));
            put_gzip(f, TRAIN_IMAGES, &whole[..whole.len() / 2]);
        },
        &["damaged gzip file", TRAIN_IMAGES],
    ),
    (
        "a gzip file without its checksum",
        |f| {
            let whole = gzip(&idx(8, &[6, 2, 3], 0..36));
            put_gzip(f, TRAIN_IMAGES, &whole[..whole.len() - 8]);
        },
        &["damaged gzip file"],
    ),
    (
        "a gzip file with a flipped bit",
        |f| {
            let mut whole = gzip(&idx(8, &[6, 2, 3], 0..36));
            let last = whole.len() - 6;
            whole[last] ^= 1;
            put_gzip(f, TRAIN_IMAGES, whole);
        },
        &["damaged gzip file"],
    ),
    (
        "gzip with a tail",
        |f| {
            let mut whole = gzip(&idx(8, &[6, 2, 3], 0..36));
            whole.extend(b"tail");
            put_gzip(f, TRAIN_IMAGES, whole);
        },
        &["damaged gzip file"],
    ),
    (
        "a gzip bomb",
        |f| put_gzip(f, TRAIN_IMAGES, gzip(&idx(8, &[6, 2, 3], std::iter::repeat_n(0, 3_000_000)))),
        &["over-long IDX file", "expected 36", "found 3000000"],
    ),
    (
        "a gzip file that promises gigabytes",
        |f| put_gzip(f, TRAIN_IMAGES, gzip(&idx(8, &[4000, 1000, 1000], 0..36))),
        &["truncated IDX file", "4000000000 bytes"],
    ),
    (
        "a folder of a file's name",
        |f| {
            fs::remove_file(f.join(TRAIN_IMAGES)).unwrap();
            fs::create_dir(f.join(TRAIN_IMAGES)).unwrap();
        },
        &["missing data", "no train-images"],
    ),
];

#[test]
fn broken_idx_files_are_refused_by_name() {
    check_folders(DataSource::Idx, write_idx, IDX);
}

//! A folder with one folder of pictures per class.

use std::path::{Path, PathBuf};

use kiln_config::Data;

use kiln_files::Hasher;

use super::{
    Means, Reader, Source, check_folder, labelled_pictures, path_of,
    picture::{self, Picture},
    visible_entries,
};
use crate::{DataError, Fault, FileRecord, Profile, Shape, Split, storage::Storage};

/// A class folder and the pictures in it.
struct ClassFolder {
    name: String,
    path: PathBuf,
    pictures: Vec<Picture>,
}

pub(super) struct ImageFolder;

impl Reader for ImageFolder {
    fn read(&self, data: &Data, _: &Means<'_>) -> Result<Source, DataError> {
        read(data, path_of(data)?)
    }

    fn labelled(&self, path: &Path, _: &Data, profile: &Profile) -> Result<Split, DataError> {
        labelled_pictures(path, None, profile)
    }
}

/// Reads the pictures below `path`: `path/<class>/*`, or `path/train/<class>/*` with `path/test/<class>/*`;
/// test pictures also from `data.test_path/<class>/*`.
fn read(data: &Data, path: &Path) -> Result<Source, DataError> {
    check_folder(path, "a folder with a folder per class")?;
    let (train_path, test_path) = layout(path, data.test_path.as_deref());
    let train = class_folders(&train_path)?;
    let classes: Vec<String> = train.iter().map(|class| class.name.clone()).collect();
    if let [class] = &classes[..] {
        let fault = Fault::new(train_path, "at least two class folders", format!("\"{class}\" alone"));
        return Err(DataError::unfit("only one class", fault));
    }
    let [height, width] = data.image_size;
    let mut files = Vec::new();
    let train = read_split(train, &classes, (height, width), "train", &mut files)?;
    let mut test = None;
    if let Some(path) = test_path {
        check_folder(&path, "a folder with a folder per class")?;
        test = Some(read_split(class_folders(&path)?, &classes, (height, width), "test", &mut files)?);
    }
    Ok(Source {
        name: "image-folder".to_owned(),
        shape: Shape::Image { height, width },
        classes,
        train,
        test,
        files,
        validation: None,
        notices: Vec::new(),
        tables: None,
    })
}

/// The pictures below `path`, a folder per class, as a split of the classes of `profile`.
pub(super) fn labelled(path: &Path, size: (usize, usize), profile: &Profile) -> Result<Split, DataError> {
    check_folder(path, "a folder with IDX test files or with a folder of pictures per class")?;
    let split = read_split(class_folders(path)?, &profile.classes, size, "test", &mut Vec::new())?;
    Ok(split.at_levels_of(profile))
}

/// Where the training classes are, and where the test classes are if they have a place of their own.
fn layout(path: &Path, test_path: Option<&Path>) -> (PathBuf, Option<PathBuf>) {
    let (train, test) = (path.join("train"), path.join("test"));
    match test_path {
        Some(test_path) => (path.to_path_buf(), Some(test_path.to_path_buf())),
        None if train.is_dir() && test.is_dir() => (train, Some(test)),
        None => (path.to_path_buf(), None),
    }
}

/// The class folders in `path`, by name. Files beside them (a note, a licence) are no classes.
fn class_folders(path: &Path) -> Result<Vec<ClassFolder>, DataError> {
    let mut classes = Vec::new();
    for (name, path) in visible_entries(path)? {
        if path.is_dir() {
            classes.push(ClassFolder { pictures: pictures(&name, &path)?, name, path });
        }
    }
    if classes.is_empty() {
        let fault = Fault::new(path, "a folder per class", "none");
        return Err(DataError::unfit(
            "no class folders",
            fault.remedy("put the pictures of each class in a folder of its name"),
        ));
    }
    Ok(classes)
}

fn pictures(class: &str, folder: &Path) -> Result<Vec<Picture>, DataError> {
    let mut pictures = Vec::new();
    for (name, path) in visible_entries(folder)? {
        if path.is_dir() || !picture::has_picture_name(&name) {
            let found = if path.is_dir() { "a folder" } else { "another kind of file" };
            let fault = Fault::new(path, "a .png, .jpg or .jpeg file", found);
            return Err(DataError::unfit(
                "not a picture",
                fault.remedy("convert it, or take it out of the class folder"),
            ));
        }
        pictures.push(Picture { name, path });
    }
    if pictures.is_empty() {
        let fault = Fault::new(folder, "at least one picture", "none");
        let remedy = format!("add pictures of \"{class}\", or take the folder away");
        return Err(DataError::unfit("class without pictures", fault.remedy(remedy)));
    }
    Ok(pictures)
}

/// Decodes all pictures of `folders`, whose classes must be among `classes`, and notes them in `files`.
fn read_split(
    folders: Vec<ClassFolder>,
    classes: &[String],
    (height, width): (usize, usize),
    role: &str,
    files: &mut Vec<FileRecord>,
) -> Result<Split, DataError> {
    let mut pixels = Vec::new();
    let mut labels = Vec::new();
    for folder in folders {
        let class = classes.iter().position(|name| *name == folder.name).ok_or_else(|| {
            let expected = format!("a class of the training data: {}", classes.join(", "));
            DataError::unfit(
                "class without training data",
                Fault::new(&folder.path, expected, format!("\"{}\"", folder.name)),
            )
        })?;
        let mut record = (0, Hasher::default());
        for (picture, decoded) in
            folder.pictures.iter().zip(picture::decode_all(&folder.pictures, height, width)?)
        {
            pixels.extend_from_slice(&decoded.pixels);
            labels.push(class as u32);
            record.0 += decoded.bytes;
            record.1.update(format!("{} {}\n", decoded.sha256, picture.name).as_bytes());
        }
        files.push(FileRecord {
            name: format!("{role}/{}", folder.name),
            path: folder.path,
            bytes: record.0,
            sha256: record.1.finish(),
        });
    }
    Ok(Split::new(Storage::bytes(height * width, pixels, u8::MAX), labels))
}

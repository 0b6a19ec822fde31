//! The pictures of a split, by class.

use std::path::{Path, PathBuf};

use kiln_config::listed;
use kiln_table::{counted, quoted};

use super::entries::{Entries, Entry, PassedOver};
use super::labels_file::LabelsFile;
use super::walk::below;
use crate::{DataError, Fault};

/// The pictures of a class.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) name: String,
    /// The class's folder, or the file that says which pictures are of it.
    pub(super) path: PathBuf,
    /// By name, which counts from the class's folder.
    pub(super) pictures: Vec<Entry>,
}

/// What the folder of a split holds.
#[derive(Debug)]
pub(super) enum Found {
    /// Classes by name, each with pictures.
    Classed(Vec<Class>),
    /// So many pictures, and nothing that says what they show.
    Unlabelled(Vec<Entry>),
}

impl Found {
    /// Reads `folder`: a folder of pictures for each class, or pictures and a table that says of what class they are.
    pub(super) fn find(
        folder: &Path,
        label_column: &str,
        passed_over: &mut PassedOver,
    ) -> Result<Self, DataError> {
        let Entries { folders, pictures, tables } = Entries::read(folder, passed_over)?;
        if !pictures.is_empty()
            && let Some(labels) = LabelsFile::find(folder, &pictures, &tables, label_column)?
        {
            passed_over.note_all(&folders);
            return Ok(Self::Classed(by_label(pictures, &labels, passed_over)?));
        }
        if folders.is_empty() && !pictures.is_empty() {
            return Ok(Self::Unlabelled(pictures));
        }
        if folders.is_empty() {
            let fault = Fault::new(folder, "a folder per class", "none");
            let remedy = "put the pictures of each class in a folder of its name";
            return Err(DataError::unfit("no class folders", fault.remedy(remedy)));
        }
        passed_over.note_all(&pictures);
        passed_over.note_all(&tables);
        let class = |Entry { name, path }: Entry| {
            Ok(Class { pictures: in_class(&name, &path, passed_over)?, name, path })
        };
        Ok(Self::Classed(folders.into_iter().map(class).collect::<Result<_, DataError>>()?))
    }

    /// The classes; an error where nothing says what the pictures in `folder` show.
    pub(super) fn classes(self, folder: &Path) -> Result<Vec<Class>, DataError> {
        match self {
            Self::Classed(classes) => Ok(classes),
            Self::Unlabelled(pictures) => Err(unlabelled(folder, &pictures)),
        }
    }
}

/// Every class's pictures, as `labels` says.
fn by_label(
    pictures: Vec<Entry>,
    labels: &LabelsFile,
    passed_over: &mut PassedOver,
) -> Result<Vec<Class>, DataError> {
    let mut classes: Vec<Class> = Vec::new();
    for picture in pictures {
        let Some(name) = labels.class_of(&picture.name)? else {
            passed_over.note(&picture.path);
            continue;
        };
        match classes.iter_mut().find(|class| class.name == name) {
            Some(class) => class.pictures.push(picture),
            None => classes.push(Class {
                name: name.to_owned(),
                path: labels.path().to_owned(),
                pictures: vec![picture],
            }),
        }
    }
    classes.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(classes)
}

/// The pictures in the folder of a class and in the folders within it.
fn in_class(class: &str, folder: &Path, passed_over: &mut PassedOver) -> Result<Vec<Entry>, DataError> {
    let entries = Entries::read(folder, passed_over)?;
    passed_over.note_all(&entries.tables);
    let mut pictures = entries.pictures;
    if pictures.is_empty() {
        let fault = |found: &str| Fault::new(folder, "at least one picture", found);
        let fault = if entries.folders.is_empty() {
            let remedy = format!("add pictures of {}, or take the folder away", quoted(class));
            fault("none").remedy(remedy)
        } else {
            let found = format!("folders alone, such as {}", quoted(&entries.folders[0].name));
            fault(&found).remedy(
                "move the pictures up into the folder of their class, or point data.path at the folder that holds \
                 the class folders",
            )
        };
        return Err(DataError::unfit("class without pictures", fault));
    }
    for inner in entries.folders {
        below(&inner, &mut pictures, 1, passed_over)?;
    }
    Ok(pictures)
}

fn unlabelled(folder: &Path, pictures: &[Entry]) -> DataError {
    let found = format!("{}, such as {}", counted(pictures.len(), "picture"), quoted(&pictures[0].name));
    let fault = Fault::new(
        folder,
        "a folder of pictures for each class, or a csv file with a column of file names and one of classes",
        found,
    );
    let beginnings = beginnings(pictures);
    let hint = if beginnings.is_empty() {
        String::new()
    } else {
        format!(" (the names begin with {}: are these the classes?)", listed(beginnings, "and"))
    };
    let remedy = format!(
        "put the pictures of each class in a folder of its name{hint}, or a labels.csv beside them; what shows something \
         unknown is for `predict`, once a network is trained"
    );
    DataError::unfit("pictures without classes", fault.remedy(remedy))
}

/// The words that the names begin with, if they are few and every name has one, as in `cat.0.png`.
fn beginnings(pictures: &[Entry]) -> Vec<String> {
    let word = |picture: &Entry| picture.name.chars().take_while(|letter| letter.is_alphabetic()).collect();
    let mut words: Vec<String> = pictures.iter().map(word).collect();
    words.sort_unstable();
    words.dedup();
    let is_telling = (2..=10).contains(&words.len()) && words.len() * 2 <= pictures.len();
    if is_telling && words.iter().all(|word| !word.is_empty()) { words } else { Vec::new() }
}

//! A folder with four IDX files, named as MNIST's are.

use std::path::Path;

use kiln_config::Data;

use super::{Means, Reader, Source, check_folder, idx, idx::Idx, labelled_pictures, path_of};
use crate::{DataError, Fault, FileRecord, Profile, Shape, Split, data_file::DataFile, storage::Storage};

/// Training images, training labels, test images, test labels.
pub(super) const FILE_NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];
/// Dimensions of each: count, height, width; or count alone.
const RANKS: [usize; 4] = [3, 1, 3, 1];

/// The four files, read, in the order of [`FILE_NAMES`].
pub(super) type FourFiles = [(DataFile, Idx); 4];

pub(super) struct IdxFolder;

impl Reader for IdxFolder {
    fn read(&self, data: &Data, _: &Means<'_>) -> Result<Source, DataError> {
        read(path_of(data)?)
    }

    fn labelled(&self, path: &Path, _: &Data, profile: &Profile) -> Result<Split, DataError> {
        labelled_pictures(path, None, profile)
    }
}

/// Reads the user's own IDX files; classes are numbered, and as many as the training labels say.
fn read(folder: &Path) -> Result<Source, DataError> {
    check_folder(folder, "a folder with the four IDX files")?;
    let files = find(folder)?;
    let four = read_four(files)?;
    let greatest = four[1].1.values.iter().max().map_or(0, |&label| usize::from(label));
    if greatest == 0 {
        let fault = Fault::new(&four[1].0.path, "at least two classes", "the label 0 alone");
        return Err(DataError::unfit(
            "only one class",
            fault.remedy("a classifier needs classes to tell apart"),
        ));
    }
    let classes = (0..=greatest).map(|class| class.to_string()).collect();
    assemble("idx", classes, four)
}

/// The four files in `folder`; those that are missing are named together.
fn find(folder: &Path) -> Result<[DataFile; 4], DataError> {
    let found = FILE_NAMES.map(|name| DataFile::find(folder, name));
    let missing: Vec<&str> =
        FILE_NAMES.into_iter().zip(&found).filter(|(_, file)| file.is_none()).map(|(name, _)| name).collect();
    let complete: Option<Vec<DataFile>> = found.into_iter().collect();
    complete.and_then(|files| files.try_into().ok()).ok_or_else(|| missing_files(folder, &missing))
}

pub(super) fn missing_files(folder: &Path, missing: &[&str]) -> DataError {
    let expected = format!("{} (plain or .gz)", FILE_NAMES.join(", "));
    let fault = Fault::new(folder, expected, format!("no {}", missing.join(", no ")));
    DataError::unfit(
        "missing data",
        fault.remedy("put the files there, or point data.path at the folder that has them"),
    )
}

/// Reads the four files at once, a thread each: decompressing and hashing take most of the time.
pub(super) fn read_four(files: [DataFile; 4]) -> Result<FourFiles, DataError> {
    let [first, second, third, fourth] = std::thread::scope(|scope| {
        let threads = [0, 1, 2, 3].map(|index| {
            let file = &files[index];
            scope.spawn(move || idx::read(file, RANKS[index]))
        });
        threads.map(|thread| thread.join().expect("reading an IDX file does not panic"))
    });
    let contents = [first?, second?, third?, fourth?];
    let mut pairs = files.into_iter().zip(contents);
    Ok(std::array::from_fn(|_| pairs.next().expect("there are four of each")))
}

/// Makes a source of four files whose labels must lie below the number of classes.
pub(super) fn assemble(name: &str, classes: Vec<String>, four: FourFiles) -> Result<Source, DataError> {
    let files = four.each_ref().map(|(file, idx)| record(file, idx)).to_vec();
    let [train_images, train_labels, test_images, test_labels] = four;
    let (height, width) = (train_images.1.dimensions[1], train_images.1.dimensions[2]);
    check_size(&test_images.0, &test_images.1, (height, width))?;
    Ok(Source {
        name: name.to_owned(),
        shape: Shape::Image { height, width },
        train: pair(train_images, train_labels, classes.len())?,
        test: Some(pair(test_images, test_labels, classes.len())?),
        validation: None,
        classes,
        files,
        notices: Vec::new(),
        tables: None,
    })
}

fn record(file: &DataFile, idx: &Idx) -> FileRecord {
    FileRecord {
        name: file.name.clone(),
        path: file.path.clone(),
        bytes: file.bytes,
        sha256: idx.sha256.clone(),
    }
}

/// The test images and labels in `folder`, if both are there.
pub(crate) fn find_test(folder: &Path) -> Option<[DataFile; 2]> {
    let [_, _, images, labels] = FILE_NAMES;
    Some([DataFile::find(folder, images)?, DataFile::find(folder, labels)?])
}

/// Images and labels as a split of the classes of `profile`, by the names that `names` gives to the numbers in
/// the file; without names, the numbers are the names.
pub(crate) fn labelled(
    files: [DataFile; 2],
    size: (usize, usize),
    names: Option<&[&str]>,
    profile: &Profile,
) -> Result<Split, DataError> {
    let [images, labels] = files;
    let [image_values, label_values] = [idx::read(&images, 3)?, idx::read(&labels, 1)?];
    check_size(&images, &image_values, size)?;
    let path = labels.path.clone();
    let split = pair((images, image_values), (labels, label_values), 256)?;
    let mut numbers = Vec::with_capacity(split.len());
    for (position, &label) in split.labels().iter().enumerate() {
        let name = match names {
            Some(names) => names.get(label as usize).copied().unwrap_or_default().to_owned(),
            None => label.to_string(),
        };
        let class = profile.classes.iter().position(|class| *class == name).ok_or_else(|| {
            let expected = format!("a class of the training data: {}", profile.classes.join(", "));
            let fault = Fault::new(&path, expected, format!("{label}"));
            DataError::unfit("class without training data", fault.place(format!("label {position}")))
        })?;
        numbers.push(class as u32);
    }
    Ok(split.with_labels(numbers).at_levels_of(profile))
}

pub(crate) fn check_size(file: &DataFile, images: &Idx, size: (usize, usize)) -> Result<(), DataError> {
    let (height, width) = (images.dimensions[1], images.dimensions[2]);
    if (height, width) == size {
        return Ok(());
    }
    let expected = format!("{}x{} pixels, as in the training images", size.0, size.1);
    let fault = Fault::new(&file.path, expected, format!("{height}x{width}"));
    Err(DataError::unfit("image sizes differ", fault.remedy("take both from the same data set")))
}

/// Images and their labels as a split.
fn pair(images: (DataFile, Idx), labels: (DataFile, Idx), class_count: usize) -> Result<Split, DataError> {
    let (labels_file, labels) = labels;
    let [count, height, width] = images.1.dimensions[..] else {
        unreachable!("images were read with rank 3")
    };
    if labels.values.len() != count {
        let expected = format!("{count} labels, one per image of {}", images.0.name);
        let fault = Fault::new(labels_file.path, expected, labels.values.len().to_string());
        return Err(DataError::unfit(
            "images and labels do not match",
            fault.remedy("take both files from the same data set"),
        ));
    }
    if let Some(index) = labels.values.iter().position(|&label| usize::from(label) >= class_count) {
        let fault = Fault::new(
            labels_file.path,
            format!("0 to {}", class_count - 1),
            labels.values[index].to_string(),
        );
        return Err(DataError::unfit(
            "label out of range",
            fault.place(format!("label {index}")).remedy("every class needs training examples"),
        ));
    }
    let labels = labels.values.into_iter().map(u32::from).collect();
    Ok(Split::new(Storage::bytes(height * width, images.1.values, u8::MAX), labels))
}

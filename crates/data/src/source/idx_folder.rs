//! IDX files in a folder, as MNIST and its like have them.

use std::path::Path;

use kiln_config::{Data, Transpose};
use kiln_table::listed;

use super::idx::{Content, Idx, read as read_idx};
use super::idx_files::{IdxFiles, find_test};
use super::idx_images::Images;
use super::{Means, Reader, Source, labelled_pictures, path_of};
use crate::{
    DataError, Fault, FileRecord, Profile, Reading, Shape, Split, data_file::DataFile, storage::Storage,
};

/// MNIST's names: training images, training labels, test images, test labels.
pub(super) const FILE_NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];
/// More classes than these are something else than classes.
const MOST_CLASSES: usize = 1000;

/// Images and their labels, read.
pub(super) type Pair = [(DataFile, Idx); 2];

pub(super) struct IdxFolder;

impl Reader for IdxFolder {
    fn read(&self, data: &Data, _: &Means<'_>) -> Result<Source, DataError> {
        read(data, path_of(data)?)
    }

    fn labelled(&self, path: &Path, data: &Data, profile: &Profile) -> Result<Split, DataError> {
        labelled_pictures(path, None, data, profile)
    }
}

/// Reads the user's own IDX files. The labels that occur in training are the classes, named by their numbers.
fn read(data: &Data, path: &Path) -> Result<Source, DataError> {
    let files = IdxFiles::find(path)?;
    let is_transposed = is_transposed(data, &files.train[0]);
    let (train, test) = read_pairs(files)?;
    let [(images_file, images), (labels_file, labels)] = &train;
    let idx_white = images.white(&images_file.path)?;
    let (numbers, class_notice) = classes(labels_file, labels)?;
    let mut notices = Vec::new();
    notices.extend(images.pixel_notice(idx_white));
    if let Some(columns) = labels.dimensions.get(1).filter(|&&columns| columns > 1) {
        notices.push(format!("of the {columns} numbers of each label the first is the class"));
    }
    notices.extend(class_notice);
    if is_transposed {
        notices.push(
            "rows and columns of the images are exchanged: EMNIST's lie on their side (data.transpose)"
                .to_owned(),
        );
    }
    if test.is_none() {
        notices.push(
            "there are no test files: test data is held out of the training images (data.test)".to_owned(),
        );
    }
    let reading = Reading { idx_white, is_transposed, ..Reading::default() };
    let names = numbers.iter().map(ToString::to_string).collect();
    Ok(Source { notices, ..assemble("idx", names, &numbers, (train, test), reading)? })
}

/// Whether the experiment exchanges rows and columns of the images in `file`.
fn is_transposed(data: &Data, file: &DataFile) -> bool {
    match data.transpose {
        Transpose::Switch(is_on) => is_on,
        Transpose::Auto(_) => file.name.to_lowercase().split(['-', '_', '.']).any(|word| word == "emnist"),
    }
}

/// The labels that occur in training, sorted, and what to tell of them where they are not 0, 1, 2 and so on.
fn classes(file: &DataFile, labels: &Idx) -> Result<(Vec<i64>, Option<String>), DataError> {
    let mut numbers = labels.labels(&file.path)?;
    numbers.sort_unstable();
    numbers.dedup();
    let fault = |expected: &str, found: String| Fault::new(&file.path, expected, found);
    if let [number] = numbers[..] {
        let fault = fault("at least two classes", format!("the label {number} alone"));
        return Err(DataError::unfit(
            "only one class",
            fault.remedy("a classifier needs classes to tell apart"),
        ));
    }
    if numbers.len() > MOST_CLASSES {
        let fault =
            fault(&format!("at most {MOST_CLASSES} classes"), format!("{} different labels", numbers.len()));
        return Err(DataError::unfit("too many classes", fault.remedy("are these the labels?")));
    }
    let is_plain = (0..).zip(&numbers).all(|(at, &number)| at == number);
    let notice = (!is_plain).then(|| {
        let count = numbers.len();
        format!("the labels are {}: these are the {count} classes", range(&numbers))
    });
    Ok((numbers, notice))
}

/// Numbers as text: "1 to 26", or each.
fn range(numbers: &[i64]) -> String {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    match numbers[..] {
        [first, .., last] if (first..=last).eq(numbers.iter().copied()) => format!("{first} to {last}"),
        _ => {
            let all: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            listed(all.iter().map(String::as_str), 20)
        }
    }
}

pub(super) fn missing_files(folder: &Path, missing: &[&str]) -> DataError {
    let expected = format!("{} (plain or .gz)", FILE_NAMES.join(", "));
    let fault = Fault::new(folder, expected, format!("no {}", missing.join(", no ")));
    DataError::unfit(
        "missing data",
        fault.remedy("put the files there, or point data.path at the folder that has them"),
    )
}

/// Reads all files at once, a thread each: decompressing and hashing take most of the time.
pub(super) fn read_pairs(files: IdxFiles) -> Result<(Pair, Option<Pair>), DataError> {
    let contents = [Content::Images, Content::Labels];
    let all: Vec<DataFile> = files.train.into_iter().chain(files.test.into_iter().flatten()).collect();
    let read: Vec<Result<Idx, DataError>> = std::thread::scope(|scope| {
        let start = |(file, content)| scope.spawn(move || read_idx(file, content));
        let threads: Vec<_> = all.iter().zip(contents.into_iter().cycle()).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("reading an IDX file does not panic")).collect()
    });
    let mut files = all.into_iter().zip(read).map(|(file, idx)| Ok((file, idx?)));
    let mut pair = || -> Option<Result<Pair, DataError>> {
        let (images, labels) = (files.next()?, files.next()?);
        Some(images.and_then(|images| Ok([images, labels?])))
    };
    let train = pair().expect("there are training files")?;
    Ok((train, pair().transpose()?))
}

/// Makes a source of files whose labels must be among `numbers`, which the names of `classes` stand for.
pub(super) fn assemble(
    name: &str,
    classes: Vec<String>,
    numbers: &[i64],
    (train, test): (Pair, Option<Pair>),
    reading: Reading,
) -> Result<Source, DataError> {
    let files = train.iter().chain(test.iter().flatten()).map(|(file, idx)| record(file, idx)).collect();
    let (size, train) = split(train, numbers, None, reading)?;
    let test = test.map(|test| split(test, numbers, Some(size), reading)).transpose()?.map(|(_, test)| test);
    let [height, width, channels] = size;
    Ok(Source {
        name: name.to_owned(),
        shape: Shape::Image { height, width, channels },
        classes,
        train,
        validation: None,
        test,
        files,
        reading,
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

/// The test images and labels at `path` as a split of the classes of `profile`, by the names that `names` gives to
/// the numbers in the file; without names, the numbers are the names. None where they are not there.
pub(super) fn labelled(
    path: &Path,
    names: Option<&[&str]>,
    data: &Data,
    profile: &Profile,
) -> Option<Result<Split, DataError>> {
    let files = match find_test(path).transpose()? {
        Ok(files) => files,
        Err(error) => return Some(Err(error)),
    };
    let Shape::Image { height, width, channels } = profile.shape else { return None };
    let number = |class: &String| match names {
        Some(names) => (0..).zip(names).find(|(_, name)| *name == class).map(|(number, _)| number),
        None => class.parse().ok(),
    };
    let numbers: Option<Vec<i64>> = profile.classes.iter().map(number).collect();
    let reading = Reading { is_transposed: is_transposed(data, &files[0]), ..profile.reading };
    let read = || {
        let numbers = numbers.ok_or_else(|| {
            let classes = listed(profile.classes.iter().map(String::as_str), 20);
            let fault = Fault::new(path, format!("the classes of the training data: {classes}"), "numbers");
            DataError::unfit("class without training data", fault)
        })?;
        let (pair, _) = read_pairs(IdxFiles { train: files, test: None })?;
        let (_, split) = split(pair, &numbers, Some([height, width, channels]), reading)?;
        Ok(split.at_levels_of(profile))
    };
    Some(read())
}

/// Images and their labels as a split, whose classes are the places of the labels among `numbers`. The images must have
/// `size` (height, width, channels), if one is given; it is given back.
fn split(
    [(images_file, images), (labels_file, labels)]: Pair,
    numbers: &[i64],
    size: Option<[usize; 3]>,
    reading: Reading,
) -> Result<([usize; 3], Split), DataError> {
    let images = Images::new(&images_file, images, reading)?;
    images.check_size(&images_file, size.unwrap_or(images.size()))?;
    let labels = labels.labels(&labels_file.path)?;
    if labels.len() != images.count {
        let expected = format!("{} labels, one per image of {}", images.count, images_file.name);
        let fault = Fault::new(labels_file.path, expected, labels.len().to_string());
        let remedy = "take both files from the same data set";
        return Err(DataError::unfit("images and labels do not match", fault.remedy(remedy)));
    }
    let class = |(at, label): (usize, &i64)| {
        let class = numbers.iter().position(|number| number == label);
        class.map(|class| class as u32).ok_or_else(|| {
            let fault = Fault::new(&labels_file.path, range(numbers), label.to_string());
            let fault = fault.place(format!("label {at}")).remedy("every class needs training examples");
            DataError::unfit("label out of range", fault)
        })
    };
    let classes = labels.iter().enumerate().map(class).collect::<Result<_, _>>()?;
    let size = images.size();
    Ok((size, Split::new(Storage::bytes(size.iter().product(), images.pixels, u8::MAX), classes)))
}

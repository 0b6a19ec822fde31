//! The source `idx`: a folder of IDX files like MNIST's, as images and classes.

use std::path::Path;

use kiln_config::{Data, Transpose};
use kiln_table::listed;

use super::idx::{IdxArray, IdxContent, read as read_idx};
use super::idx_files::{IdxFile, IdxFiles, find_test};
use super::{MOST_CLASSES, SourceContext, SourceData, SourceReader, labelled_pictures, path_of};
use crate::values::Storage;
use crate::{DataError, FileRecord, ImageEncoding, Mismatch, Profile, Shape, Split};

/// Images and their labels, with the files that they were read from.
pub(super) type LabelledImages = [(IdxFile, IdxArray); 2];

pub(super) struct IdxFolder;

impl SourceReader for IdxFolder {
    fn read(&self, data: &Data, _: &SourceContext<'_>) -> Result<SourceData, DataError> {
        read(data, path_of(data)?)
    }

    fn labelled(&self, path: &Path, data: &Data, profile: &Profile) -> Result<Split, DataError> {
        labelled_pictures(path, None, data, profile)
    }
}

/// Reads the user's own IDX files. The labels of the training images are the classes; their names are the numbers.
fn read(data: &Data, path: &Path) -> Result<SourceData, DataError> {
    let files = IdxFiles::find(path)?;
    let is_transposed = is_transposed(data, &files.train[0]);
    let (train, test) = read_pairs(files)?;
    let [(images_file, images), (labels_file, labels)] = &train;
    let idx_white = images.white(&images_file.path)?;
    let (numbers, class_notice) = classes(labels_file, labels)?;
    let mut notices = Vec::new();
    notices.extend(images.pixel_notice(idx_white));
    if let Some(columns) = labels.dimensions.get(1).filter(|&&columns| columns > 1) {
        notices.push(format!("labels have {columns} numbers each: the first is the class"));
    }
    notices.extend(class_notice);
    if is_transposed {
        notices.push(
            "the images are transposed, because EMNIST stores them on their side (data.transpose)".to_owned(),
        );
    }
    if test.is_none() {
        notices.push("no test files: test data is held out of the training images (data.test)".to_owned());
    }
    let reading = ImageEncoding { idx_white, is_transposed, ..ImageEncoding::default() };
    let names = numbers.iter().map(ToString::to_string).collect();
    Ok(SourceData { notices, ..assemble("idx", names, &numbers, (train, test), reading)? })
}

/// Whether the images in `file` are transposed: with `auto`, those of EMNIST.
fn is_transposed(data: &Data, file: &IdxFile) -> bool {
    match data.transpose {
        Transpose::Switch(is_on) => is_on,
        Transpose::Auto(_) => file.name.to_lowercase().split(['-', '_', '.']).any(|word| word == "emnist"),
    }
}

/// The distinct training labels, sorted; and a notice unless they are 0, 1, 2 and so on.
fn classes(file: &IdxFile, labels: &IdxArray) -> Result<(Vec<i64>, Option<String>), DataError> {
    let mut numbers = labels.labels(&file.path)?;
    numbers.sort_unstable();
    numbers.dedup();
    let mismatch = |expected: &str, found: String| Mismatch::new(&file.path, expected, found);
    if let [number] = numbers[..] {
        let mismatch = mismatch("at least two classes", format!("the label {number} alone"));
        return Err(DataError::unfit(
            "only one class",
            mismatch.remedy("add images of other classes: a classifier has to distinguish classes"),
        ));
    }
    if numbers.len() > MOST_CLASSES {
        let mismatch = mismatch(
            &format!("at most {MOST_CLASSES} classes"),
            format!("{} different labels", numbers.len()),
        );
        return Err(DataError::unfit("too many classes", mismatch.remedy("are these the labels?")));
    }
    let is_plain = (0..).zip(&numbers).all(|(at, &number)| at == number);
    let notice = (!is_plain).then(|| {
        let count = numbers.len();
        format!("the labels are {}: these are the {count} classes", range(&numbers))
    });
    Ok((numbers, notice))
}

/// Numbers as text: a range such as "1 to 26", or a list.
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

/// Reads all files in parallel, one thread each: decompression and hashing take most of the time.
pub(super) fn read_pairs(files: IdxFiles) -> Result<(LabelledImages, Option<LabelledImages>), DataError> {
    let contents = [IdxContent::Images, IdxContent::Labels];
    let all: Vec<IdxFile> = files.train.into_iter().chain(files.test.into_iter().flatten()).collect();
    let read: Vec<Result<IdxArray, DataError>> = std::thread::scope(|scope| {
        let start = |(file, content)| scope.spawn(move || read_idx(file, content));
        let threads: Vec<_> = all.iter().zip(contents.into_iter().cycle()).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("reading an IDX file does not panic")).collect()
    });
    let mut files = all.into_iter().zip(read).map(|(file, idx)| Ok((file, idx?)));
    let mut pair = || -> Option<Result<LabelledImages, DataError>> {
        let (images, labels) = (files.next()?, files.next()?);
        Some(images.and_then(|images| Ok([images, labels?])))
    };
    let train = pair().expect("there are training files")?;
    Ok((train, pair().transpose()?))
}

/// Makes a source of files. Their labels must be among `numbers`; `classes` are the names of these numbers.
pub(super) fn assemble(
    name: &str,
    classes: Vec<String>,
    numbers: &[i64],
    (train, test): (LabelledImages, Option<LabelledImages>),
    reading: ImageEncoding,
) -> Result<SourceData, DataError> {
    let files = train.iter().chain(test.iter().flatten()).map(|(file, idx)| record(file, idx)).collect();
    let (size, train) = split(train, numbers, None, reading)?;
    let test = test.map(|test| split(test, numbers, Some(size), reading)).transpose()?.map(|(_, test)| test);
    let [height, width, channels] = size;
    Ok(SourceData {
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

fn record(file: &IdxFile, idx: &IdxArray) -> FileRecord {
    FileRecord {
        name: file.name.clone(),
        path: file.path.clone(),
        bytes: file.bytes,
        sha256: idx.sha256.clone(),
    }
}

/// The IDX test images and labels at `path` as a split of the classes of `profile`; `None` if the files do not exist. The
/// labels in the file are indices into `names`; without `names`, they are the names of the classes.
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
    let reading = ImageEncoding { is_transposed: is_transposed(data, &files[0]), ..profile.reading };
    let read = || {
        let numbers = numbers.ok_or_else(|| {
            let classes = listed(profile.classes.iter().map(String::as_str), 20);
            let mismatch =
                Mismatch::new(path, format!("the classes of the training data: {classes}"), "numbers");
            DataError::unfit("class without training data", mismatch)
        })?;
        let (pair, _) = read_pairs(IdxFiles { train: files, test: None })?;
        let (_, split) = split(pair, &numbers, Some([height, width, channels]), reading)?;
        Ok(split.at_levels_of(profile))
    };
    Some(read())
}

/// Images and labels as a split, and the size of the images (height, width, channels), which must be `size` if given. The
/// class of a label is its index in `numbers`.
fn split(
    [(images_file, images), (labels_file, labels)]: LabelledImages,
    numbers: &[i64],
    size: Option<[usize; 3]>,
    reading: ImageEncoding,
) -> Result<([usize; 3], Split), DataError> {
    let images = IdxImages::new(&images_file, images, reading)?;
    images.check_size(&images_file, size.unwrap_or(images.size()))?;
    let labels = labels.labels(&labels_file.path)?;
    if labels.len() != images.count {
        let expected = format!("{} labels, one per image of {}", images.count, images_file.name);
        let mismatch = Mismatch::new(labels_file.path, expected, labels.len().to_string());
        let remedy = "take both files from the same data set";
        return Err(DataError::unfit("images and labels do not match", mismatch.remedy(remedy)));
    }
    let class = |(at, label): (usize, &i64)| {
        let class = numbers.iter().position(|number| number == label);
        class.map(|class| class as u32).ok_or_else(|| {
            let mismatch = Mismatch::new(&labels_file.path, range(numbers), label.to_string());
            let mismatch =
                mismatch.place(format!("label {at}")).remedy("every class needs training examples");
            DataError::unfit("label out of range", mismatch)
        })
    };
    let classes = labels.iter().enumerate().map(class).collect::<Result<_, _>>()?;
    let size = images.size();
    Ok((size, Split::new(Storage::bytes(size.iter().product(), images.pixels, u8::MAX), classes)))
}

/// Images of one size.
#[derive(Debug)]
pub(crate) struct IdxImages {
    pub(crate) count: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// 1 for grey, 3 for red, green and blue.
    pub(crate) channels: usize,
    pub(crate) pixels: Vec<u8>,
}

/// The order of an image's numbers in a file.
#[derive(Clone, Copy, Debug)]
struct PixelOrder {
    height: usize,
    width: usize,
    channels: usize,
    /// Whether the colours of a pixel are adjacent; otherwise the colours are separate planes.
    is_by_pixel: bool,
}

impl IdxImages {
    /// The images in `idx`, which was read from `file`. Its dimensions are (count, height, width); (count, pixels of a
    /// square); or (count, height, width, colours) or (count, colours, height, width), with 1 or 3 colours.
    pub(crate) fn new(file: &IdxFile, idx: IdxArray, reading: ImageEncoding) -> Result<Self, DataError> {
        let order = PixelOrder::of(file, &idx.dimensions)?;
        let count = idx.dimensions[0];
        let mut pixels = idx.into_pixels(reading.idx_white, &file.path)?;
        let PixelOrder { mut height, mut width, channels, is_by_pixel } = order;
        if is_by_pixel && channels > 1 {
            let plane = height * width;
            pixels = reordered(&pixels, plane * channels, |at| (at % plane) * channels + at / plane);
        }
        if reading.is_transposed {
            pixels = reordered(&pixels, height * width, |at| (at % height) * width + at / height);
            (height, width) = (width, height);
        }
        Ok(Self { count, height, width, channels, pixels })
    }

    /// Height, width and channels.
    pub(crate) fn size(&self) -> [usize; 3] {
        [self.height, self.width, self.channels]
    }

    /// An error if the images, read from `file`, differ in size from the training images.
    pub(crate) fn check_size(&self, file: &IdxFile, size: [usize; 3]) -> Result<(), DataError> {
        if self.size() == size {
            return Ok(());
        }
        let text = |[height, width, channels]: [usize; 3]| match channels {
            1 => format!("{height}x{width} pixels"),
            _ => format!("{height}x{width} pixels in {channels} colours"),
        };
        let expected = format!("{}, as in the training images", text(size));
        let mismatch = Mismatch::new(&file.path, expected, text(self.size()));
        Err(DataError::unfit("image sizes differ", mismatch.remedy("take both from the same data set")))
    }
}

impl PixelOrder {
    fn of(file: &IdxFile, dimensions: &[usize]) -> Result<Self, DataError> {
        let grey = Self { height: 1, width: 1, channels: 1, is_by_pixel: false };
        match *dimensions {
            [_, height, width] => return Ok(Self { height, width, ..grey }),
            [_, pixels] if pixels.isqrt().pow(2) == pixels => {
                return Ok(Self { height: pixels.isqrt(), width: pixels.isqrt(), ..grey });
            }
            [_, height, width, channels @ (1 | 3)] => {
                return Ok(Self { height, width, channels, is_by_pixel: true });
            }
            [_, channels @ (1 | 3), height, width] => return Ok(Self { height, width, channels, ..grey }),
            _ => {}
        }
        let expected = "(images, height, width), (images, pixels of a square), or these with 1 or 3 colours";
        let mismatch =
            Mismatch::new(&file.path, expected, format!("dimensions {dimensions:?}")).place("header");
        Err(DataError::unfit("impossible images", mismatch.remedy("write them as (images, height, width)")))
    }
}

/// Permutes each group of `size` pixels: the new pixel at index `i` is the old one at `from(i)`.
fn reordered(pixels: &[u8], size: usize, from: impl Fn(usize) -> usize) -> Vec<u8> {
    let mut reordered = Vec::with_capacity(pixels.len());
    for group in pixels.chunks(size) {
        reordered.extend((0..size).map(|at| group[from(at)]));
    }
    reordered
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::source::idx::ElementType;

    fn images(dimensions: &[usize], reading: ImageEncoding) -> Result<IdxImages, DataError> {
        let count = dimensions.iter().product();
        let bytes = (0..count).map(|value| value as u8).collect();
        let idx = IdxArray {
            dimensions: dimensions.to_vec(),
            element: ElementType::U8,
            bytes,
            sha256: String::new(),
        };
        let file =
            IdxFile { name: "images".to_owned(), path: PathBuf::from("images"), is_gzip: false, bytes: 0 };
        IdxImages::new(&file, idx, reading)
    }

    #[test]
    fn colours_are_separated_into_planes() {
        let by_pixel = images(&[2, 1, 2, 3], ImageEncoding::default()).unwrap();
        assert_eq!((by_pixel.count, by_pixel.size()), (2, [1, 2, 3]));
        assert_eq!(by_pixel.pixels, [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]);
        let by_plane = images(&[1, 3, 1, 2], ImageEncoding::default()).unwrap();
        assert_eq!((by_plane.size(), by_plane.pixels), ([1, 2, 3], vec![0, 1, 2, 3, 4, 5]));
    }

    #[test]
    fn images_without_height_and_width_are_read_as_squares() {
        assert_eq!(images(&[2, 9], ImageEncoding::default()).unwrap().size(), [3, 3, 1]);
        let error = images(&[2, 8], ImageEncoding::default()).unwrap_err().to_string();
        assert!(error.contains("[2, 8]") && error.contains("square"), "{error}");
        images(&[2, 4, 4, 2], ImageEncoding::default()).unwrap_err();
    }

    #[test]
    fn transposed_images_are_set_upright() {
        let turned =
            images(&[1, 2, 3], ImageEncoding { is_transposed: true, ..ImageEncoding::default() }).unwrap();
        assert_eq!((turned.size(), turned.pixels), ([3, 2, 1], vec![0, 3, 1, 4, 2, 5]));
    }
}

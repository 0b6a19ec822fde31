//! From tensors to examples.

use kiln_data::{GivenRows, Split, examples_of_pixels};
use kiln_table::{Remarks, RowValue, listed, quoted};

use crate::flat::Values;
use crate::model::{Columns, Model, PictureSize, Takes};
use crate::refusal::Refusal;
use crate::tensor::Tensor;

/// The input of pictures.
pub(crate) const PIXELS: &str = "pixels";
/// The input of rows that are numbers alone.
pub(crate) const MATRIX: &str = "inputs";

/// The examples of a request.
pub(crate) struct Examples {
    pub(crate) split: Split,
    /// What is remarkable about rows of a table.
    pub(crate) remarks: Option<Remarks>,
}

/// The examples in `tensors`, `most` at most.
///
/// # Errors
/// Where they are not what `model` takes, by name, shape or value.
pub(crate) fn examples(model: &Model, tensors: &[Tensor<'_>], most: usize) -> Result<Examples, Refusal> {
    match &model.takes {
        Takes::Pictures(size) => pictures(model, *size, tensors, most),
        Takes::Rows(columns) => rows(columns, tensors, most),
    }
}

fn pictures(
    model: &Model,
    size: PictureSize,
    tensors: &[Tensor<'_>],
    most: usize,
) -> Result<Examples, Refusal> {
    let [tensor] = tensors else {
        return Err(Refusal::at("inputs", format!("one, \"{PIXELS}\""), names(tensors)));
    };
    if tensor.name != PIXELS {
        return Err(Refusal::at("inputs", format!("one, \"{PIXELS}\""), names(tensors)));
    }
    let PictureSize { channels, height, width, greatest } = size;
    let count = tensor.shape[0];
    let is_shape = match tensor.shape[1..] {
        [depth, high, wide] => [depth, high, wide] == [channels, height, width],
        [high, wide] => channels == 1 && [high, wide] == [height, width],
        [features] => features == size.pixels(),
        _ => false,
    };
    if !is_shape {
        let expected =
            format!("shape [pictures, {channels}, {height}, {width}] or [pictures, {}]", size.pixels());
        return Err(tensor.refusal(expected, format!("{:?}", tensor.shape)));
    }
    check_rows(count, most)?;
    let odd = |at: usize, found: String| {
        let expected = format!("whole numbers from 0 to {greatest}");
        let (row, place) = (at / size.pixels(), at % size.pixels());
        tensor.refusal_in_row(row, expected, format!("{found} at pixel {place}"))
    };
    let pixels = match &tensor.values {
        Values::Bytes(bytes) => match bytes.iter().position(|&pixel| pixel > greatest) {
            Some(at) => return Err(odd(at, bytes[at].to_string())),
            None => bytes.to_vec(),
        },
        Values::Numbers(numbers) => {
            let is_pixel = |value: f64| value.fract() == 0.0 && (0.0..=f64::from(greatest)).contains(&value);
            match numbers.iter().position(|&value| !is_pixel(value)) {
                Some(at) => return Err(odd(at, words(numbers[at]))),
                None => numbers.iter().map(|&value| value as u8).collect(),
            }
        }
        other => return Err(tensor.refusal("numbers", other.kind())),
    };
    let split = examples_of_pixels(pixels, model.trained.profile());
    let split = split.map_err(|error| Refusal::bad(error.to_string()))?;
    Ok(Examples { split, remarks: None })
}

/// A number as a message has it: in JSON, NaN is null.
fn words(number: f64) -> String {
    if number.is_nan() { "no number (NaN or null)".to_owned() } else { number.to_string() }
}

fn rows(columns: &Columns, tensors: &[Tensor<'_>], most: usize) -> Result<Examples, Refusal> {
    if let [tensor] = tensors
        && tensor.name == MATRIX
        && columns.number(MATRIX).is_none()
        && columns.are_all_numbers()
    {
        return matrix(columns, tensor, most);
    }
    let mut given: Vec<Option<&Tensor<'_>>> = vec![None; columns.used.len()];
    for tensor in tensors {
        let Some(number) = columns.number(&tensor.name) else {
            let wanted = listed(columns.names(), 12);
            return Err(tensor.refusal(format!("one of the columns {wanted}"), "no such column"));
        };
        if given[number].replace(tensor).is_some() {
            return Err(tensor.refusal("each input once", "it twice"));
        }
    }
    let absent: Vec<&str> =
        columns.names().zip(&given).filter(|(_, tensor)| tensor.is_none()).map(|(name, _)| name).collect();
    if !absent.is_empty() {
        let wanted = listed(columns.names(), 12);
        let found = format!("no {}", listed(absent, 12));
        return Err(Refusal::at("inputs", format!("one for each of the columns {wanted}"), found));
    }
    let given: Vec<&Tensor<'_>> = given.into_iter().flatten().collect();
    let count = given[0].shape[0];
    for tensor in &given {
        if !matches!(tensor.shape[..], [rows] | [rows, 1] if rows == count) {
            let expected = format!("shape [{count}, 1] or [{count}], as of input {}", quoted(&given[0].name));
            return Err(tensor.refusal(expected, format!("{:?}", tensor.shape)));
        }
    }
    check_rows(count, most)?;
    let mut rows = GivenRows::new(&columns.preparation);
    for row in 0..count {
        let value = |used: usize| value(&given[used].values, row);
        rows.push(value)
            .map_err(|fault| given[fault.used].refusal_in_row(row, fault.expected, fault.found))?;
    }
    Ok(finished(rows))
}

/// Rows of numbers, the used columns side by side.
fn matrix(columns: &Columns, tensor: &Tensor<'_>, most: usize) -> Result<Examples, Refusal> {
    let width = columns.used.len();
    let [count, found] = tensor.shape[..] else {
        return Err(tensor.refusal(format!("shape [rows, {width}]"), format!("{:?}", tensor.shape)));
    };
    if found != width {
        return Err(tensor.refusal(format!("shape [rows, {width}]"), format!("{:?}", tensor.shape)));
    }
    if matches!(tensor.values, Values::Texts(_) | Values::Booleans(_)) {
        return Err(tensor.refusal("numbers", tensor.values.kind()));
    }
    check_rows(count, most)?;
    let mut rows = GivenRows::new(&columns.preparation);
    for row in 0..count {
        rows.push(|used| value(&tensor.values, row * width + used)).map_err(|fault| {
            let expected = format!("{} in column {}", fault.expected, quoted(&fault.column));
            tensor.refusal_in_row(row, expected, fault.found)
        })?;
    }
    Ok(finished(rows))
}

fn value<'a>(values: &'a Values<'a>, at: usize) -> RowValue<'a> {
    match values {
        Values::Numbers(numbers) => RowValue::Number(numbers[at]),
        Values::Bytes(bytes) => RowValue::Number(f64::from(bytes[at])),
        Values::Booleans(values) => RowValue::Boolean(values[at]),
        Values::Texts(texts) => texts[at].as_deref().map_or(RowValue::Missing, RowValue::Text),
    }
}

fn finished(rows: GivenRows) -> Examples {
    let (split, remarks) = rows.finish();
    Examples { split, remarks: Some(remarks) }
}

pub(crate) fn check_rows(count: usize, most: usize) -> Result<(), Refusal> {
    if count > most { Err(Refusal::too_large("rows", most, count)) } else { Ok(()) }
}

fn names(tensors: &[Tensor<'_>]) -> String {
    if tensors.is_empty() {
        "none".to_owned()
    } else {
        listed(tensors.iter().map(|tensor| &*tensor.name), 12)
    }
}

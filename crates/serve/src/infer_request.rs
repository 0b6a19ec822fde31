//! An inference request: its body, which is JSON followed by binary tensors, and the examples in its tensors.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName};
use kiln_data::{RowBuffer, Split, examples_of_pixels};
use kiln_table::{Remarks, RowValue, listed, quoted};
use serde::Deserialize;

use crate::catalog::{Columns, ModelInput, PictureSize, ServedVersion};
use crate::json::{JsonData, Object, Values};
use crate::request::Refusal;
use crate::tensor::{Datatype, Tensor, TensorHeader};

/// The header with the length of the JSON before the binary tensors.
pub(crate) const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");
/// The name of the input of pictures.
pub(crate) const PIXELS: &str = "pixels";
/// The name of the single input of rows that consist of numbers only.
pub(crate) const MATRIX: &str = "inputs";

/// An inference request.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) inputs: Vec<Tensor<'a>>,
    /// The requested outputs; `None` means all.
    pub(crate) outputs: Option<Vec<RequestedOutput<'a>>>,
    /// Whether outputs are binary by default.
    pub(crate) is_binary: bool,
}

/// An output that a request lists.
#[derive(Debug, Deserialize)]
pub(crate) struct RequestedOutput<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    #[serde(default)]
    parameters: Option<Object<OutputParameters>>,
}

#[derive(Debug, Default, Deserialize)]
struct OutputParameters {
    #[serde(default)]
    binary_data: Option<bool>,
    #[serde(default)]
    classification: Option<u64>,
}

#[derive(Deserialize)]
struct RequestBody<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    parameters: Option<Object<RequestParameters>>,
    #[serde(borrow)]
    inputs: Vec<Object<JsonInput<'a>>>,
    #[serde(borrow, default)]
    outputs: Option<Vec<Object<RequestedOutput<'a>>>>,
}

#[derive(Default, Deserialize)]
struct RequestParameters {
    #[serde(default)]
    binary_data_output: Option<bool>,
}

#[derive(Deserialize)]
struct JsonInput<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    shape: Vec<i64>,
    datatype: Datatype,
    #[serde(default)]
    parameters: Option<Object<InputParameters>>,
    #[serde(borrow, default)]
    data: Option<JsonData<'a>>,
}

#[derive(Default, Deserialize)]
struct InputParameters {
    #[serde(default)]
    binary_data_size: Option<u64>,
}

#[cfg(feature = "grpc")]
impl<'a> RequestedOutput<'a> {
    /// The output `name`; with `classification`, that number of most probable classes.
    pub(crate) fn new(name: &'a str, classification: Option<u64>) -> Self {
        let parameters = OutputParameters { binary_data: None, classification };
        Self { name: Cow::Borrowed(name), parameters: Some(Object(parameters)) }
    }
}

impl RequestedOutput<'_> {
    /// Whether the output is binary, if the request says so.
    pub(crate) fn is_binary(&self) -> Option<bool> {
        self.parameters.as_ref()?.0.binary_data
    }

    /// How many of the most probable classes the output lists.
    pub(crate) fn classification(&self) -> Option<u64> {
        self.parameters.as_ref()?.0.classification.filter(|count| *count > 0)
    }
}

impl<'a> Request<'a> {
    /// The request in `body`; 400 if it does not follow the protocol, or a tensor does not fit its own shape and type.
    pub(crate) fn read(headers: &HeaderMap, body: &'a [u8]) -> Result<Self, Refusal> {
        let (json, mut binary) = split(headers, body)?;
        let Object::<RequestBody<'a>>(body) = serde_json::from_slice(json)
            .map_err(|error| Refusal::bad(format!("the body is not an inference request: {error}")))?;
        let mut inputs: Vec<Tensor<'a>> = Vec::with_capacity(body.inputs.len());
        for Object(input) in body.inputs {
            inputs.push(input.tensor(&mut binary)?);
        }
        if !binary.is_empty() {
            let found = format!("{} bytes more", binary.len());
            return Err(Refusal::at("the body", "no bytes after the last binary tensor", found));
        }
        let is_binary = body.parameters.and_then(|parameters| parameters.0.binary_data_output);
        let outputs = body.outputs.map(|outputs| outputs.into_iter().map(|Object(output)| output).collect());
        Ok(Self { id: body.id, inputs, outputs, is_binary: is_binary.unwrap_or(false) })
    }
}

/// Splits `body` into its JSON and the bytes after it.
fn split<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Refusal> {
    let Some(length) = headers.get(JSON_LENGTH) else { return Ok((body, &[])) };
    let text = String::from_utf8_lossy(length.as_bytes());
    let at = text.parse().ok().and_then(|length: usize| body.split_at_checked(length));
    at.ok_or_else(|| {
        let expected = format!("a length within the body's {} bytes", body.len());
        Refusal::at("header Inference-Header-Content-Length", expected, quoted(&text))
    })
}

impl<'a> JsonInput<'a> {
    /// The tensor, with the values of its `data`, or with values that it takes from the beginning of `binary`.
    fn tensor(self, binary: &mut &'a [u8]) -> Result<Tensor<'a>, Refusal> {
        let Self { name, shape, datatype, parameters, data } = self;
        let size = parameters.and_then(|parameters| parameters.0.binary_data_size);
        let place = format_args!("input {}", quoted(&name)).to_string();
        match (data, size) {
            (Some(data), None) => Tensor::from_json(TensorHeader { name, datatype, shape }, data),
            (None, Some(size)) => {
                let found = binary.len();
                let cut = usize::try_from(size).ok().and_then(|size| binary.split_at_checked(size));
                let (bytes, rest) = cut.ok_or_else(|| {
                    Refusal::at(
                        &place,
                        format!("{size} bytes (binary_data_size)"),
                        format!("{found} left in the body"),
                    )
                })?;
                *binary = rest;
                Tensor::from_binary(TensorHeader { name, datatype, shape }, bytes)
            }
            (Some(_), Some(_)) => Err(Refusal::at(place, "`data` or `binary_data_size`", "both")),
            (None, None) => Err(Refusal::at(place, "`data` or `binary_data_size`", "neither")),
        }
    }
}

/// The examples of a request.
pub(crate) struct Examples {
    pub(crate) split: Split,
    /// The remarks about the rows of a table.
    pub(crate) remarks: Option<Remarks>,
}

/// The examples in `tensors`, at most `most`; 400 if names, shapes or values do not fit the input of `model`.
pub(crate) fn examples(
    model: &ServedVersion,
    tensors: &[Tensor<'_>],
    most: usize,
) -> Result<Examples, Refusal> {
    match &model.input {
        ModelInput::Pictures(size) => pictures(model, *size, tensors, most),
        ModelInput::Rows(columns) => rows(columns, tensors, most),
    }
}

fn pictures(
    model: &ServedVersion,
    size: PictureSize,
    tensors: &[Tensor<'_>],
    most: usize,
) -> Result<Examples, Refusal> {
    let tensor = match tensors {
        [tensor] if tensor.name == PIXELS => tensor,
        _ => return Err(Refusal::at("inputs", format!("one, \"{PIXELS}\""), names(tensors))),
    };
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
    let wrong_pixel = |at: usize, found: String| {
        let expected = format!("whole numbers from 0 to {greatest}");
        let (row, place) = (at / size.pixels(), at % size.pixels());
        tensor.refusal_in_row(row, expected, format!("{found} at pixel {place}"))
    };
    let pixels = match &tensor.values {
        Values::Bytes(bytes) => match bytes.iter().position(|&pixel| pixel > greatest) {
            Some(at) => return Err(wrong_pixel(at, bytes[at].to_string())),
            None => bytes.to_vec(),
        },
        Values::Numbers(numbers) => {
            let is_pixel = |value: f64| value.fract() == 0.0 && (0.0..=f64::from(greatest)).contains(&value);
            match numbers.iter().position(|&value| !is_pixel(value)) {
                Some(at) => return Err(wrong_pixel(at, number_text(numbers[at]))),
                None => numbers.iter().map(|&value| value as u8).collect(),
            }
        }
        other => return Err(tensor.refusal("numbers", other.kind())),
    };
    let split = examples_of_pixels(pixels, model.trained.profile());
    let split = split.map_err(|error| Refusal::bad(error.to_string()))?;
    Ok(Examples { split, remarks: None })
}

/// A number in a message.
fn number_text(number: f64) -> String {
    if number.is_nan() { "NaN or null".to_owned() } else { number.to_string() }
}

fn rows(columns: &Columns, tensors: &[Tensor<'_>], most: usize) -> Result<Examples, Refusal> {
    if let [tensor] = tensors
        && tensor.name == MATRIX
        && columns.index_of(MATRIX).is_none()
        && columns.are_all_numbers()
    {
        return matrix(columns, tensor, most);
    }
    let mut given: Vec<Option<&Tensor<'_>>> = vec![None; columns.used.len()];
    for tensor in tensors {
        let Some(index) = columns.index_of(&tensor.name) else {
            let wanted = listed(columns.names(), 12);
            return Err(tensor.refusal(format!("one of the columns {wanted}"), "an unknown column"));
        };
        if given[index].replace(tensor).is_some() {
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
    let mut rows = RowBuffer::new(&columns.preparation);
    for row in 0..count {
        let value = |used: usize| value(&given[used].values, row);
        rows.push(value)
            .map_err(|error| given[error.used].refusal_in_row(row, error.expected, error.found))?;
    }
    Ok(finished(rows))
}

/// Rows in one matrix of shape [rows, used columns].
fn matrix(columns: &Columns, tensor: &Tensor<'_>, most: usize) -> Result<Examples, Refusal> {
    let width = columns.used.len();
    let count = match tensor.shape[..] {
        [count, found] if found == width => count,
        _ => return Err(tensor.refusal(format!("shape [rows, {width}]"), format!("{:?}", tensor.shape))),
    };
    if matches!(tensor.values, Values::Texts(_) | Values::Booleans(_)) {
        return Err(tensor.refusal("numbers", tensor.values.kind()));
    }
    check_rows(count, most)?;
    let mut rows = RowBuffer::new(&columns.preparation);
    for row in 0..count {
        rows.push(|used| value(&tensor.values, row * width + used)).map_err(|error| {
            let expected = format!("{} in column {}", error.expected, quoted(&error.column));
            tensor.refusal_in_row(row, expected, error.found)
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

fn finished(rows: RowBuffer) -> Examples {
    let (split, remarks) = rows.finish();
    Examples { split, remarks: Some(remarks) }
}

/// 413 if a request has more than `most` rows.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn with_length(length: &str) -> HeaderMap {
        HeaderMap::from_iter([(JSON_LENGTH, length.parse().unwrap())])
    }

    #[test]
    fn binary_tensors_follow_each_other_after_the_json() {
        let json = br#"{"id":"7","inputs":[
            {"name":"a","shape":[2],"datatype":"UINT8","parameters":{"binary_data_size":2}},
            {"name":"b","shape":[1],"datatype":"FP32","data":[1.5]},
            {"name":"c","shape":[1],"datatype":"INT16","parameters":{"binary_data_size":2}}],
            "parameters":{"binary_data_output":true}}"#;
        let body = [&json[..], &[3, 4, 1, 1]].concat();
        let request = Request::read(&with_length(&json.len().to_string()), &body).unwrap();
        assert_eq!((request.id.as_deref(), request.is_binary), (Some("7"), true));
        assert_eq!(request.inputs[0].values, Values::Bytes(&[3, 4]));
        assert_eq!(request.inputs[2].values, Values::Numbers(vec![257.0]));
        for length in ["", "-1", "x", "99999", "18446744073709551616"] {
            let refusal = Request::read(&with_length(length), &body).unwrap_err();
            assert!(refusal.message.contains("Inference-Header-Content-Length"), "{}", refusal.message);
        }
        let cut = Request::read(&with_length(&json.len().to_string()), &body[..body.len() - 1]).unwrap_err();
        assert_eq!(cut.message, "input \"c\": expected 2 bytes (binary_data_size), found 1 left in the body");
        let longer = [&body[..], &[0]].concat();
        assert!(Request::read(&with_length(&json.len().to_string()), &longer).is_err());
    }

    #[test]
    fn invalid_requests_are_refused_with_a_reason() {
        for (body, wanted) in [
            ("", "EOF while parsing"),
            ("[]", "not an inference request"),
            ("{}", "missing field `inputs`"),
            (r#"{"inputs":[{"name":"a","shape":[1],"datatype":"FP8","data":[1]}]}"#, "unknown variant `FP8`"),
            (r#"{"inputs":[{"name":"a","shape":[1.5],"datatype":"FP32","data":[1]}]}"#, "expected i64"),
            (
                r#"{"inputs":[{"name":"a","shape":[1],"datatype":"FP32"}]}"#,
                "expected `data` or `binary_data_size`, found neither",
            ),
        ] {
            let message = Request::read(&HeaderMap::new(), body.as_bytes()).unwrap_err().message;
            assert!(message.contains(wanted), "{message}");
        }
    }
}

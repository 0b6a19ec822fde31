//! The body of an inference request: JSON, and after it the tensors that come in binary.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName};
use kiln_table::quoted;
use serde::Deserialize;

use crate::datatype::Datatype;
use crate::flat::Flat;
use crate::object::Object;
use crate::refusal::Refusal;
use crate::tensor::{Head, Tensor};

/// Says how long the JSON is before binary tensors.
pub(crate) const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// An inference request.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) inputs: Vec<Tensor<'a>>,
    /// Which outputs are asked for; none asks for all.
    pub(crate) outputs: Option<Vec<OutputAsked<'a>>>,
    /// Whether outputs come in binary that say nothing of it.
    pub(crate) is_binary: bool,
}

/// An output that is asked for.
#[derive(Debug, Deserialize)]
pub(crate) struct OutputAsked<'a> {
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
struct Body<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    parameters: Option<Object<RequestParameters>>,
    #[serde(borrow)]
    inputs: Vec<Object<Input<'a>>>,
    #[serde(borrow, default)]
    outputs: Option<Vec<Object<OutputAsked<'a>>>>,
}

#[derive(Default, Deserialize)]
struct RequestParameters {
    #[serde(default)]
    binary_data_output: Option<bool>,
}

#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    shape: Vec<i64>,
    datatype: Datatype,
    #[serde(default)]
    parameters: Option<Object<InputParameters>>,
    #[serde(borrow, default)]
    data: Option<Flat<'a>>,
}

#[derive(Default, Deserialize)]
struct InputParameters {
    #[serde(default)]
    binary_data_size: Option<u64>,
}

#[cfg(feature = "grpc")]
impl<'a> OutputAsked<'a> {
    /// The output `name`, or so many of the most probable classes in its place.
    pub(crate) fn new(name: &'a str, classification: Option<u64>) -> Self {
        let parameters = OutputParameters { binary_data: None, classification };
        Self { name: Cow::Borrowed(name), parameters: Some(Object(parameters)) }
    }
}

impl OutputAsked<'_> {
    /// Whether it is to come in binary, where it says so.
    pub(crate) fn is_binary(&self) -> Option<bool> {
        self.parameters.as_ref()?.0.binary_data
    }

    /// How many of the most probable classes it is to name.
    pub(crate) fn classification(&self) -> Option<u64> {
        self.parameters.as_ref()?.0.classification.filter(|count| *count > 0)
    }
}

impl<'a> Request<'a> {
    /// The request in `body`.
    ///
    /// # Errors
    /// Where it is not JSON of the protocol, or its tensors are not what they say of themselves.
    pub(crate) fn read(headers: &HeaderMap, body: &'a [u8]) -> Result<Self, Refusal> {
        let (json, mut binary) = split(headers, body)?;
        let Object::<Body<'a>>(body) = serde_json::from_slice(json)
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

/// The JSON of `body`, and what follows it.
fn split<'a>(headers: &HeaderMap, body: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Refusal> {
    let Some(length) = headers.get(JSON_LENGTH) else { return Ok((body, &[])) };
    let text = String::from_utf8_lossy(length.as_bytes());
    let at = text.parse().ok().and_then(|length: usize| body.split_at_checked(length));
    at.ok_or_else(|| {
        let expected = format!("a length within the body's {} bytes", body.len());
        Refusal::at("header Inference-Header-Content-Length", expected, quoted(&text))
    })
}

impl<'a> Input<'a> {
    /// The tensor; its values stand in its `data`, or at the beginning of `binary`, which is then cut.
    fn tensor(self, binary: &mut &'a [u8]) -> Result<Tensor<'a>, Refusal> {
        let Self { name, shape, datatype, parameters, data } = self;
        let size = parameters.and_then(|parameters| parameters.0.binary_data_size);
        let place = format_args!("input {}", quoted(&name)).to_string();
        match (data, size) {
            (Some(data), None) => Tensor::of_json(Head { name, datatype, shape }, data),
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
                Tensor::of_binary(Head { name, datatype, shape }, bytes)
            }
            (Some(_), Some(_)) => Err(Refusal::at(place, "`data` or `binary_data_size`", "both")),
            (None, None) => Err(Refusal::at(place, "`data` or `binary_data_size`", "neither")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flat::Values;

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
    fn requests_that_are_none_are_refused_with_a_reason() {
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

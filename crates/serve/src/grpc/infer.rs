//! `ModelInfer`: tensors as they come, and answers as raw bytes.

use std::borrow::Cow;
use std::sync::Arc;

use kiln_table::quoted;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as PlainError;

use crate::datatype::Datatype;
use crate::flat::{Flat, Values};
use crate::model::Model;
use crate::protocol::{Asked, OutputAsked, answered, check_finite, examples, wanted};
use crate::refusal::Refusal;
use crate::state::Server;
use crate::tensor::{Head, Tensor};
use crate::work::{Place, Size};

use super::messages::{self, Choice, Contents, InferRequest, InferResponse, InputTensor, TensorMetadata};

/// What `model` answers to `request`.
///
/// # Errors
/// As over HTTP.
pub(super) async fn infer(
    server: &Server,
    model: &Arc<Model>,
    request: InferRequest,
    size: Size,
    place: Place,
) -> Result<InferResponse, Refusal> {
    let limits = server.limits;
    let read = move |model: &Model| {
        let outputs = request.outputs.iter();
        let outputs: Vec<OutputAsked<'_>> = outputs
            .map(|output| Ok(OutputAsked::new(&output.name, classification(output)?)))
            .collect::<Result<_, Refusal>>()?;
        let wanted = wanted(Some(&outputs), true)?;
        let examples = examples(model, &tensors(&request)?, limits.rows)?;
        Ok(Asked { id: Some(request.id), examples, wanted })
    };
    answered(model, place, size, read, |model, answers, asked| {
        check_finite(answers)?;
        let mut response = InferResponse {
            model_name: model.name.clone(),
            model_version: model.version.clone(),
            id: asked.id.clone().unwrap_or_default(),
            ..InferResponse::default()
        };
        for wanted in &asked.wanted {
            let output = wanted.of(model, answers);
            let mut bytes = Vec::new();
            output.data.write(&mut bytes);
            let shape = output.shape.iter().filter_map(|&length| i64::try_from(length).ok()).collect();
            let (name, datatype) = (output.name.to_owned(), output.datatype.to_owned());
            response.outputs.push(TensorMetadata { name, datatype, shape });
            response.raw_output_contents.push(bytes);
        }
        Ok(response)
    })
    .await
}

fn classification(output: &messages::OutputAsked) -> Result<Option<u64>, Refusal> {
    let Some(asked) = output.parameters.get("classification") else { return Ok(None) };
    let count = match asked.choice.as_ref() {
        Some(Choice::Int64(count)) => u64::try_from(*count).ok(),
        Some(Choice::Uint64(count)) => Some(*count),
        _ => None,
    };
    let place = || format!("output {}", quoted(&output.name));
    count.map(Some).ok_or_else(|| Refusal::at(place(), "classification as a whole number", "something else"))
}

/// The tensors, whose values stand in them or, for all, in raw bytes beside them.
fn tensors(request: &InferRequest) -> Result<Vec<Tensor<'_>>, Refusal> {
    let (count, raw) = (request.inputs.len(), &request.raw_input_contents);
    if raw.is_empty() {
        return request.inputs.iter().map(of_contents).collect();
    }
    if raw.len() != count || request.inputs.iter().any(|input| input.contents.is_some()) {
        let expected = format!("one for each of {count} inputs, and no `contents` in them");
        return Err(Refusal::at("raw_input_contents", expected, raw.len()));
    }
    request.inputs.iter().zip(raw).map(|(input, bytes)| Tensor::of_binary(head(input)?, bytes)).collect()
}

fn head(input: &InputTensor) -> Result<Head<'_>, Refusal> {
    let name: &str = &input.datatype;
    let datatype = Datatype::deserialize(IntoDeserializer::<PlainError>::into_deserializer(name));
    let datatype = datatype
        .map_err(|error| Refusal::bad(format!("input {}: datatype: {error}", quoted(&input.name))))?;
    Ok(Head { name: Cow::Borrowed(&input.name), datatype, shape: input.shape.clone() })
}

fn of_contents(input: &InputTensor) -> Result<Tensor<'_>, Refusal> {
    let head = head(input)?;
    let place = || format!("input {}", quoted(&input.name));
    let contents = input.contents.as_ref();
    let contents =
        contents.ok_or_else(|| Refusal::at(place(), "`contents` or `raw_input_contents`", "neither"))?;
    let values = values(contents, head.datatype)
        .map_err(|text| Refusal::at(place(), format!("text {text} in UTF-8"), "other bytes"))?;
    let lengths = vec![values.len()];
    Tensor::of_json(head, Flat { values, lengths })
}

/// The values of the field that the protocol has for tensors of this type; the number of a text that is none.
fn values(contents: &Contents, datatype: Datatype) -> Result<Values<'_>, usize> {
    Ok(match datatype {
        Datatype::Bool => Values::Booleans(contents.bools.clone()),
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => numbers(&contents.ints, |&value| value.into()),
        Datatype::Int64 => numbers(&contents.long_ints, |&value| value as f64),
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => {
            numbers(&contents.uints, |&value| value.into())
        }
        Datatype::Uint64 => numbers(&contents.long_uints, |&value| value as f64),
        Datatype::Fp16 | Datatype::Fp32 => numbers(&contents.floats, |&value| value.into()),
        Datatype::Fp64 => numbers(&contents.doubles, |&value| value),
        Datatype::Bytes => {
            let text =
                |(at, bytes)| str::from_utf8(bytes).map(|text| Some(Cow::Borrowed(text))).map_err(|_| at);
            Values::Texts(
                contents.bytes.iter().map(Vec::as_slice).enumerate().map(text).collect::<Result<_, _>>()?,
            )
        }
    })
}

fn numbers<'a, T>(values: &[T], number: impl Fn(&T) -> f64) -> Values<'a> {
    Values::Numbers(values.iter().map(number).collect())
}

//! The answer to an inference request: JSON, and after it the tensors that were asked for in binary.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use kiln::Answers;
use kiln_table::quoted;
use serde::Serialize;

use crate::model::Model;
use crate::protocol::infer::Asked;
use crate::protocol::request::{JSON_LENGTH, OutputAsked};
use crate::refusal::{Refusal, json_response};

/// The outputs that every model has.
pub(crate) const OUTPUTS: [&str; 3] = ["probabilities", "label", "class"];

/// An output as it is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    what: What,
    is_binary: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Probabilities,
    Label,
    Class,
    /// The most probable classes, so many.
    Top(usize),
}

#[derive(Serialize)]
struct Body<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<Output<'a>>,
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'static str,
    datatype: &'static str,
    shape: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

/// An output of an answer.
pub(crate) struct Answered<'a> {
    pub(crate) name: &'static str,
    pub(crate) datatype: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Data<'a>,
}

#[derive(Serialize)]
struct Parameters {
    binary_data_size: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Data<'a> {
    Numbers(&'a [f32]),
    Classes(&'a [u32]),
    Names(Vec<&'a str>),
    Texts(Vec<String>),
}

/// The outputs that `asked` asks for; all without. Those that do not say how come in binary where `is_binary`.
///
/// # Errors
/// Where an output does not exist, is asked for twice, or has no most probable classes.
pub(crate) fn wanted(asked: Option<&[OutputAsked<'_>]>, is_binary: bool) -> Result<Vec<Wanted>, Refusal> {
    // An empty list asks for all, as no list does: some clients write one.
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
        let all = [What::Probabilities, What::Label, What::Class];
        return Ok(all.into_iter().map(|what| Wanted { what, is_binary }).collect());
    };
    let mut wanted: Vec<Wanted> = Vec::new();
    for output in asked {
        let place = || format!("output {}", quoted(&output.name));
        let what = match (&*output.name, output.classification()) {
            ("probabilities", None) => What::Probabilities,
            ("probabilities", Some(count)) => What::Top(usize::try_from(count).unwrap_or(usize::MAX)),
            ("label", None) => What::Label,
            ("class", None) => What::Class,
            ("label" | "class", Some(_)) => {
                let expected = "classification of \"probabilities\" alone";
                return Err(Refusal::at(place(), expected, "classification"));
            }
            _ => return Err(Refusal::at(place(), OUTPUTS.map(quoted).join(", "), "no such output")),
        };
        let is_binary = output.is_binary().unwrap_or(is_binary);
        if wanted.iter().any(|other| other.what.name() == what.name()) {
            return Err(Refusal::at(place(), "each output once", "it twice"));
        }
        wanted.push(Wanted { what, is_binary });
    }
    Ok(wanted)
}

/// The answer that `model` gives.
///
/// # Errors
/// Where a probability is not a finite number, which JSON cannot have and nobody can use.
pub(crate) fn respond(model: &Model, answers: &Answers, asked: &Asked) -> Result<Response, Refusal> {
    check_finite(answers)?;
    let mut binary = Vec::new();
    let outputs = asked.wanted.iter().map(|wanted| {
        let Answered { name, datatype, shape, data } = wanted.of(model, answers);
        let before = binary.len();
        let data = if wanted.is_binary {
            data.write(&mut binary);
            None
        } else {
            Some(data)
        };
        let parameters = data.is_none().then(|| Parameters { binary_data_size: binary.len() - before });
        Output { name, datatype, shape, parameters, data }
    });
    let outputs = outputs.collect();
    let id = asked.id.as_deref();
    let body = Body { model_name: &model.name, model_version: &model.version, id, outputs };
    let mut json = serde_json::to_vec(&body).map_err(|error| Refusal::internal(error.to_string()))?;
    if !asked.wanted.iter().any(|output| output.is_binary) {
        return Ok(json_response(json));
    }
    let length = HeaderValue::from(json.len());
    json.extend_from_slice(&binary);
    let kind = HeaderValue::from_static("application/octet-stream");
    Ok(([(header::CONTENT_TYPE, kind), (JSON_LENGTH, length)], json).into_response())
}

/// That all probabilities are numbers.
///
/// # Errors
/// Where one is not.
pub(crate) fn check_finite(answers: &Answers) -> Result<(), Refusal> {
    if answers.probabilities.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(Refusal::internal("the network gave a probability that is not a number: its training diverged"))
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Probabilities | Self::Top(_) => OUTPUTS[0],
            Self::Label => OUTPUTS[1],
            Self::Class => OUTPUTS[2],
        }
    }
}

impl Wanted {
    /// The output as `model` answers.
    pub(crate) fn of<'a>(self, model: &'a Model, answers: &'a Answers) -> Answered<'a> {
        let Answers { classes, probabilities } = answers;
        let (names, rows) = (model.classes(), classes.len());
        let (datatype, shape, data) = match self.what {
            What::Probabilities => ("FP32", vec![rows, names.len()], Data::Numbers(probabilities)),
            What::Label => ("INT64", vec![rows], Data::Classes(classes)),
            What::Class => {
                let of = |class: &u32| &*names[*class as usize];
                ("BYTES", vec![rows], Data::Names(classes.iter().map(of).collect()))
            }
            What::Top(count) => {
                let count = count.min(names.len());
                let rows_of = probabilities.chunks_exact(names.len());
                let texts = rows_of.flat_map(|row| top(row, names, count)).collect();
                ("BYTES", vec![rows, count], Data::Texts(texts))
            }
        };
        Answered { name: self.what.name(), datatype, shape, data }
    }
}

/// The `count` most probable classes, each as `value:index:label`, as Triton's classification extension has it.
fn top(row: &[f32], names: &[String], count: usize) -> Vec<String> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&left, &right| row[right].total_cmp(&row[left]));
    order.into_iter().take(count).map(|class| format!("{}:{class}:{}", row[class], names[class])).collect()
}

impl Data<'_> {
    /// Little-endian; a text with its length before it in 4 bytes.
    pub(crate) fn write(&self, binary: &mut Vec<u8>) {
        let text = |binary: &mut Vec<u8>, text: &str| {
            binary.extend_from_slice(&(text.len() as u32).to_le_bytes());
            binary.extend_from_slice(text.as_bytes());
        };
        match self {
            Self::Numbers(numbers) => binary.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
            Self::Classes(classes) => {
                binary.extend(classes.iter().flat_map(|&class| i64::from(class).to_le_bytes()));
            }
            Self::Names(names) => names.iter().for_each(|name| text(binary, name)),
            Self::Texts(texts) => texts.iter().for_each(|one| text(binary, one)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<Vec<Wanted>, String> {
        let asked: Vec<OutputAsked<'_>> = serde_json::from_str(text).unwrap();
        wanted(Some(&asked), true).map_err(|refusal| refusal.message)
    }

    #[test]
    fn outputs_are_those_that_are_asked_for() {
        let all = wanted(None, false).unwrap();
        assert_eq!(all.iter().map(|output| output.what.name()).collect::<Vec<_>>(), OUTPUTS);
        let some = asked(
            r#"[{"name":"label","parameters":{"binary_data":false}},
            {"name":"probabilities","parameters":{"classification":3}}]"#,
        );
        let [label, top] = some.unwrap()[..] else { panic!() };
        assert_eq!(label, Wanted { what: What::Label, is_binary: false });
        assert_eq!(top, Wanted { what: What::Top(3), is_binary: true });
        for (text, words) in [
            (r#"[{"name":"logits"}]"#, "\"probabilities\", \"label\", \"class\", found no such output"),
            (r#"[{"name":"label","parameters":{"classification":3}}]"#, "classification of"),
            (r#"[{"name":"class"},{"name":"class"}]"#, "found it twice"),
        ] {
            assert!(asked(text).unwrap_err().contains(words), "{text}");
        }
    }

    #[test]
    fn the_most_probable_classes_come_first_and_ties_in_their_order() {
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(top(&[0.25, 0.5, 0.25], &names, 2), ["0.5:1:b", "0.25:0:a"]);
    }
}

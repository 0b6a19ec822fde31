//! The Open Inference Protocol v2, with Triton's extensions for binary tensors and classification: inference with its
//! outputs, and metadata of the server and its models.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use kiln::UnlabelledPredictions;
use kiln_table::quoted;
use serde::Serialize;
use serde_json::{Value, json};

use crate::catalog::{Catalog, ModelInput, ServedVersion, UsedColumn};
use crate::infer_request::{Examples, JSON_LENGTH, MATRIX, PIXELS, Request, RequestedOutput, examples};
use crate::request::{
    Received, Refusal, Slot, WorkSize, content_type, json_response, receive, run_work, wrong_type,
};
use crate::router::{Target, counted_for};
use crate::server::Server;

/// The names of the outputs of every model.
pub(crate) const OUTPUTS: [&str; 3] = ["probabilities", "label", "class"];

/// A checked inference request.
pub(crate) struct InferenceTask {
    pub(crate) id: Option<String>,
    pub(crate) examples: Examples,
    pub(crate) outputs: Vec<OutputSpec>,
}

/// `POST /v2/models/{model}/infer`.
pub(crate) async fn infer(
    State(server): State<Arc<Server>>,
    target: Target,
    request: HttpRequest,
) -> Result<Response, Refusal> {
    let model = Arc::clone(server.catalog().find(&target.model, target.version.as_deref())?);
    let answer = answer(&server, &model, request).await;
    Ok(counted_for(&model, answer))
}

async fn answer(
    server: &Server,
    model: &Arc<ServedVersion>,
    request: HttpRequest,
) -> Result<Response, Refusal> {
    let limits = server.limits;
    let Received { parts, body, slot } = receive(request, &limits).await?;
    let kind = content_type(&parts.headers);
    if !matches!(&*kind, "" | "application/json" | "application/octet-stream") {
        return Err(wrong_type("application/json, or application/octet-stream for binary tensors", &kind));
    }
    let size = WorkSize::of_body(body.len());
    let read = move |model: &ServedVersion| {
        let request = Request::read(&parts.headers, &body)?;
        let outputs = requested_outputs(request.outputs.as_deref(), request.is_binary)?;
        let examples = examples(model, &request.inputs, limits.rows)?;
        Ok(InferenceTask { id: request.id.map(Cow::into_owned), examples, outputs })
    };
    run_inference(model, slot, size, read, respond).await
}

/// Runs `read`, which is work of `size`, predicts the examples that it returns, and formats the answers with `write`.
pub(crate) async fn run_inference<T: Send + 'static>(
    model: &Arc<ServedVersion>,
    slot: Slot,
    size: WorkSize,
    read: impl FnOnce(&ServedVersion) -> Result<InferenceTask, Refusal> + Send + 'static,
    write: impl FnOnce(&ServedVersion, &UnlabelledPredictions, &InferenceTask) -> Result<T, Refusal>
    + Send
    + 'static,
) -> Result<T, Refusal> {
    let reader = Arc::clone(model);
    let task = run_work(size, slot.clone(), move || read(&reader)).await?;
    let rows = task.examples.split.len();
    let (answering, size) = (Arc::clone(model), WorkSize::of_rows(rows, model.weights));
    let (answer, remarks) = run_work(size, slot, move || {
        let answers = answering.trained.predict_unlabelled(&task.examples.split);
        Ok((write(&answering, &answers, &task)?, task.examples.remarks))
    })
    .await?;
    model.count_rows(rows, 0, remarks.as_ref());
    Ok(answer)
}

/// A requested output and its format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutputSpec {
    content: OutputContent,
    is_binary: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OutputContent {
    Probabilities,
    Label,
    Class,
    /// This number of most probable classes.
    Top(usize),
}

#[derive(Serialize)]
struct ResponseBody<'a> {
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
    data: Option<OutputData<'a>>,
}

/// An output with its values.
pub(crate) struct OutputTensor<'a> {
    pub(crate) name: &'static str,
    pub(crate) datatype: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: OutputData<'a>,
}

#[derive(Serialize)]
struct Parameters {
    binary_data_size: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum OutputData<'a> {
    Numbers(&'a [f32]),
    Classes(&'a [u32]),
    Names(Vec<&'a str>),
    Texts(Vec<String>),
}

/// The outputs in the list `requested`, or all outputs without a list; `is_binary` is the default format. 400 if an output
/// does not exist or occurs twice, or if a classification is requested of another output than `probabilities`.
pub(crate) fn requested_outputs(
    requested: Option<&[RequestedOutput<'_>]>,
    is_binary: bool,
) -> Result<Vec<OutputSpec>, Refusal> {
    // Some clients send an empty list to request all outputs.
    let Some(requested) = requested.filter(|requested| !requested.is_empty()) else {
        let all = [OutputContent::Probabilities, OutputContent::Label, OutputContent::Class];
        return Ok(all.into_iter().map(|content| OutputSpec { content, is_binary }).collect());
    };
    let mut specs: Vec<OutputSpec> = Vec::new();
    for output in requested {
        let place = || format!("output {}", quoted(&output.name));
        let content = match (&*output.name, output.classification()) {
            ("probabilities", None) => OutputContent::Probabilities,
            ("probabilities", Some(count)) => {
                OutputContent::Top(usize::try_from(count).unwrap_or(usize::MAX))
            }
            ("label", None) => OutputContent::Label,
            ("class", None) => OutputContent::Class,
            ("label" | "class", Some(_)) => {
                let expected = "classification only for \"probabilities\"";
                return Err(Refusal::at(place(), expected, "classification"));
            }
            _ => {
                let expected = format!("one of {}", OUTPUTS.map(quoted).join(", "));
                return Err(Refusal::at(place(), expected, "an unknown output"));
            }
        };
        let is_binary = output.is_binary().unwrap_or(is_binary);
        if specs.iter().any(|other| other.content.name() == content.name()) {
            return Err(Refusal::at(place(), "each output once", "it twice"));
        }
        specs.push(OutputSpec { content, is_binary });
    }
    Ok(specs)
}

/// The response with the requested outputs: JSON, followed by the binary tensors.
fn respond(
    model: &ServedVersion,
    answers: &UnlabelledPredictions,
    task: &InferenceTask,
) -> Result<Response, Refusal> {
    check_finite(answers)?;
    let mut binary = Vec::new();
    let outputs = task.outputs.iter().map(|output| {
        let OutputTensor { name, datatype, shape, data } = output.of(model, answers);
        let before = binary.len();
        let data = if output.is_binary {
            data.write(&mut binary);
            None
        } else {
            Some(data)
        };
        let parameters = data.is_none().then(|| Parameters { binary_data_size: binary.len() - before });
        Output { name, datatype, shape, parameters, data }
    });
    let outputs = outputs.collect();
    let id = task.id.as_deref();
    let body = ResponseBody { model_name: &model.name, model_version: &model.version, id, outputs };
    let mut json = serde_json::to_vec(&body).map_err(|error| Refusal::internal(error.to_string()))?;
    if !task.outputs.iter().any(|output| output.is_binary) {
        return Ok(json_response(json));
    }
    let length = HeaderValue::from(json.len());
    json.extend_from_slice(&binary);
    let kind = HeaderValue::from_static("application/octet-stream");
    Ok(([(header::CONTENT_TYPE, kind), (JSON_LENGTH, length)], json).into_response())
}

/// 500 if a probability is non-finite: JSON has no such numbers, and they are of no use.
pub(crate) fn check_finite(answers: &UnlabelledPredictions) -> Result<(), Refusal> {
    if answers.probabilities.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(Refusal::internal("the network returned a non-finite probability: its training diverged"))
}

impl OutputContent {
    fn name(self) -> &'static str {
        match self {
            Self::Probabilities | Self::Top(_) => OUTPUTS[0],
            Self::Label => OUTPUTS[1],
            Self::Class => OUTPUTS[2],
        }
    }
}

impl OutputSpec {
    /// The output with the values in `answers` of `model`.
    pub(crate) fn of<'a>(
        self,
        model: &'a ServedVersion,
        answers: &'a UnlabelledPredictions,
    ) -> OutputTensor<'a> {
        let UnlabelledPredictions { classes, probabilities } = answers;
        let (names, rows) = (model.classes(), classes.len());
        let (datatype, shape, data) = match self.content {
            OutputContent::Probabilities => {
                ("FP32", vec![rows, names.len()], OutputData::Numbers(probabilities))
            }
            OutputContent::Label => ("INT64", vec![rows], OutputData::Classes(classes)),
            OutputContent::Class => {
                let of = |class: &u32| &*names[*class as usize];
                ("BYTES", vec![rows], OutputData::Names(classes.iter().map(of).collect()))
            }
            OutputContent::Top(count) => {
                let count = count.min(names.len());
                let rows_of = probabilities.chunks_exact(names.len());
                let texts = rows_of.flat_map(|row| top(row, names, count)).collect();
                ("BYTES", vec![rows, count], OutputData::Texts(texts))
            }
        };
        OutputTensor { name: self.content.name(), datatype, shape, data }
    }
}

/// The `count` most probable classes, each as `value:index:label`, the format of Triton's classification extension.
fn top(row: &[f32], names: &[String], count: usize) -> Vec<String> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&left, &right| row[right].total_cmp(&row[left]));
    order.into_iter().take(count).map(|class| format!("{}:{class}:{}", row[class], names[class])).collect()
}

impl OutputData<'_> {
    /// Appends the values: little-endian, each text after its length in 4 bytes.
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

/// The answer of `GET /v2`.
#[derive(Serialize)]
pub(crate) struct ServerMetadata {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) extensions: Vec<&'static str>,
}

/// The answer of `GET /v2/models/{model}`.
#[derive(Serialize)]
pub(crate) struct ModelMetadata<'a> {
    pub(crate) name: &'a str,
    pub(crate) versions: Vec<&'a str>,
    pub(crate) platform: &'static str,
    pub(crate) inputs: Vec<TensorMetadata<'a>>,
    pub(crate) outputs: Vec<TensorMetadata<'a>>,
    parameters: ModelParameters<'a>,
}

/// A tensor of a model. The first length of its shape is -1, for any number of rows.
#[derive(Serialize)]
pub(crate) struct TensorMetadata<'a> {
    pub(crate) name: &'a str,
    pub(crate) datatype: &'static str,
    pub(crate) shape: Vec<i64>,
}

#[derive(Serialize)]
struct ModelParameters<'a> {
    classes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    greatest_pixel: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matrix_input: Option<&'static str>,
}

pub(crate) fn server_metadata(allow_reload: bool) -> ServerMetadata {
    let mut extensions = vec!["binary_tensor_data", "classification"];
    if allow_reload {
        extensions.push("model_repository");
    }
    ServerMetadata { name: "kiln", version: env!("CARGO_PKG_VERSION"), extensions }
}

pub(crate) fn model_metadata<'a>(catalog: &'a Catalog, model: &'a ServedVersion) -> ModelMetadata<'a> {
    let (inputs, greatest_pixel, matrix_input) = match &model.input {
        ModelInput::Pictures(size) => {
            let row = [size.channels, size.height, size.width];
            (vec![TensorMetadata::new(PIXELS, "UINT8", &row)], Some(size.greatest), None)
        }
        ModelInput::Rows(columns) => {
            let inputs = columns.used.iter().map(TensorMetadata::of_column).collect();
            (inputs, None, columns.are_all_numbers().then_some(MATRIX))
        }
    };
    let classes = model.classes();
    ModelMetadata {
        name: &model.name,
        versions: catalog.versions(&model.name).iter().map(|model| &*model.version).collect(),
        platform: "kiln_mlp",
        inputs,
        outputs: vec![
            TensorMetadata::new("probabilities", "FP32", &[classes.len()]),
            TensorMetadata::new("label", "INT64", &[]),
            TensorMetadata::new("class", "BYTES", &[]),
        ],
        parameters: ModelParameters { classes, greatest_pixel, matrix_input },
    }
}

impl<'a> TensorMetadata<'a> {
    fn new(name: &'a str, datatype: &'static str, row: &[usize]) -> Self {
        let lengths = row.iter().map(|&length| i64::try_from(length).unwrap_or(i64::MAX));
        Self { name, datatype, shape: std::iter::once(-1).chain(lengths).collect() }
    }

    fn of_column(column: &'a UsedColumn) -> Self {
        Self::new(&column.name, if column.is_number { "FP64" } else { "BYTES" }, &[1])
    }
}

/// `POST /v2/repository/index`.
pub(crate) fn index(catalog: &Catalog) -> Value {
    let versions = catalog.names().flat_map(|name| catalog.versions(name));
    let one = |model: &Arc<ServedVersion>| {
        let ServedVersion { name, version, .. } = &**model;
        json!({ "name": name, "version": version, "state": "READY", "reason": "" })
    };
    versions.map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<OutputSpec>, String> {
        let requested: Vec<RequestedOutput<'_>> = serde_json::from_str(text).unwrap();
        requested_outputs(Some(&requested), true).map_err(|refusal| refusal.message)
    }

    #[test]
    fn only_requested_outputs_are_returned() {
        let all = requested_outputs(None, false).unwrap();
        assert_eq!(all.iter().map(|output| output.content.name()).collect::<Vec<_>>(), OUTPUTS);
        let some = read(
            r#"[{"name":"label","parameters":{"binary_data":false}},
            {"name":"probabilities","parameters":{"classification":3}}]"#,
        );
        let [label, top] = some.unwrap()[..] else { panic!() };
        assert_eq!(label, OutputSpec { content: OutputContent::Label, is_binary: false });
        assert_eq!(top, OutputSpec { content: OutputContent::Top(3), is_binary: true });
        for (text, words) in [
            (r#"[{"name":"logits"}]"#, "\"probabilities\", \"label\", \"class\", found an unknown output"),
            (r#"[{"name":"label","parameters":{"classification":3}}]"#, "classification only for"),
            (r#"[{"name":"class"},{"name":"class"}]"#, "found it twice"),
        ] {
            assert!(read(text).unwrap_err().contains(words), "{text}");
        }
    }

    #[test]
    fn the_most_probable_classes_come_first_and_ties_keep_their_order() {
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(top(&[0.25, 0.5, 0.25], &names, 2), ["0.5:1:b", "0.25:0:a"]);
    }
}

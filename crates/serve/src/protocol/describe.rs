//! What the protocol says of the server and its models.

use serde::Serialize;
use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::model::{Model, Takes, UsedColumn};
use crate::protocol::examples::{MATRIX, PIXELS};

/// What the server says of itself.
#[derive(Serialize)]
pub(crate) struct ServerMetadata {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) extensions: Vec<&'static str>,
}

/// What the server says of a model.
#[derive(Serialize)]
pub(crate) struct ModelMetadata<'a> {
    pub(crate) name: &'a str,
    pub(crate) versions: Vec<&'a str>,
    pub(crate) platform: &'static str,
    pub(crate) inputs: Vec<TensorMetadata<'a>>,
    pub(crate) outputs: Vec<TensorMetadata<'a>>,
    parameters: ModelParameters<'a>,
}

/// A tensor of a model, with -1 for the number of rows.
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

/// `GET /v2`.
pub(crate) fn server_metadata(allow_reload: bool) -> ServerMetadata {
    let mut extensions = vec!["binary_tensor_data", "classification"];
    if allow_reload {
        extensions.push("model_repository");
    }
    ServerMetadata { name: "kiln", version: env!("CARGO_PKG_VERSION"), extensions }
}

/// `GET /v2/models/{model}`.
pub(crate) fn model_metadata<'a>(catalog: &'a Catalog, model: &'a Model) -> ModelMetadata<'a> {
    let (inputs, greatest_pixel, matrix_input) = match &model.takes {
        Takes::Pictures(size) => {
            let row = [size.channels, size.height, size.width];
            (vec![TensorMetadata::new(PIXELS, "UINT8", &row)], Some(size.greatest), None)
        }
        Takes::Rows(columns) => {
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
    let one = |model: &std::sync::Arc<Model>| json!({ "name": model.name, "version": model.version, "state": "READY", "reason": "" });
    versions.map(one).collect()
}

//! What the protocol says of the server and its models.

use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::model::{Model, Takes};
use crate::protocol::examples::{MATRIX, PIXELS};

/// `GET /v2`.
pub(crate) fn server_metadata(allow_reload: bool) -> Value {
    let mut extensions = vec!["binary_tensor_data", "classification"];
    if allow_reload {
        extensions.push("model_repository");
    }
    json!({ "name": "kiln", "version": env!("CARGO_PKG_VERSION"), "extensions": extensions })
}

/// `GET /v2/models/{model}`: its tensors, -1 for the number of rows.
pub(crate) fn model_metadata(catalog: &Catalog, model: &Model) -> Value {
    let versions: Vec<&str> = catalog.versions(&model.name).iter().map(|model| &*model.version).collect();
    let tensor = |name: &str, datatype: &str, row: &[usize]| {
        let shape: Vec<Value> =
            std::iter::once(json!(-1)).chain(row.iter().map(|&length| json!(length))).collect();
        json!({ "name": name, "datatype": datatype, "shape": shape })
    };
    let inputs: Vec<Value> = match &model.takes {
        Takes::Pictures(size) => {
            vec![tensor(PIXELS, "UINT8", &[size.channels, size.height, size.width])]
        }
        Takes::Rows(columns) => {
            let one = |column: &crate::model::UsedColumn| {
                tensor(&column.name, if column.is_number { "FP64" } else { "BYTES" }, &[1])
            };
            columns.used.iter().map(one).collect()
        }
    };
    let outputs = [
        tensor("probabilities", "FP32", &[model.classes().len()]),
        tensor("label", "INT64", &[]),
        tensor("class", "BYTES", &[]),
    ];
    let mut parameters = json!({ "classes": model.classes() });
    match &model.takes {
        Takes::Pictures(size) => parameters["greatest_pixel"] = size.greatest.into(),
        Takes::Rows(columns) if columns.are_all_numbers() => parameters["matrix_input"] = MATRIX.into(),
        Takes::Rows(_) => {}
    }
    json!({
        "name": model.name,
        "versions": versions,
        "platform": "kiln_mlp",
        "inputs": inputs,
        "outputs": outputs,
        "parameters": parameters,
    })
}

/// `POST /v2/repository/index`.
pub(crate) fn index(catalog: &Catalog) -> Value {
    let versions = catalog.names().flat_map(|name| catalog.versions(name));
    let one = |model: &std::sync::Arc<Model>| json!({ "name": model.name, "version": model.version, "state": "READY", "reason": "" });
    versions.map(one).collect()
}

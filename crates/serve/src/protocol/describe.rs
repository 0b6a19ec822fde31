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
    let tensor = |name: &str, datatype: &str, shape: &[i64]| json!({ "name": name, "datatype": datatype, "shape": shape });
    let inputs: Vec<Value> = match &model.takes {
        Takes::Pictures(size) => {
            let shape = [-1, size.channels as i64, size.height as i64, size.width as i64];
            vec![tensor(PIXELS, "UINT8", &shape)]
        }
        Takes::Rows(columns) => {
            let one = |column: &crate::model::UsedColumn| {
                tensor(&column.name, if column.is_number { "FP64" } else { "BYTES" }, &[-1, 1])
            };
            columns.used.iter().map(one).collect()
        }
    };
    let outputs = [
        tensor("probabilities", "FP32", &[-1, model.classes().len() as i64]),
        tensor("label", "INT64", &[-1]),
        tensor("class", "BYTES", &[-1]),
    ];
    let mut parameters = json!({ "classes": model.classes() });
    match &model.takes {
        Takes::Pictures(size) => parameters["greatest_pixel"] = size.greatest.into(),
        Takes::Rows(columns) if columns.are_numbers() => parameters["matrix_input"] = MATRIX.into(),
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

//! What bodies hold, as JSON Schemas, with examples.

use serde_json::{Map, Value, json};

use crate::datatype::Datatype;
use crate::model::{Columns, Model, PictureSize, Takes};
use crate::protocol::{MATRIX, OUTPUTS, PIXELS};
use crate::settings::Limits;

/// The body of an inference request.
pub(super) fn infer_request(model: &Model, limits: &Limits) -> Value {
    let inputs = match &model.takes {
        Takes::Pictures(size) => pixels(*size, limits),
        Takes::Rows(columns) => tensors(columns, limits),
    };
    let parameters =
        |name: &str, kind: &Value| json!({ "type": ["object", "null"], "properties": { name: kind } });
    let mut of_output = parameters("binary_data", &json!({ "type": ["boolean", "null"] }));
    of_output["properties"]["classification"] = json!({
        "type": ["integer", "null"],
        "minimum": 0,
        "description": "Of `probabilities`: so many of the most probable classes, each as `value:index:label`",
    });
    let output = json!({
        "type": "object",
        "required": ["name"],
        "properties": { "name": { "enum": OUTPUTS }, "parameters": of_output },
    });
    json!({
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": { "type": ["string", "null"], "description": "Comes back with the answer" },
            "parameters": parameters("binary_data_output", &json!({ "type": ["boolean", "null"] })),
            "inputs": inputs,
            "outputs": { "type": ["array", "null"], "items": output, "description": "All without" },
        },
    })
}

fn pixels(size: PictureSize, limits: &Limits) -> Value {
    let PictureSize { channels, height, width, greatest } = size;
    let level = json!({ "type": "number", "minimum": 0, "maximum": greatest });
    let nested = json!({ "type": "array", "minItems": 1, "description": "Nested as `shape` says" });
    let flat = json!({ "type": "array", "items": level, "minItems": size.pixels() });
    let numbers = Datatype::NAMES.iter().filter(|name| !["BOOL", "BYTES"].contains(name));
    let shape = json!({
        "type": "array",
        "items": { "type": "integer", "minimum": 1 },
        "minItems": 2,
        "maxItems": 4,
        "description": format!(
            "[pictures, {channels}, {height}, {width}] or [pictures, {}]; {} pictures at most",
            size.pixels(), limits.rows
        ),
    });
    let tensor = json!({
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": { "const": PIXELS },
            "shape": shape,
            "datatype": { "enum": numbers.collect::<Vec<_>>() },
            "data": { "anyOf": [flat, nested] },
        },
    });
    json!({ "type": "array", "items": tensor, "minItems": 1, "maxItems": 1 })
}

fn tensors(columns: &Columns, limits: &Limits) -> Value {
    let mut names: Vec<&str> = columns.names().collect();
    let mut fewest = names.len();
    if columns.are_all_numbers() {
        names.push(MATRIX);
        fewest = 1;
    }
    let tensor = json!({
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": { "enum": names },
            "shape": {
                "type": "array",
                "items": { "type": "integer", "minimum": 1 },
                "minItems": 1,
                "description": format!("[rows, 1] or [rows]; {} rows at most", limits.rows),
            },
            "datatype": { "enum": Datatype::NAMES },
            "data": { "type": "array", "minItems": 1, "description": "null, NaN and \"\" stand for no value" },
        },
    });
    json!({ "type": "array", "items": tensor, "minItems": fewest, "maxItems": columns.used.len() })
}

/// An inference request about one row.
pub(super) fn infer_example(model: &Model) -> Value {
    let inputs: Vec<Value> = match &model.takes {
        Takes::Pictures(size) => {
            let shape = [1, size.channels, size.height, size.width];
            vec![json!({ "name": PIXELS, "datatype": "UINT8", "shape": shape, "data": vec![0; size.pixels()] })]
        }
        Takes::Rows(columns) => columns
            .used
            .iter()
            .map(|column| {
                let datatype = if column.is_number { "FP64" } else { "BYTES" };
                json!({ "name": column.name, "datatype": datatype, "shape": [1, 1], "data": [value(column.is_number)] })
            })
            .collect(),
    };
    json!({ "id": "1", "inputs": inputs })
}

fn value(is_number: bool) -> Value {
    if is_number { json!(0) } else { json!("") }
}

/// The bodies with rows of a table.
pub(super) fn row_bodies(columns: &Columns) -> Value {
    let cell = |is_number: bool| {
        if is_number {
            json!({ "type": ["number", "string", "null"], "description": "a string is a number as text" })
        } else {
            json!({ "type": ["number", "string", "boolean", "null"] })
        }
    };
    let properties: Map<String, Value> =
        columns.used.iter().map(|column| (column.name.clone(), cell(column.is_number))).collect();
    let row = json!({ "type": "object", "required": columns.names().collect::<Vec<_>>(), "properties": properties });
    let rows = json!({ "type": "array", "minItems": 1 });
    let named = json!({ "type": "object", "required": ["rows"], "properties": { "rows": rows } });
    let example: Map<String, Value> =
        columns.used.iter().map(|column| (column.name.clone(), value(column.is_number))).collect();
    json!({ "application/json": { "schema": { "anyOf": [named, rows, row] }, "example": { "rows": [example] } } })
}

/// A picture of two by two pixels, as PNG in base64.
const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADElEQVR42mNg+A+EAAYAAf+tLDclAAAAAElFTkSuQmCC";

/// The bodies with pictures.
pub(super) fn picture_bodies() -> Value {
    let images = json!({
        "type": "object",
        "required": ["images"],
        "properties": {
            "images": { "type": "array", "items": { "type": "string", "contentEncoding": "base64" }, "minItems": 1 },
        },
    });
    json!({
        "application/json": { "schema": images, "example": { "images": [PICTURE] } },
        "image/png": {},
        "image/jpeg": {},
        "application/octet-stream": {},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": { "file": { "type": "string", "contentMediaType": "application/octet-stream" } },
            },
        },
    })
}

/// The answer to rows or pictures.
pub(super) fn predictions(model: &Model) -> Value {
    let classes = model.classes();
    let probability = json!({ "type": "number", "minimum": 0, "maximum": 1 });
    let probabilities: Map<String, Value> =
        classes.iter().map(|class| (class.clone(), probability.clone())).collect();
    let given = json!({
        "type": "object",
        "required": ["class", "probabilities", "warnings"],
        "properties": {
            "class": { "enum": classes },
            "probabilities": { "type": "object", "required": classes, "properties": probabilities },
            "warnings": { "type": "array", "items": { "type": "string" } },
        },
    });
    let refused =
        json!({ "type": "object", "required": ["error"], "properties": { "error": { "type": "string" } } });
    json!({
        "type": "object",
        "required": ["model", "version", "predictions"],
        "properties": {
            "model": { "const": model.name },
            "version": { "type": "string" },
            "predictions": { "type": "array", "items": { "anyOf": [given, refused] }, "minItems": 1 },
        },
    })
}

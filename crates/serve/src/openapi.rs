//! `/openapi.json`: the description of all paths of the server, for the models that it serves.

use serde_json::{Map, Value, json};

use crate::Limits;
use crate::catalog::Catalog;
use crate::catalog::{Columns, ModelInput, PictureSize, ServedVersion};
use crate::infer_request::{MATRIX, PIXELS};
use crate::protocol::OUTPUTS;
use crate::tensor::Datatype;

/// The statuses of refusals of operations that read a body with examples.
const READING: [u16; 8] = [400, 408, 413, 415, 422, 429, 500, 504];

/// The description. Every model has its own paths, because every model takes other inputs.
pub(crate) fn openapi(catalog: &Catalog, limits: &Limits, allow_reload: bool, has_token: bool) -> Value {
    let mut paths = Map::new();
    let mut add = |path: String, method: &str, operation: Value| {
        paths.insert(path, json!({ method: operation }));
    };
    let page = |summary: &str, kind: &str| {
        let answer = json!({ "description": summary, "content": { kind: {} } });
        json!({ "summary": summary, "responses": { "200": answer } })
    };
    for (path, summary, kind) in [
        ("/", "A page to try the model, or a list of such pages", "text/html"),
        ("/docs", "This description as a page", "text/html"),
        ("/openapi.json", "This description", "application/json"),
        ("/metrics", "Metrics for Prometheus", "text/plain"),
    ] {
        add(path.to_owned(), "get", page(summary, kind));
    }
    add("/v2/health/live".to_owned(), "get", health("Whether the server is running", &["live"], false));
    add(
        "/v2/health/ready".to_owned(),
        "get",
        health("Whether the server accepts requests", &["live", "ready"], true),
    );
    add(
        "/v2".to_owned(),
        "get",
        answered("Name, version and extensions", &object(&["name", "version", "extensions"]), &[]),
    );
    let index = json!({ "type": "array", "items": object(&["name", "version", "state", "reason"]) });
    let body = json!({ "content": { "application/json": { "schema": {} } } });
    let mut operation = answered("All models and versions", &index, &[429]);
    operation["requestBody"] = body;
    add("/v2/repository/index".to_owned(), "post", operation);
    for model in catalog.newest() {
        let name = &model.name;
        let versions: Vec<&str> = catalog.versions(name).iter().map(|model| &*model.version).collect();
        for (path, version) in [
            (format!("/v2/models/{name}"), None),
            (format!("/v2/models/{name}/versions/{{version}}"), Some(version(&versions))),
        ] {
            let mut add = |path: String, method: &str, mut operation: Value| {
                if let Some(version) = &version {
                    let mut parameters = vec![version.clone()];
                    parameters.extend(operation["parameters"].as_array().into_iter().flatten().cloned());
                    operation["parameters"] = parameters.into();
                    operation["responses"]["404"] = refused();
                }
                add(path, method, operation);
            };
            add(
                path.clone(),
                "get",
                answered(
                    "Inputs and outputs of the model",
                    &object(&["name", "versions", "platform", "inputs", "outputs"]),
                    &[],
                ),
            );
            let mut ready = health("Whether the model accepts requests", &["name", "ready"], true);
            ready["responses"]["200"]["content"]["application/json"]["schema"] = object(&["name", "ready"]);
            add(format!("{path}/ready"), "get", ready);
            add(format!("{path}/infer"), "post", infer(model, limits));
        }
        add(format!("/models/{name}"), "get", page("A page to try the model", "text/html"));
        add(format!("/models/{name}/predict"), "post", predict(model));
        let mut load =
            answered("Reload all models from their runs", &json!({ "type": "object" }), &[429, 500]);
        load["description"] =
            "Replaces all models at once and loses no request. Needs the server's option --allow-reload."
                .into();
        if !allow_reload {
            load["responses"] = json!({ "403": refused(), "429": refused() });
        }
        add(format!("/v2/repository/models/{name}/load"), "post", load);
    }
    if let Ok(model) = catalog.only() {
        add("/predict".to_owned(), "post", predict(model));
    }
    if has_token {
        describe_token(&mut paths);
    }
    let description = "Networks trained with Kiln. An error is {\"error\": \"...\"} and names the expected and the found value.";
    let mut description = json!({
        "openapi": "3.1.0",
        "info": { "title": "Kiln", "version": env!("CARGO_PKG_VERSION"), "description": description },
        "paths": paths,
        "components": { "schemas": { "Error": object(&["error"]) } },
    });
    description["components"]["schemas"]["Error"]["properties"] = json!({ "error": { "type": "string" } });
    if has_token {
        description["components"]["securitySchemes"] = json!({
            "token": { "type": "http", "scheme": "bearer" },
            "password": { "type": "http", "scheme": "basic" },
        });
        description["security"] = json!([{ "token": [] }, { "password": [] }]);
    }
    description
}

/// Health checks need no token; every other operation may answer 401.
fn describe_token(paths: &mut Map<String, Value>) {
    for (path, operations) in paths {
        for operation in operations.as_object_mut().into_iter().flat_map(Map::values_mut) {
            if path.starts_with("/v2/health/") {
                operation["security"] = json!([]);
            } else {
                operation["responses"]["401"] = refused();
            }
        }
    }
}

/// An object with at least these properties.
fn object(required: &[&str]) -> Value {
    json!({ "type": "object", "required": required })
}

fn refused() -> Value {
    json!({
        "description": "Refused; the error says what was expected and what was found",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
    })
}

/// An operation that answers JSON of `schema`, or one of the statuses `refusals`.
fn answered(summary: &str, schema: &Value, refusals: &[u16]) -> Value {
    let content = json!({ "application/json": { "schema": schema } });
    let mut responses = json!({ "200": { "description": summary, "content": content } });
    for status in refusals {
        responses[status.to_string()] = refused();
    }
    json!({ "summary": summary, "responses": responses })
}

/// A health check. If the answer may be false, a false answer has status 503.
fn health(summary: &str, required: &[&str], may_be_false: bool) -> Value {
    let mut operation = answered(summary, &object(required), &[]);
    if may_be_false {
        operation["responses"]["503"] = operation["responses"]["200"].clone();
    }
    operation
}

fn version(versions: &[&str]) -> Value {
    json!({
        "name": "version",
        "in": "path",
        "required": true,
        "description": "The id of a run",
        "schema": { "enum": versions },
    })
}

fn infer(model: &ServedVersion, limits: &Limits) -> Value {
    let outputs = json!({
        "type": "array",
        "items": object(&["name", "datatype", "shape"]),
    });
    let mut schema = object(&["model_name", "model_version", "outputs"]);
    schema["properties"] = json!({ "outputs": outputs });
    let mut operation = answered("Inference by the Open Inference Protocol v2", &schema, &READING);
    operation["responses"]["200"]["content"]["application/octet-stream"] = json!({});
    operation["description"] =
        "Tensors are in JSON, flat or nested, or in binary after the JSON (Triton's binary tensor \
        extension). All inputs must have the same number of rows, and as many values as their shapes say."
            .into();
    operation["parameters"] = json!([{
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "description": "Length in bytes of the JSON before binary tensors",
        "schema": { "type": "integer", "minimum": 0 },
    }]);
    let content = json!({ "schema": infer_request(model, limits), "example": infer_example(model) });
    let content = json!({ "application/json": content, "application/octet-stream": {} });
    operation["requestBody"] = json!({ "required": true, "content": content });
    operation
}

fn predict(model: &ServedVersion) -> Value {
    let mut operation = answered("Prediction in plain JSON", &predictions(model), &READING);
    let (content, description) = match &model.input {
        ModelInput::Pictures(_) => (
            picture_bodies(),
            "Pictures of any size, as files. A picture that cannot be read has an `error` in place of its class. If none can be \
             read, the status is 422.",
        ),
        ModelInput::Rows(columns) => (
            row_bodies(columns),
            "Rows as objects of values by column, with null for a missing value. A row that cannot be answered has an `error` \
             in place of its class. If none can be answered, the status is 422.",
        ),
    };
    operation["description"] = description.into();
    operation["requestBody"] = json!({ "required": true, "content": content });
    operation
}

/// The body of an inference request.
fn infer_request(model: &ServedVersion, limits: &Limits) -> Value {
    let inputs = match &model.input {
        ModelInput::Pictures(size) => pixels(*size, limits),
        ModelInput::Rows(columns) => tensors(columns, limits),
    };
    let parameters =
        |name: &str, kind: &Value| json!({ "type": ["object", "null"], "properties": { name: kind } });
    let mut of_output = parameters("binary_data", &json!({ "type": ["boolean", "null"] }));
    of_output["properties"]["classification"] = json!({
        "type": ["integer", "null"],
        "minimum": 0,
        "description": "For `probabilities` only: return this number of most probable classes, each as `value:index:label`",
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
            "id": { "type": ["string", "null"], "description": "Returned with the answer" },
            "parameters": parameters("binary_data_output", &json!({ "type": ["boolean", "null"] })),
            "inputs": inputs,
            "outputs": { "type": ["array", "null"], "items": output, "description": "All outputs if absent" },
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
            "[pictures, {channels}, {height}, {width}] or [pictures, {}]; at most {} pictures",
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
                "description": format!("[rows, 1] or [rows]; at most {} rows", limits.rows),
            },
            "datatype": { "enum": Datatype::NAMES },
            "data": { "type": "array", "minItems": 1, "description": "null, NaN and \"\" mean a missing value" },
        },
    });
    json!({ "type": "array", "items": tensor, "minItems": fewest, "maxItems": columns.used.len() })
}

/// An inference request with one row.
fn infer_example(model: &ServedVersion) -> Value {
    let inputs: Vec<Value> = match &model.input {
        ModelInput::Pictures(size) => {
            let shape = [1, size.channels, size.height, size.width];
            vec![json!({ "name": PIXELS, "datatype": "UINT8", "shape": shape, "data": vec![0; size.pixels()] })]
        }
        ModelInput::Rows(columns) => columns
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
fn row_bodies(columns: &Columns) -> Value {
    let cell = |is_number: bool| {
        if is_number {
            json!({ "type": ["number", "string", "null"], "description": "a string must contain a number" })
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

/// A PNG of two by two pixels, in base64.
const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADElEQVR42mNg+A+EAAYAAf+tLDclAAAAAElFTkSuQmCC";

/// The bodies with pictures.
fn picture_bodies() -> Value {
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

/// The answer of a prediction.
fn predictions(model: &ServedVersion) -> Value {
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

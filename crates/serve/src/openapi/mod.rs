//! `/openapi.json`: all that the server answers, for the models that it has.

mod bodies;

use serde_json::{Map, Value, json};

use crate::catalog::Catalog;
use crate::model::{Model, Takes};
use crate::settings::Limits;

use self::bodies::{infer_example, infer_request, picture_bodies, predictions, row_bodies};

/// What an operation may be refused with besides what every one may.
const READING: [u16; 8] = [400, 408, 413, 415, 422, 429, 500, 504];

/// The description: every model has paths of its own, as every one takes something else.
pub(crate) fn openapi(catalog: &Catalog, limits: &Limits, allow_reload: bool, has_token: bool) -> Value {
    let mut paths = Map::new();
    let mut add = |path: String, method: &str, operation: Value| {
        paths.insert(path, json!({ method: operation }));
    };
    let page = |summary: &str, kind: &str| json!({ "summary": summary, "responses": { "200": { "description": summary, "content": { kind: {} } } } });
    for (path, summary, kind) in [
        ("/", "A page on which to ask the model, or a list of such pages", "text/html"),
        ("/docs", "This description, to read", "text/html"),
        ("/openapi.json", "This description", "application/json"),
        ("/metrics", "What was counted, for Prometheus", "text/plain"),
    ] {
        add(path.to_owned(), "get", page(summary, kind));
    }
    add("/v2/health/live".to_owned(), "get", health("Whether the server lives", &["live"], false));
    add("/v2/health/ready".to_owned(), "get", health("Whether it takes requests", &["live", "ready"], true));
    add(
        "/v2".to_owned(),
        "get",
        answered("Name, version and extensions", &object(&["name", "version", "extensions"]), &[]),
    );
    let index = json!({ "type": "array", "items": object(&["name", "version", "state", "reason"]) });
    let body = json!({ "content": { "application/json": { "schema": {} } } });
    let mut operation = answered("Every model and version", &index, &[429]);
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
                answered("Its tensors", &object(&["name", "versions", "platform", "inputs", "outputs"]), &[]),
            );
            let mut ready = health("Whether it takes requests", &["name", "ready"], true);
            ready["responses"]["200"]["content"]["application/json"]["schema"] = object(&["name", "ready"]);
            add(format!("{path}/ready"), "get", ready);
            add(format!("{path}/infer"), "post", infer(model, limits));
        }
        add(format!("/models/{name}"), "get", page("A page on which to ask the model", "text/html"));
        add(format!("/models/{name}/predict"), "post", predict(model));
        let mut load = answered("Open the runs anew", &json!({ "type": "object" }), &[429, 500]);
        load["description"] =
            "All models are replaced at once, and no request is lost. Off without --allow-reload.".into();
        if !allow_reload {
            load["responses"] = json!({ "403": refused(), "429": refused() });
        }
        add(format!("/v2/repository/models/{name}/load"), "post", load);
    }
    if let Ok(model) = catalog.only() {
        add("/predict".to_owned(), "post", predict(model));
    }
    if has_token {
        for (path, operations) in &mut paths {
            for operation in operations.as_object_mut().into_iter().flat_map(Map::values_mut) {
                if path.starts_with("/v2/health/") {
                    operation["security"] = json!([]);
                } else {
                    operation["responses"]["401"] = refused();
                }
            }
        }
    }
    let description = "Networks trained by Kiln. Errors are {\"error\": \"...\"} with what was expected and what was found.";
    let mut description = json!({
        "openapi": "3.1.0",
        "info": { "title": "Kiln", "version": env!("CARGO_PKG_VERSION"), "description": description },
        "paths": paths,
        "components": { "schemas": { "Error": object(&["error"]) } },
    });
    description["components"]["schemas"]["Error"]["properties"] = json!({ "error": { "type": "string" } });
    if has_token {
        description["components"]["securitySchemes"] = json!({ "token": { "type": "http", "scheme": "bearer" }, "password": { "type": "http", "scheme": "basic" } });
        description["security"] = json!([{ "token": [] }, { "password": [] }]);
    }
    description
}

/// An object with these properties at least.
fn object(required: &[&str]) -> Value {
    json!({ "type": "object", "required": required })
}

fn refused() -> Value {
    json!({
        "description": "Refused: what was expected, and what was found",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
    })
}

/// An operation that is answered with JSON of `schema`, or refused with one of the statuses.
fn answered(summary: &str, schema: &Value, refusals: &[u16]) -> Value {
    let content = json!({ "application/json": { "schema": schema } });
    let mut responses = json!({ "200": { "description": summary, "content": content } });
    for status in refusals {
        responses[status.to_string()] = refused();
    }
    json!({ "summary": summary, "responses": responses })
}

/// A question about readiness: an answer that says no has status 503.
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

fn infer(model: &Model, limits: &Limits) -> Value {
    let outputs = json!({
        "type": "array",
        "items": object(&["name", "datatype", "shape"]),
    });
    let mut schema = object(&["model_name", "model_version", "outputs"]);
    schema["properties"] = json!({ "outputs": outputs });
    let mut operation = answered("Infer, by the Open Inference Protocol v2", &schema, &READING);
    operation["responses"]["200"]["content"]["application/octet-stream"] = json!({});
    operation["description"] =
        "Tensors in JSON, flat or nested, or in binary after the JSON (Triton's binary tensor \
        extension). All inputs have the same number of rows, and as many values as their shapes say."
            .into();
    operation["parameters"] = json!([{
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "description": "Bytes of JSON before tensors in binary",
        "schema": { "type": "integer", "minimum": 0 },
    }]);
    let content = json!({ "schema": infer_request(model, limits), "example": infer_example(model) });
    operation["requestBody"] = json!({ "required": true, "content": { "application/json": content, "application/octet-stream": {} } });
    operation
}

fn predict(model: &Model) -> Value {
    let mut operation = answered("Predict, in plain JSON", &predictions(model), &READING);
    let (content, description) = match &model.takes {
        Takes::Pictures(_) => (
            picture_bodies(),
            "Pictures of any size, as files. One that cannot be read has an `error` in place of its class; where none can be \
             read, the status is 422.",
        ),
        Takes::Rows(columns) => (
            row_bodies(columns),
            "Rows by the names of their columns, null for a missing value. A row that cannot be answered has an `error` in \
             place of its class; where none can be answered, the status is 422.",
        ),
    };
    operation["description"] = description.into();
    operation["requestBody"] = json!({ "required": true, "content": content });
    operation
}

//! The API's description as an OpenAPI 3.1 document, made from the endpoints and from the types that
//! they answer with.

use std::sync::LazyLock;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::endpoint::{Answer, Content, Endpoint, PREFIX, Parameter, SchemaOf, Verb};
use super::routes::endpoints;
use crate::http::error::Document as ProblemDocument;

/// Where schemas that several places use stand in the document.
const COMPONENTS: &str = "/components/schemas";

/// What every endpoint may answer.
const ALWAYS: [Answer; 3] = [
    Answer { status: 401, description: "The token is missing or wrong.", content: Content::Problem },
    Answer {
        status: 429,
        description: "Too many requests with this token, or too many wrong ones; `Retry-After` says how long to wait.",
        content: Content::Problem,
    },
    Answer { status: 503, description: "The catalogue is busy; try again in a moment.", content: Content::Problem },
];

/// What every path that is read may answer.
const UNCHANGED: Answer =
    Answer { status: 304, description: "What `If-None-Match` names is still right.", content: Content::Nothing };

/// The document.
pub(super) static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document(&endpoints()));

fn document(endpoints: &[Endpoint]) -> Value {
    let answered = SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = COMPONENTS.into());
    let mut schemas = answered.for_serialize().into_generator();
    let mut paths = Map::new();
    for endpoint in endpoints {
        let verb = if endpoint.verb == Verb::Read { "get" } else { "post" };
        paths.insert(format!("{PREFIX}{}", endpoint.path), json!({ verb: operation(endpoint, &mut schemas) }));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Larkive",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What people sent to a Feishu/Lark bot, and where it is. Every path that is read \
                answers HEAD as well; JSON answers carry an `ETag` that `If-None-Match` takes. Errors are problem \
                documents (RFC 9457) with a stable `code`. Members may be added to any answer, and those without a \
                value are null.",
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "LARKIVE_ADMIN_TOKEN" },
            },
        },
    })
}

fn operation(endpoint: &Endpoint, schemas: &mut SchemaGenerator) -> Value {
    let parameters: Vec<Value> = endpoint.parameters.iter().map(|one| parameter(endpoint, one)).collect();
    let unchanged = (endpoint.verb == Verb::Read).then_some(&UNCHANGED);
    let answers = endpoint.answers.iter().chain(unchanged).chain(&ALWAYS);
    let answers: Map<String, Value> =
        answers.map(|answer| (answer.status.to_string(), response(answer, schemas))).collect();
    let mut operation = json!({ "summary": endpoint.summary, "responses": answers });
    if !endpoint.description.is_empty() {
        operation["description"] = endpoint.description.into();
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = endpoint.body {
        let content = json!({ "application/json": { "schema": body_schema(body) } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn parameter(endpoint: &Endpoint, parameter: &Parameter) -> Value {
    let in_path = endpoint.names(parameter);
    json!({
        "name": parameter.name,
        "in": if in_path { "path" } else { "query" },
        "required": in_path,
        "description": parameter.description,
        "schema": parameter.schema,
    })
}

fn response(answer: &Answer, schemas: &mut SchemaGenerator) -> Value {
    let content = match answer.content {
        Content::Json(schema) => json!({ "application/json": { "schema": schema(schemas) } }),
        Content::Problem => {
            let schema = schemas.subschema_for::<ProblemDocument<'static>>();
            json!({ "application/problem+json": { "schema": schema } })
        }
        Content::Bytes => json!({ "*/*": {} }),
        Content::Text(content_type) => json!({ content_type: {} }),
        Content::Nothing => return json!({ "description": answer.description }),
    };
    json!({ "description": answer.description, "content": content })
}

/// What is read may leave out what is always written, so a body has a schema of its own.
fn body_schema(body: SchemaOf) -> Value {
    let read = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    body(&mut read.for_deserialize().into_generator()).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::filter::Filter;

    #[test]
    fn everything_is_described() {
        for endpoint in endpoints() {
            let path = endpoint.path;
            let undescribed = |parameter: &&Parameter| {
                parameter.description.is_empty() || parameter.description.starts_with("See the documentation")
            };
            assert!(!endpoint.parameters.iter().any(|one| undescribed(&one)), "{path}");
            let named = path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap());
            for name in named {
                assert!(endpoint.parameters.iter().any(|parameter| parameter.name == name), "{path}: {name}");
            }
            let first = endpoint.answers.first().map(|answer| answer.status);
            assert!(matches!(first, Some(200 | 202)), "{path}: how it goes well stands first");
        }
        let parameters = &DOCUMENT["paths"]["/api/v1/resources"]["get"]["parameters"];
        assert_eq!(parameters.as_array().unwrap().len(), Filter::NAMES.len() + 2);
    }
}

//! The API's description, for programs and for people.

use std::sync::LazyLock;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template as _;
use serde_json::Value;

use super::answer;
use super::openapi::DOCUMENT;
use crate::http::error::Problem;

/// The page's style sheet stands in it, and the policy names it by its digest: nothing else is
/// loaded, and nothing runs.
const STYLE: &str = include_str!("../../../templates/api.css");
const POLICY: &str = "default-src 'none'; style-src 'sha256-Auxxl4ylmbq27Q1D2wYi6QL+3wAMlU4atDDEYnQDmcE='; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page is the same for everyone. It is rendered once; none if the template fails.
static PAGE: LazyLock<Option<String>> = LazyLock::new(|| Page::of(&DOCUMENT).render().ok());

/// `GET /api/openapi.json`
pub(super) async fn document(request: HttpRequest) -> Result<HttpResponse, Problem> {
    answer::json(&request, &*DOCUMENT)
}

/// `GET /api/docs`
pub(in crate::http) async fn page(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let page = PAGE.clone().ok_or_else(Problem::internal)?;
    let mut response = answer::text(&request, "text/html; charset=utf-8", page.into_bytes());
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}

/// What the page shows.
#[derive(askama::Template)]
#[template(path = "api.html")]
struct Page<'d> {
    style: &'static str,
    title: &'d str,
    version: &'d str,
    description: Prose<'d>,
    operations: Vec<Operation<'d>>,
    schemas: Vec<Shape<'d>>,
}

/// One method of one path.
struct Operation<'d> {
    verb: String,
    path: &'d str,
    anchor: String,
    summary: &'d str,
    description: Prose<'d>,
    takes: Vec<Part<'d>>,
    answers: Vec<Part<'d>>,
}

/// A parameter, an answer or a member.
struct Part<'d> {
    name: &'d str,
    place: &'d str,
    value: String,
    meaning: Prose<'d>,
}

/// A type of JSON value.
struct Shape<'d> {
    name: &'d str,
    meaning: Prose<'d>,
    value: String,
    members: Vec<Part<'d>>,
}

/// A text with code between backticks.
#[derive(Clone, Copy)]
struct Prose<'d>(&'d str);

/// A stretch of it.
struct Piece<'d> {
    is_code: bool,
    text: &'d str,
}

impl<'d> Prose<'d> {
    fn of(value: &'d Value) -> Self {
        Self(text(value))
    }

    fn pieces(self) -> impl Iterator<Item = Piece<'d>> {
        self.0.split('`').enumerate().map(|(place, text)| Piece { is_code: place % 2 == 1, text })
    }
}

impl<'d> Page<'d> {
    fn of(document: &'d Value) -> Self {
        let info = &document["info"];
        let operations = members(&document["paths"])
            .flat_map(|(path, item)| members(item).map(|(verb, operation)| Operation::of(verb, path, operation)));
        let schemas = members(&document["components"]["schemas"]).map(|(name, schema)| Shape::of(name, schema));
        Self {
            style: STYLE,
            title: text(&info["title"]),
            version: text(&info["version"]),
            description: Prose::of(&info["description"]),
            operations: operations.collect(),
            schemas: schemas.collect(),
        }
    }
}

impl<'d> Operation<'d> {
    fn of(verb: &str, path: &'d str, operation: &'d Value) -> Self {
        let parameters = items(&operation["parameters"]).map(|one| Part {
            name: text(&one["name"]),
            place: text(&one["in"]),
            value: value_of(&one["schema"]),
            meaning: Prose::of(&one["description"]),
        });
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        let members_of_body = members(&body["properties"]).map(|(name, schema)| Part::member(name, "body", schema));
        let answers = members(&operation["responses"]).map(|(status, answer)| Part {
            name: status,
            place: "",
            value: carried(&answer["content"]),
            meaning: Prose::of(&answer["description"]),
        });
        Self {
            verb: verb.to_uppercase(),
            path,
            anchor: format!("{verb}{}", path.replace(['/', '{', '}', '.'], "-")),
            summary: text(&operation["summary"]),
            description: Prose::of(&operation["description"]),
            takes: parameters.chain(members_of_body).collect(),
            answers: answers.collect(),
        }
    }
}

impl<'d> Part<'d> {
    fn member(name: &'d str, place: &'d str, schema: &'d Value) -> Self {
        Self { name, place, value: value_of(schema), meaning: Prose::of(&schema["description"]) }
    }
}

impl<'d> Shape<'d> {
    fn of(name: &'d str, schema: &'d Value) -> Self {
        Self {
            name,
            meaning: Prose::of(&schema["description"]),
            value: value_of(schema),
            members: members(&schema["properties"]).map(|(name, schema)| Part::member(name, "", schema)).collect(),
        }
    }
}

/// What an answer carries: the type of its JSON, or its media type.
fn carried(content: &Value) -> String {
    let of_each = members(content).map(|(media_type, content)| match &content["schema"] {
        Value::Null => media_type.to_owned(),
        schema => value_of(schema),
    });
    of_each.collect::<Vec<_>>().join(", ")
}

/// A schema in words.
fn value_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        return name.rsplit('/').next().unwrap_or(name).to_owned();
    }
    for alternatives in ["anyOf", "oneOf"] {
        if schema[alternatives].is_array() {
            return items(&schema[alternatives]).map(value_of).collect::<Vec<_>>().join(" or ");
        }
    }
    if schema["enum"].is_array() {
        return items(&schema["enum"]).map(text).collect::<Vec<_>>().join(", ");
    }
    match &schema["type"] {
        Value::String(one) if one == "array" => format!("list of {}", value_of(&schema["items"])),
        Value::String(one) => one.clone(),
        Value::Array(several) => several.iter().map(text).collect::<Vec<_>>().join(" or "),
        _ => "anything".to_owned(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use sha2::Digest as _;

    use super::*;

    #[test]
    fn the_page_tells_of_every_path_and_loads_nothing() {
        let page = PAGE.as_deref().unwrap();
        for (path, item) in members(&DOCUMENT["paths"]) {
            for (verb, operation) in members(item) {
                assert!(page.contains(&format!("<code>{} {path}</code>", verb.to_uppercase())), "{verb} {path}");
                assert!(page.contains(text(&operation["summary"])), "{verb} {path}");
            }
        }
        for loading in ["src=", "<link", "<script", "@import", "url("] {
            assert!(!page.contains(loading), "{loading}");
        }
        let digest = STANDARD.encode(sha2::Sha256::digest(STYLE));
        assert!(POLICY.contains(&format!("'sha256-{digest}'")), "the style sheet has changed: {digest}");
        assert!(page.contains(&format!("<style>{STYLE}</style>")));
    }
}

//! An endpoint: a path, what is done there, and what a caller may know of it, in one value.
//!
//! There is no other way to add a path to the API, so none can be without a description.

use actix_web::{Resource, ResponseError as _, Route, web};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::http::error::Problem;
use crate::http::read;

/// The prefix of every path.
pub(super) const PREFIX: &str = "/api";

/// One path of the API.
pub(super) struct Endpoint {
    /// The path below [`PREFIX`]; parameters stand in braces.
    pub(super) path: &'static str,
    /// How it is asked.
    pub(super) verb: Verb,
    /// What it does, in a few words.
    pub(super) summary: &'static str,
    /// What else there is to know.
    pub(super) description: &'static str,
    /// What it can be told in path and query.
    pub(super) parameters: Vec<Parameter>,
    /// What it is sent.
    pub(super) body: Option<SchemaOf>,
    /// What comes back.
    pub(super) answers: Vec<Answer>,
    handle: fn(Route) -> Route,
}

/// How a path is asked. None is both read and posted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// GET, and HEAD with the same headers.
    Read,
    /// POST.
    Post,
}

/// Makes the schema of a type.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// What a caller can say in path or query.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    /// Its name.
    pub(super) name: &'static str,
    /// What it means.
    pub(super) description: &'static str,
    /// What its value looks like.
    pub(super) schema: Value,
}

/// One possible answer.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    /// Its status.
    pub(super) status: u16,
    /// When it comes.
    pub(super) description: &'static str,
    /// What it carries.
    pub(super) content: Content,
}

/// What an answer carries.
#[derive(Clone, Copy)]
pub(super) enum Content {
    /// A JSON document.
    Json(SchemaOf),
    /// A problem document.
    Problem,
    /// Bytes of whatever type.
    Bytes,
    /// A text of this type.
    Text(&'static str),
    /// Nothing.
    Nothing,
}

impl Endpoint {
    /// A path that is read.
    pub(super) fn read(path: &'static str, summary: &'static str, handle: fn(Route) -> Route) -> Self {
        Self::new(path, Verb::Read, summary, handle)
    }

    /// A path that is posted to.
    pub(super) fn post(path: &'static str, summary: &'static str, handle: fn(Route) -> Route) -> Self {
        Self::new(path, Verb::Post, summary, handle)
    }

    fn new(path: &'static str, verb: Verb, summary: &'static str, handle: fn(Route) -> Route) -> Self {
        let (parameters, answers) = (Vec::new(), Vec::new());
        Self { path, verb, summary, description: "", parameters, body: None, answers, handle }
    }

    /// Says more.
    pub(super) fn about(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// Takes these parameters. Those that the path names stand in it, the others in the query.
    pub(super) fn takes(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// Takes a JSON body.
    pub(super) fn takes_body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// Answers with a JSON document.
    pub(super) fn answers<T: JsonSchema>(self, status: u16, description: &'static str) -> Self {
        self.answers_with(status, description, Content::Json(SchemaGenerator::subschema_for::<T>))
    }

    /// Answers with something else.
    pub(super) fn answers_with(mut self, status: u16, description: &'static str, content: Content) -> Self {
        self.answers.push(Answer { status, description, content });
        self
    }

    /// Answers with a problem document.
    pub(super) fn refuses(self, status: u16, description: &'static str) -> Self {
        self.answers_with(status, description, Content::Problem)
    }

    /// Whether a parameter stands in the path.
    pub(super) fn names(&self, parameter: &Parameter) -> bool {
        self.path.contains(&format!("{{{}}}", parameter.name))
    }

    /// The path as actix knows it; other methods are refused.
    pub(super) fn resource(&self) -> Resource {
        let (route, allowed) = match self.verb {
            Verb::Read => (read(), "GET, HEAD"),
            Verb::Post => (web::post(), "POST"),
        };
        web::resource(self.path)
            .route((self.handle)(route))
            .default_service(web::to(move || async move { Problem::method_not_allowed(allowed).error_response() }))
    }
}

impl Parameter {
    /// A text.
    pub(super) fn text(name: &'static str, description: &'static str) -> Self {
        Self { name, description, schema: json!({ "type": "string" }) }
    }

    /// A whole number.
    pub(super) fn number(name: &'static str, description: &'static str, least: u32, most: Option<u32>) -> Self {
        let mut schema = json!({ "type": "integer", "format": "int64", "minimum": least });
        if let Some(most) = most {
            schema["maximum"] = most.into();
        }
        Self { name, description, schema }
    }

    /// One of some words.
    pub(super) fn word(name: &'static str, description: &'static str, words: &[&str]) -> Self {
        Self { name, description, schema: json!({ "type": "string", "enum": words }) }
    }

    /// The same several times: any of the values.
    pub(super) fn repeated(mut self) -> Self {
        self.schema = json!({ "type": "array", "items": self.schema });
        self
    }
}

//! How words of the vocabulary look in JSON, in the language of JSON Schema: for the description of
//! the API, which is made from the types themselves.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::chat::Downloads;
use super::day::Day;
use super::digest::Digest;
use super::download::State;
use super::id::{EventRowId, ResourceId};
use super::message::{Problem, SenderType};
use super::reason::ReasonCode;
use super::resource::{ResourceType, Role};
use super::source::Source;
use super::time::Timestamp;

/// Describes types that are one of a few words.
macro_rules! choices {
    ($($type:ident: $description:literal;)*) => {$(
        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let words: Vec<&str> = Self::ALL.iter().map(|choice| choice.as_str()).collect();
                schemars::json_schema!({ "description": $description, "type": "string", "enum": words })
            }
        }
    )*};
}
pub(crate) use choices;

choices! {
    State: "Where a resource stands.";
    Role: "What a resource is in its message.";
    ResourceType: "How the platform wants a resource asked for.";
    Source: "The API of the platform that hands a resource out.";
    SenderType: "Whether a person or a bot sent a message.";
    Problem: "What is wrong with a message.";
    Downloads: "Whether the members of a chat may download.";
}

/// Describes types that are a text of a fixed form.
macro_rules! texts {
    ($($type:ident: $schema:tt;)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

texts! {
    ResourceId: { "description": "A resource's id.", "type": "string", "pattern": "^r[0-9a-f]{12}$" };
    EventRowId: { "description": "A delivery's id.", "type": "string", "pattern": "^e[0-9a-f]{12}$" };
    Digest: { "description": "A SHA-256 digest.", "type": "string", "pattern": "^[0-9a-f]{64}$" };
    Day: { "description": "A day in UTC, as YYYY-MM-DD.", "type": "string", "format": "date" };
    Timestamp: {
        "description": "A point in time, RFC 3339 in UTC with milliseconds.",
        "type": "string",
        "format": "date-time"
    };
    // New reasons may come with any version, so that readers must not count on a closed list.
    ReasonCode: {
        "description": "Why a resource is not stored, as docs/reason-codes.md lists them.",
        "type": "string",
        "pattern": "^[a-z0-9_]+$"
    };
}

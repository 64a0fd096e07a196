//! Things named on the command line: a resource, a message or bytes, told apart by their looks.

use std::fmt;
use std::str::FromStr;

use crate::catalogue::listing::Walk;
use crate::catalogue::listing::resource::{self, Resource};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::digest::Digest;
use crate::domain::filter::Filter;
use crate::domain::id::{EmptyId, MessageId, ResourceId};
use crate::domain::time::Timestamp;

/// What somebody named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// One resource.
    Resource(ResourceId),
    /// Everything with these bytes.
    Bytes(Digest),
    /// Everything in this message.
    Message(MessageId),
}

impl FromStr for Named {
    type Err = EmptyId;

    /// What is no id of ours and no digest can only be a message of the platform.
    fn from_str(text: &str) -> Result<Self, EmptyId> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Resource(id));
        }
        if let Ok(digest) = text.parse() {
            return Ok(Self::Bytes(digest));
        }
        text.parse().map(Self::Message)
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource(id) => write!(f, "resource {id}"),
            Self::Bytes(digest) => write!(f, "resource with the SHA-256 {digest}"),
            Self::Message(id) if id.as_str().starts_with("om_") => write!(f, "resource in a message {:?}", id.as_str()),
            Self::Message(id) => write!(f, "resource, message or SHA-256 {:?}", id.as_str()),
        }
    }
}

impl Named {
    /// Everything that is meant, a stretch at a time.
    #[must_use]
    pub fn walk<'a>(&self, catalogue: &'a Catalogue, now: Timestamp) -> NamedWalk<'a> {
        let filter = match self {
            Self::Resource(id) => return NamedWalk::One(catalogue, Some(*id)),
            Self::Bytes(digest) => Filter { sha256: vec![*digest], ..Filter::default() },
            Self::Message(id) => Filter { message_id: vec![id.clone()], ..Filter::default() },
        };
        NamedWalk::Many(Box::new(Walk::new(catalogue, filter, now)))
    }
}

/// A walk over what somebody named.
#[derive(Debug)]
pub enum NamedWalk<'a> {
    /// One resource by its id, until it was looked for.
    One(&'a Catalogue, Option<ResourceId>),
    /// Whatever a filter finds.
    Many(Box<Walk<'a>>),
}

impl NamedWalk<'_> {
    /// The next stretch; empty when everything was seen.
    ///
    /// # Errors
    /// If the catalogue cannot be read.
    pub async fn next(&mut self) -> Result<Vec<Resource>, CatalogueError> {
        match self {
            Self::One(catalogue, id) => match id.take() {
                Some(id) => Ok(resource::find(catalogue, id).await?.into_iter().collect()),
                None => Ok(Vec::new()),
            },
            Self::Many(walk) => walk.next().await,
        }
    }
}

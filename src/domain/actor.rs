//! Who asks for a change.

use std::fmt;
use std::sync::Arc;

/// What the one token of the API, and whoever signs in at the pages with it, is called.
const ADMINISTRATOR: &str = "admin";

/// Who asks for a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// This program, for its own reasons.
    System,
    /// Whoever may run commands where the archive lies.
    Shell,
    /// A program that bears the token of this name.
    Token(Arc<str>),
    /// A person of this name who has signed in.
    Person(Arc<str>),
}

impl Actor {
    /// Whoever bears the administrator's token.
    #[must_use]
    pub fn administrators_token() -> Self {
        Self::Token(ADMINISTRATOR.into())
    }

    /// Whoever has signed in as the administrator.
    #[must_use]
    pub fn administrator() -> Self {
        Self::Person(ADMINISTRATOR.into())
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Shell => f.write_str("shell"),
            Self::Token(name) => write!(f, "token:{name}"),
            Self::Person(name) => write!(f, "person:{name}"),
        }
    }
}

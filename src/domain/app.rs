//! Apps of the platform.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::resource::names;

/// How an app comes by its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AppKind {
    /// Made by a company for itself: its secret is enough.
    #[default]
    Custom,
    /// Offered in the app store and installed in many companies: it needs the ticket that the
    /// platform pushes every hour, and has a token for each company.
    Store,
}

names!(AppKind, UnknownAppKind, "kind of app", Custom = "custom", Store = "store");

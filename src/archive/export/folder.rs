//! The names in one folder of an export: each of them once, however file systems compare.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};

use super::name::{self, Name};
use crate::catalogue::listing::resource::Resource;
use crate::domain::zone::Zone;

/// How many names of a folder are remembered, as eight bytes each; whoever comes later gets a name
/// that only they can have, so that a folder of any size takes little memory.
const REMEMBERED: usize = 200_000;

/// A folder that is being filled: everything of one day.
#[derive(Debug, Default)]
pub(super) struct Folder {
    path: String,
    state: RandomState,
    /// Names as file systems compare them. Two that share a hash only cost one of them its plain form.
    taken: HashSet<u64>,
    /// Names as they are.
    given: HashSet<u64>,
    is_full: bool,
}

impl Folder {
    /// The folder that a resource belongs into: that of its day in this time zone.
    pub(super) fn path_of(resource: &Resource, zone: &Zone) -> String {
        format!("files/{}", zone.day_of(resource.listed_at))
    }

    /// An empty folder.
    pub(super) fn new(path: String) -> Self {
        Self { path, ..Self::default() }
    }

    /// Its path.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// A path in this folder for a resource, that nothing else has.
    pub(super) fn place(&mut self, resource: &Resource) -> String {
        let name = match name::of(resource) {
            Name::Original(name) if self.take(&name) => name,
            Name::Original(name) => name::unique(&name, resource.id),
            Name::Unique(name) => name,
        };
        if !self.is_full {
            self.given.insert(self.state.hash_one(&name));
        }
        format!("{}/{name}", self.path)
    }

    /// Whether no name was given out.
    pub(super) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// Whether a name was given out, as far as that is remembered.
    pub(super) fn may_hold(&self, name: &str) -> bool {
        self.is_full || self.given.contains(&self.state.hash_one(name))
    }

    fn take(&mut self, name: &str) -> bool {
        self.is_full = self.is_full || self.given.len() >= REMEMBERED;
        !self.is_full && self.taken.insert(self.state.hash_one(name::folded(name)))
    }
}

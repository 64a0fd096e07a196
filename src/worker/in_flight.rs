//! In flight: the rows that this process has claimed and works on, or is about to.
//!
//! Only their claims are renewed, so that a row whose try was lost, through whatever fault, is due
//! again when its lease is over.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::id::ResourceId;

/// The rows in flight. Cloned freely.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Mutex<HashSet<ResourceId>>>);

/// One row in flight, until this is dropped.
#[derive(Debug)]
pub(super) struct Flight {
    id: ResourceId,
    all: InFlight,
}

impl InFlight {
    pub(super) fn begin(&self, id: ResourceId) -> Flight {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        Flight { id, all: self.clone() }
    }

    pub(super) fn ids(&self) -> Vec<ResourceId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

//! A walk through every object of a JSON value.

use serde_json::{Map, Value};

/// Every object in a value, outer ones first, members and elements in their order.
///
/// It keeps its own stack: nesting costs heap, not thread stack, and each value is looked at once.
pub(super) struct Walk<'a> {
    first: Option<&'a Map<String, Value>>,
    ahead: Vec<&'a Value>,
}

impl<'a> Walk<'a> {
    /// A walk through `root` and everything below it.
    pub(super) fn through(root: &'a Value) -> Self {
        Self { first: None, ahead: vec![root] }
    }

    /// A walk through an object and everything below it.
    pub(super) fn of(object: &'a Map<String, Value>) -> Self {
        Self { first: Some(object), ahead: object.values().rev().collect() }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Map<String, Value>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        while let Some(value) = self.ahead.pop() {
            match value {
                Value::Array(elements) => self.ahead.extend(elements.iter().rev()),
                Value::Object(members) => {
                    self.ahead.extend(members.values().rev());
                    return Some(members);
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        None
    }
}

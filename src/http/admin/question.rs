//! What a reader asks the list of resources: filters, view and page, as the address carries them.

use actix_web::HttpRequest;
use url::form_urlencoded;

use super::failure::Failure;
use crate::domain::download::State;
use crate::domain::filter::{Filter, FilterError};
use crate::http::api::parameters::pairs;

/// How resources are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// Tiles with pictures.
    Gallery,
    /// Rows with columns.
    Table,
}

impl View {
    fn as_str(self) -> &'static str {
        match self {
            Self::Gallery => "gallery",
            Self::Table => "table",
        }
    }
}

/// A question as it was asked, and as far as it was understood.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) filter: Filter,
    pub(super) view: View,
    pub(super) cursor: Option<String>,
    /// How many resources were just queued again.
    pub(super) queued: Option<u64>,
    /// The filters that were given, as they were written. Empty fields of the form are no filters.
    pub(super) given: Vec<(String, String)>,
    /// What could not be understood, with the name of its filter.
    pub(super) troubles: Vec<(String, FilterError)>,
}

impl Question {
    /// The question in an address.
    pub(super) fn of(request: &HttpRequest) -> Self {
        let mut question = Self {
            filter: Filter::default(),
            view: View::Gallery,
            cursor: None,
            queued: None,
            given: Vec::new(),
            troubles: Vec::new(),
        };
        for (name, value) in pairs(request).filter(|(_, value)| !value.trim().is_empty()) {
            question.take(name, value);
        }
        question
    }

    /// Everything that the question in an address asks for, all of which has to be understood.
    pub(super) fn understood(request: &HttpRequest) -> Result<Filter, Failure> {
        let question = Self::of(request);
        if question.troubles.is_empty() { Ok(question.filter) } else { Err(Failure::BadRequest) }
    }

    fn take(&mut self, name: String, value: String) {
        match name.as_str() {
            "view" if value == View::Table.as_str() => self.view = View::Table,
            "view" => self.view = View::Gallery,
            "cursor" => self.cursor = Some(value),
            "queued" => self.queued = value.parse().ok(),
            _ => {
                if let Err(error) = self.filter.add(&name, &value) {
                    self.troubles.push((name.clone(), error));
                }
                self.given.push((name, value));
            }
        }
    }

    /// Everything that was given for a filter, in one text.
    pub(super) fn given_for(&self, name: &str) -> String {
        let values: Vec<&str> =
            self.given.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str()).collect();
        values.join(",")
    }

    /// The first page of the answer.
    pub(super) fn first_page(&self) -> String {
        self.address(self.view, &self.given, None)
    }

    /// The page of the answer behind a cursor.
    pub(super) fn page_after(&self, cursor: &str) -> String {
        self.address(self.view, &self.given, Some(cursor))
    }

    /// The page that this question asked for.
    pub(super) fn this_page(&self) -> String {
        self.address(self.view, &self.given, self.cursor.as_deref())
    }

    /// The same question in another view.
    pub(super) fn seen_as(&self, view: View) -> String {
        self.address(view, &self.given, None)
    }

    /// Whether it asks for no more than values of this one filter.
    pub(super) fn is_at_most(&self, name: &str) -> bool {
        self.given.iter().all(|(given, _)| given == name)
    }

    /// Where something is done with everything that it asks for.
    pub(super) fn done_at(&self, path: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        with_query(path, query.extend_pairs(&self.given).finish())
    }

    /// Whether it asks for what did not come, so that all of that can be tried again.
    pub(super) fn asks_for_failures(&self) -> bool {
        asks_for_failures(&self.filter)
    }

    /// The question without one of its filters.
    pub(super) fn without(&self, name: &str) -> String {
        let rest: Vec<_> = self.given.iter().filter(|(given, _)| given != name).cloned().collect();
        self.address(self.view, &rest, None)
    }

    fn address(&self, view: View, given: &[(String, String)], cursor: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(given);
        if view != View::Gallery {
            query.append_pair("view", view.as_str());
        }
        if let Some(cursor) = cursor {
            query.append_pair("cursor", cursor);
        }
        with_query("/resources", query.finish())
    }
}

/// Whether a filter asks for what did not come, and for nothing else.
pub(super) fn asks_for_failures(filter: &Filter) -> bool {
    let states = &filter.state;
    !states.is_empty() && states.iter().all(|state| !matches!(state, State::Stored | State::Running))
}

fn with_query(path: &str, query: String) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

//! Plans: a filter with its names looked up, ready to become SQL.
//!
//! One condition leads: its index is read in the order of the listing. The others are checked on
//! the rows that it brings. Words lead through the text index.

use std::collections::BTreeSet;

use crate::catalogue::connections::Connections;
use crate::catalogue::search::{Asked, NameRow, ask, chats_with_id, named_like, quoted, role_piece, senders_with_id};
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::download::State;
use crate::domain::filter::Filter;
use crate::domain::folding::{Needle, fold};
use crate::domain::query::{Kind, Named, Order, Search, Traits};
use crate::domain::source::Source;
use crate::domain::time::Timestamp;
use crate::domain::zone::Zone;

/// A filter that is ready to be asked for.
#[derive(Debug)]
pub(in crate::catalogue) struct Plan {
    /// What is asked for.
    pub(super) filter: Filter,
    /// When it was asked for: what "7 days ago" counts from.
    pub(super) asked_at: Timestamp,
    /// At whose midnight its dates begin.
    pub(super) zone: Zone,
    /// What a column must be, one of several values each.
    pub(super) equalities: Vec<Equality>,
    /// What a column must not be.
    pub(super) inequalities: Vec<Equality>,
    /// What the text index is asked for, if it is asked.
    pub(super) words: Words,
    /// What leads.
    pub(super) lead: Lead,
}

/// What the text index is asked for.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// In its own language; none if everything in it may be what is looked for.
    pub(super) expression: Option<String>,
    /// Whether it knows too many words that begin like one that is looked for.
    pub(super) some_are_left_to_the_texts: bool,
}

/// Columns that can be compared with values, the most selective first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    Digest,
    Sender,
    Chat,
    State,
    Mime,
    MessageType,
    Role,
    App,
    Source,
}

impl Column {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Digest => "r.blob_row_id",
            Self::Sender => "r.sender_open_id",
            Self::Chat => "r.chat_id",
            Self::State => "r.state",
            Self::Mime => "r.mime",
            Self::MessageType => "r.message_type",
            Self::Role => "r.role",
            Self::App => "r.app_id",
            Self::Source => "r.source",
        }
    }
}

/// A column that has to have one of these values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Equality {
    pub(super) column: Column,
    pub(super) values: Vec<String>,
}

impl Equality {
    /// Whether an index has what this asks for in the order of the listing. What is usual (stored,
    /// from a message) has none, and needs none: it is found soon by looking.
    pub(super) fn is_listed(&self) -> bool {
        let [one] = self.values.as_slice() else { return false };
        match self.column {
            Column::State => one != State::Stored.as_str(),
            Column::Source => one != Source::Message.as_str(),
            _ => true,
        }
    }
}

/// What brings the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    /// The text index.
    Words,
    /// The listing of everything.
    Everything,
    /// The index of a column, which is in the order of the listing.
    Column(Column),
    /// The few rows of some messages, or with some digests: they are read and sorted.
    Few,
}

impl Plan {
    /// Looks up what a filter names, asked for at `asked_at`.
    ///
    /// # Errors
    /// If the catalogue cannot be read.
    pub(in crate::catalogue) async fn new(
        catalogue: &Catalogue,
        filter: &Filter,
        asked_at: Timestamp,
    ) -> Result<Self, CatalogueError> {
        let read = catalogue.read();
        let mut equalities = given(filter);
        let mut inequalities = Vec::new();
        let mut words = Words::default();
        if let Some(search) = &filter.search {
            let wanted = look_up(read, &search.wanted).await?;
            if search.has_words() {
                words = Words::new(read, filter, search, &wanted).await?;
            }
            equalities.extend(traits(&search.wanted, &wanted));
            inequalities = traits(&search.unwanted, &look_up(read, &search.unwanted).await?);
        }
        equalities.sort_by_key(|equality| equality.column);
        let lead = lead(filter, &equalities);
        let (filter, zone) = (filter.clone(), catalogue.zone().clone());
        Ok(Self { filter, asked_at, zone, equalities, inequalities, words, lead })
    }

    pub(super) fn search(&self) -> Option<&Search> {
        self.filter.search.as_ref()
    }

    pub(super) fn order(&self) -> Order {
        self.search().map_or(Order::Newest, |search| search.order)
    }

    /// Whether the texts of rows have to be looked at.
    pub(super) fn looks_at_texts(&self) -> bool {
        self.words.some_are_left_to_the_texts
            || self.search().is_some_and(|search| {
                !search.unwanted_words.is_empty() || search.words.iter().any(|word| word.is_more_than_its_pieces())
            })
    }

    /// Whether many rows may have to be read for one that is shown.
    pub(super) fn is_checked(&self) -> bool {
        self.looks_at_texts() || self.is_narrowed()
    }

    /// Whether there are conditions besides what leads and the texts.
    pub(super) fn is_narrowed(&self) -> bool {
        let led = usize::from(matches!(self.lead, Lead::Column(_)));
        let is_size_limited = |search: &Search| search.larger.or(search.smaller).is_some();
        self.equalities.len() > led
            || !self.inequalities.is_empty()
            || !self.filter.mime.is_empty() && self.lead != Lead::Column(Column::Mime)
            || self.filter.min_size.or(self.filter.max_size).is_some()
            || self.search().is_some_and(|search| {
                is_size_limited(search) || has_own_checks(&search.wanted) || has_own_checks(&search.unwanted)
            })
    }
}

/// Whether some traits are no matter of one column.
fn has_own_checks(traits: &Traits) -> bool {
    traits.mixes_kinds() || !traits.extensions.is_empty() || !traits.mimes.is_empty()
}

/// What the filter itself says of columns.
fn given(filter: &Filter) -> Vec<Equality> {
    let mut equalities = Vec::new();
    let mut add = |column, values: Vec<String>| {
        if !values.is_empty() {
            equalities.push(Equality { column, values });
        }
    };
    add(Column::Digest, spelled(&filter.sha256));
    add(Column::Sender, spelled(&filter.sender));
    add(Column::Chat, spelled(&filter.chat_id));
    add(Column::State, spelled(&filter.state));
    add(Column::MessageType, filter.message_type.clone());
    add(Column::Role, spelled(&filter.role));
    add(Column::App, spelled(&filter.app_id));
    add(Column::Source, spelled(&filter.source));
    if let [mime] = filter.mime.as_slice()
        && mime.family().is_none()
    {
        add(Column::Mime, vec![mime.as_str().to_owned()]);
    }
    equalities
}

fn spelled<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(T::to_string).collect()
}

/// Chats and senders that were asked for by name or id.
struct LookedUp {
    chats: Vec<NameRow>,
    senders: Vec<NameRow>,
}

async fn look_up(read: &Connections, traits: &Traits) -> Result<LookedUp, CatalogueError> {
    let ids = |named: &[Named]| named.iter().map(|named| named.id.clone()).collect::<Vec<_>>();
    let mut chats = chats_with_id(read, &ids(&traits.chats)).await?;
    for needle in traits.chats.iter().filter_map(|chat| chat.name.as_ref()) {
        let named = named_like(read, needle).await?.into_iter();
        chats.extend(named.filter(|row| matches!(row, NameRow::Chat { .. })));
    }
    let mut senders = senders_with_id(read, &ids(&traits.senders)).await?;
    for needle in traits.senders.iter().filter_map(|sender| sender.name.as_ref()) {
        let named = named_like(read, needle).await?.into_iter();
        senders.extend(named.filter(|row| matches!(row, NameRow::Sender { .. })));
    }
    Ok(LookedUp { chats, senders })
}

/// What the traits of a search say of columns.
fn traits(traits: &Traits, looked_up: &LookedUp) -> Vec<Equality> {
    let mut equalities = Vec::new();
    let mut add = |column, values: Vec<String>| equalities.push(Equality { column, values });
    if !traits.chats.is_empty() {
        add(Column::Chat, ids(&traits.chats, &looked_up.chats));
    }
    if !traits.senders.is_empty() {
        add(Column::Sender, ids(&traits.senders, &looked_up.senders));
    }
    if !traits.kinds.is_empty() && !traits.mixes_kinds() {
        let (roles, types): (Vec<_>, Vec<_>) = traits.kinds.iter().partition(|kind| matches!(kind, Kind::Role(_)));
        let column = if types.is_empty() { Column::Role } else { Column::MessageType };
        add(column, roles.into_iter().chain(types).map(|kind| kind.as_str().to_owned()).collect());
    }
    if !traits.states.is_empty() {
        add(Column::State, spelled(&traits.states));
    }
    if !traits.digests.is_empty() {
        add(Column::Digest, spelled(&traits.digests));
    }
    equalities
}

/// The ids that were found; if there are none, what was typed, which then nothing has.
fn ids(typed: &[Named], found: &[NameRow]) -> Vec<String> {
    let found: BTreeSet<&str> = found.iter().map(NameRow::id).collect();
    match found.is_empty() {
        true => typed.iter().map(|named| named.id.clone()).collect(),
        false => found.into_iter().map(str::to_owned).collect(),
    }
}

fn lead(filter: &Filter, equalities: &[Equality]) -> Lead {
    if filter.search.as_ref().is_some_and(Search::has_words) {
        return Lead::Words;
    }
    if !filter.message_id.is_empty() {
        return Lead::Few;
    }
    if let Some(listed) = equalities.iter().find(|equality| equality.is_listed()) {
        return Lead::Column(listed.column);
    }
    match equalities.iter().any(|equality| equality.column == Column::Digest) {
        true => Lead::Few,
        false => Lead::Everything,
    }
}

impl Words {
    /// Every word, and the marks of what else the index knows.
    async fn new(
        read: &Connections,
        filter: &Filter,
        search: &Search,
        wanted: &LookedUp,
    ) -> Result<Self, CatalogueError> {
        let mut all = Vec::new();
        let mut some_are_left_to_the_texts = false;
        for word in &search.words {
            let asked = match ask(read, word).await? {
                Asked::Wholly(expression) | Asked::Partly(Some(expression)) => expression,
                Asked::Partly(None) => {
                    some_are_left_to_the_texts = true;
                    continue;
                }
            };
            let mut ways = vec![format!("({asked})")];
            ways.extend(named_like(read, word).await?.iter().map(|row| quoted(&row.piece())));
            all.push(any_of(&ways));
        }
        all.extend(marks(read, filter, search, wanted).await?);
        let expression = Some(all.join(" AND ")).filter(|all| !all.is_empty());
        let expression = match expression {
            Some(wanted) => Some(without_unwanted(read, search, wanted).await?),
            None => None,
        };
        Ok(Self { expression, some_are_left_to_the_texts })
    }
}

/// The marks of chats, senders and roles: one of each that are asked for.
async fn marks(
    read: &Connections,
    filter: &Filter,
    search: &Search,
    wanted: &LookedUp,
) -> Result<Vec<String>, CatalogueError> {
    let mut all = Vec::new();
    let mut restrict = |asked: usize, marks: Vec<String>| {
        if asked > 0 {
            all.push(any_of(&if marks.is_empty() { vec![quoted(NOTHING)] } else { marks }));
        }
    };
    let marks = |rows: &[NameRow]| rows.iter().map(|row| quoted(&row.piece())).collect();
    restrict(filter.chat_id.len(), marks(&chats_with_id(read, &spelled(&filter.chat_id)).await?));
    restrict(filter.sender.len(), marks(&senders_with_id(read, &spelled(&filter.sender)).await?));
    restrict(search.wanted.chats.len(), marks(&wanted.chats));
    restrict(search.wanted.senders.len(), marks(&wanted.senders));
    let kinds = search.wanted.kinds.iter().filter(|_| !search.wanted.mixes_kinds()).filter_map(Kind::role);
    for roles in [filter.role.clone(), kinds.collect()] {
        restrict(roles.len(), roles.into_iter().map(|role| quoted(&role_piece(role))).collect());
    }
    Ok(all)
}

/// What is wanted without what is not, as far as the index knows: the texts are looked at anyway.
async fn without_unwanted(read: &Connections, search: &Search, wanted: String) -> Result<String, CatalogueError> {
    let mut unwanted = Vec::new();
    for word in search.unwanted_words.iter().filter(|word| !word.is_more_than_its_pieces()) {
        if let Asked::Wholly(expression) = ask(read, word).await? {
            unwanted.push(expression);
        }
    }
    Ok(if unwanted.is_empty() { wanted } else { format!("({wanted}) NOT {}", any_of(&unwanted)) })
}

/// A piece that no row of the text index has.
const NOTHING: &str = "_";

fn any_of(ways: &[String]) -> String {
    format!("({})", ways.join(" OR "))
}

/// Whether a search finds its words in the texts of one row. Folding is what costs, and most rows
/// have everything in the first text.
pub(super) fn finds(search: &Search, texts: &[Option<String>]) -> bool {
    let mut missing: Vec<&Needle> = search.words.iter().collect();
    for text in texts.iter().flatten() {
        if missing.is_empty() && search.unwanted_words.is_empty() {
            return true;
        }
        let folded = fold(text);
        if search.unwanted_words.iter().any(|word| word.is_in(&folded)) {
            return false;
        }
        missing.retain(|word| !word.is_in(&folded));
    }
    missing.is_empty()
}

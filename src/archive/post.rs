//! Posts in helpdesk tickets: all images of one, which the platform hands out by position and does
//! not count.

use super::asker::NoTenant;
use super::fetch::{Fetched, Fetcher, Manner};
use crate::catalogue::listing::resource::Resource;
use crate::catalogue::resources::Take;
use crate::catalogue::{CatalogueError, by_hand, tickets};
use crate::domain::download::State;
use crate::domain::source::Target;

/// More images than a post has; the platform's clients send a handful.
const MAX_IMAGES: u32 = 1_000;
/// What the platform says of a position behind the last one: bad request, or no such image.
const BEHIND_THE_END: [i64; 2] = [154_000, 154_004];

/// A walk over the images of one post.
#[derive(Debug)]
pub struct Walk<'a> {
    fetcher: &'a Fetcher,
    manner: &'a Manner,
    ticket_id: String,
    msg_id: String,
    next: Next,
}

#[derive(Debug, Clone, Copy)]
enum Next {
    Index(u32),
    Nowhere,
}

impl<'a> Walk<'a> {
    /// A walk over the post `msg_id` in a ticket, from its first image on.
    #[must_use]
    pub fn new(fetcher: &'a Fetcher, manner: &'a Manner, ticket_id: String, msg_id: String) -> Self {
        Self { fetcher, manner, ticket_id, msg_id, next: Next::Index(0) }
    }

    /// Fetches the next image; none behind the last one. What is neither stored nor gone ends the
    /// walk, because the images after it would fare no better.
    ///
    /// # Errors
    /// If nobody knows in whose name to ask, or the catalogue fails.
    pub async fn next(&mut self) -> Result<Option<Fetched>, NoTenant> {
        let Next::Index(index) = self.next else { return Ok(None) };
        self.next = Next::Nowhere;
        if index >= self.known_end().await?.unwrap_or(MAX_IMAGES) {
            return Ok(None);
        }
        let (ticket_id, msg_id) = (self.ticket_id.clone(), self.msg_id.clone());
        let target = Target::TicketImage { ticket_id, msg_id, index: Some(index) };
        let Some(fetched) = self.fetcher.fetch(&target, self.manner).await? else { return Ok(None) };
        if index > 0 && is_behind_the_end(&fetched.resource) {
            self.note_end(index, &fetched.resource).await?;
            return Ok(None);
        }
        if matches!(fetched.resource.state, State::Stored | State::Gone) {
            self.next = Next::Index(index + 1);
        }
        Ok(Some(fetched))
    }

    /// How many images there are, unless everything is to be asked again.
    async fn known_end(&self) -> Result<Option<u32>, CatalogueError> {
        if self.manner.take == Take::Anyway {
            return Ok(None);
        }
        let Fetcher { catalogue, asker, .. } = self.fetcher;
        tickets::images_of(catalogue.read(), &asker.app_id, &self.ticket_id, &self.msg_id).await
    }

    /// The end is no failure: it is remembered, and its row goes.
    async fn note_end(&self, images: u32, behind: &Resource) -> Result<(), CatalogueError> {
        let Fetcher { catalogue, asker, .. } = self.fetcher;
        let write = catalogue.write()?;
        tickets::note_images(write, &asker.app_id, &self.ticket_id, &self.msg_id, images).await?;
        by_hand::forget(write, behind.id).await
    }
}

fn is_behind_the_end(resource: &Resource) -> bool {
    let code = resource.upstream.as_ref().and_then(|upstream| upstream.code);
    resource.state == State::Impossible && code.is_some_and(|code| BEHIND_THE_END.contains(&code))
}

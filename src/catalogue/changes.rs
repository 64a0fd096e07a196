//! The change feed: which resources have changed since somebody last asked, and how they stand now.
//!
//! Triggers keep the newest change of each resource; nothing here does. Names of chats and people are no
//! part of a resource: they are looked up afterwards, and a rename would otherwise change a whole chat's resources.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::listing::resource::{self, Resource};
use super::{Catalogue, CatalogueError};
use crate::domain::id::ResourceId;

/// A stretch of the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Changes {
    /// What has changed, in the order of the changes; each resource once, under the number of its last change.
    pub items: Vec<Change>,
    /// Where to go on: `after` of the next request.
    pub next_after: i64,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// Its number; later changes have higher ones.
    pub seq: i64,
    /// What has changed, as it stands now.
    pub resource: Changed,
}

/// A resource that has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Changed {
    /// It is there to be seen.
    Shown(Box<Resource>),
    /// It is not, or not any more.
    Withdrawn(Withdrawn),
}

/// A resource that is not shown: its message was recalled and is hidden, or its row was an opened
/// forward's, which is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Withdrawn {
    /// Its id.
    pub id: ResourceId,
    /// Always true.
    pub hidden: bool,
}

/// Why there is no stretch.
#[derive(Debug, thiserror::Error)]
pub enum ChangesError {
    /// The reader has seen changes that never were here.
    #[error("there are only {newest} changes: another or an older catalogue is served now; begin again with after=0")]
    Ahead {
        /// The number of the last change.
        newest: i64,
    },
    /// The catalogue could not be read.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

/// What has changed after the change numbered `after`, at most `limit` resources.
///
/// # Errors
/// If `after` lies in the future, or the catalogue cannot be read.
pub async fn changes(catalogue: &Catalogue, after: i64, limit: u32) -> Result<Changes, ChangesError> {
    let feed = feed_after(catalogue, after, limit).await?;
    let Some((last, _)) = feed.last() else {
        let newest = newest(catalogue).await?;
        let empty = Changes { items: Vec::new(), next_after: after };
        return if after > newest { Err(ChangesError::Ahead { newest }) } else { Ok(empty) };
    };
    let next_after = *last;
    // The resources are read after the feed, so that each stands at least where its number says.
    let ids: Vec<ResourceId> = feed.iter().map(|(_, id)| *id).collect();
    let shown = resource::find_all(catalogue, &ids).await?;
    let mut shown: HashMap<ResourceId, Resource> = shown.into_iter().map(|resource| (resource.id, resource)).collect();
    let items = feed
        .into_iter()
        .map(|(seq, id)| {
            let withdrawn = Changed::Withdrawn(Withdrawn { id, hidden: true });
            let resource = shown.remove(&id).map_or(withdrawn, |resource| Changed::Shown(Box::new(resource)));
            Change { seq, resource }
        })
        .collect();
    Ok(Changes { items, next_after })
}

async fn feed_after(catalogue: &Catalogue, after: i64, limit: u32) -> Result<Vec<(i64, ResourceId)>, CatalogueError> {
    let feed: Vec<(i64, i64)> =
        sqlx::query_as("SELECT seq, resource_row_id FROM changes WHERE seq > ? ORDER BY seq LIMIT ?")
            .bind(after)
            .bind(limit)
            .fetch_all(catalogue.read())
            .await?;
    Ok(feed.into_iter().map(|(seq, row)| (seq, ResourceId(row))).collect())
}

async fn newest(catalogue: &Catalogue) -> Result<i64, CatalogueError> {
    let newest: Option<i64> = sqlx::query_scalar("SELECT MAX(seq) FROM changes").fetch_one(catalogue.read()).await?;
    Ok(newest.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::listing::seed::{Seed, Seeded};

    /// Columns of a resource's row that its public form does not show, or shows of its message.
    const NOT_SHOWN: [&str; 11] = [
        "resource_row_id",
        "failures",
        "failures_alike",
        "rate_waits",
        "failing_since",
        "lease_owner",
        "lease_until",
        "index_asked",
        "cover_key",
        "sender_open_id",
        "message_type",
    ];

    async fn feed(seeded: &Seeded, after: i64) -> Changes {
        changes(&seeded.catalogue, after, 200).await.unwrap()
    }

    #[tokio::test]
    async fn every_column_that_is_shown_makes_a_change() {
        let seeded = Seeded::new().await;
        let watched: String = sqlx::query_scalar("SELECT sql FROM sqlite_master WHERE name = 'changes_of_resources'")
            .fetch_one(seeded.catalogue.read())
            .await
            .unwrap();
        let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info('resources')")
            .fetch_all(seeded.catalogue.read())
            .await
            .unwrap();
        for column in columns.iter().filter(|column| !NOT_SHOWN.contains(&column.as_str())) {
            assert!(watched.contains(&format!("OLD.{column} IS NOT NEW.{column}")), "{column}");
        }
    }

    #[tokio::test]
    async fn a_change_comes_behind_everything_that_was_read() {
        let seeded = Seeded::new().await;
        seeded.add("img_1", Seed::default()).await;
        seeded.add("img_2", Seed::default()).await;
        let first = feed(&seeded, 0).await;
        assert_eq!((first.items.len(), first.next_after), (2, 2));
        assert_eq!(feed(&seeded, 2).await, Changes { items: vec![], next_after: 2 });

        for sql in [
            "UPDATE resources SET file_name = 'a.png' WHERE resource_row_id = 1",
            "UPDATE resources SET attempts = attempts + 1 WHERE resource_row_id = 1",
            "UPDATE messages SET recalled_at = 1",
        ] {
            let before = feed(&seeded, 0).await.next_after;
            seeded.run(sql).await;
            assert!(!feed(&seeded, before).await.items.is_empty(), "{sql}");
        }
        let after = feed(&seeded, 0).await.next_after;
        seeded.run("UPDATE resources SET failures = 7, lease_until = NULL WHERE resource_row_id = 1").await;
        seeded.run("UPDATE resources SET state = state, attempts = attempts").await;
        seeded.run("UPDATE messages SET recalled_at = 1, text = 'other'").await;
        assert_eq!(feed(&seeded, after).await.items, [], "nothing that is shown has changed");
    }

    #[tokio::test]
    async fn what_is_hidden_or_removed_is_withdrawn() {
        let seeded = Seeded::new().await;
        let kept = seeded.add("img_1", Seed::default()).await;
        let hidden = Seed { message_id: "om_2".to_owned(), ..Seed::default() };
        let hidden = seeded.add("img_2", hidden).await;
        let removed = seeded.add("img_3", Seed::default()).await;
        let after = feed(&seeded, 0).await.next_after;
        seeded.run("UPDATE messages SET hidden = 1 WHERE message_id = 'om_2'").await;
        seeded.run("DELETE FROM resources WHERE key = 'img_3'").await;
        let withdrawn = |id| Changed::Withdrawn(Withdrawn { id, hidden: true });
        let told: Vec<Changed> = feed(&seeded, after).await.items.into_iter().map(|item| item.resource).collect();
        assert_eq!(told, [withdrawn(hidden), withdrawn(removed)]);

        let replayed = feed(&seeded, 0).await;
        assert_eq!(replayed.items.len(), 3, "each resource once, however often it changed");
        assert!(matches!(&replayed.items[0].resource, Changed::Shown(resource) if resource.id == kept));
    }

    #[tokio::test]
    async fn a_reader_of_another_catalogue_is_told_so() {
        let seeded = Seeded::new().await;
        seeded.add("img_1", Seed::default()).await;
        let refused = changes(&seeded.catalogue, 2, 1).await;
        assert!(matches!(refused, Err(ChangesError::Ahead { newest: 1 })));
    }
}

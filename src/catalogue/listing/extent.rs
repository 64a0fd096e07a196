//! How much a filter asks for, counted: for whoever has to wait for all of it.

use super::STRIDE;
use super::plan::Plan;
use super::stretch::Reader;
use crate::catalogue::{Catalogue, CatalogueError};
use crate::domain::filter::Filter;
use crate::domain::time::Timestamp;

/// What a filter asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// How many resources.
    pub resources: u64,
    /// How many bytes those of them have that are stored; equal bytes count each time.
    pub bytes: u64,
}

/// What is read of each row.
const BYTES: &str = "iif(r.state = 'stored', r.size_bytes, 0)";

/// Counts what a filter asks for, asked at `now`. Reads every row of it, a stretch at a time.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn extent(catalogue: &Catalogue, filter: &Filter, now: Timestamp) -> Result<Extent, CatalogueError> {
    let plan = Plan::new(catalogue, &filter.newest_first(), now).await?;
    let reader = Reader { catalogue, plan: &plan, value: BYTES, also: None };
    let (mut extent, mut after) = (Extent { resources: 0, bytes: 0 }, None);
    loop {
        let stretch = reader.read(after, STRIDE).await?;
        for found in &stretch.found {
            extent.resources += 1;
            // A size that is not known is none.
            extent.bytes += found.value.get().parse::<u64>().unwrap_or(0);
        }
        after = stretch.rest;
        if after.is_none() {
            return Ok(extent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::listing::seed::{Seed, Seeded, noon};

    #[tokio::test]
    async fn what_is_asked_for_is_counted_and_nothing_else() {
        let seeded = Seeded::new().await;
        seeded.add("img_1", Seed::stored(&"0f".repeat(32), 68)).await;
        seeded.add("img_2", Seed::default()).await;
        seeded.add("img_3", Seed { message_id: "om_2".to_owned(), hidden: 1, ..Seed::default() }).await;
        let all = extent(&seeded.catalogue, &Filter::default(), noon()).await.unwrap();
        assert_eq!(all, Extent { resources: 2, bytes: 68 });
        let mut large = Filter::default();
        large.add("min_size", "69").unwrap();
        assert_eq!(extent(&seeded.catalogue, &large, noon()).await.unwrap(), Extent { resources: 0, bytes: 0 });
    }
}

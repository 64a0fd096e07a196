//! How much a filter asks for, counted: for whoever has to wait for all of it.

use sqlx::Row as _;

use super::listing::selection::{FROM_RESOURCES, Sql, push_selection};
use super::{Catalogue, CatalogueError};
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

/// Counts what a filter asks for, asked at `now`. Reads every row of it.
///
/// # Errors
/// If the catalogue cannot be read.
pub async fn extent(catalogue: &Catalogue, filter: &Filter, now: Timestamp) -> Result<Extent, CatalogueError> {
    let mut sql = Sql::new(
        "SELECT COUNT(*) AS resources,
            COALESCE(SUM(r.size_bytes) FILTER (WHERE r.state = 'stored'), 0) AS bytes",
    );
    sql.push(FROM_RESOURCES);
    push_selection(&mut sql, filter, now, None);
    let row = sql.build().fetch_one(catalogue.read()).await?;
    let number = |column| row.try_get::<i64, _>(column).map(|number| u64::try_from(number).unwrap_or(0));
    Ok(Extent { resources: number("resources")?, bytes: number("bytes")? })
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

//! The texts of reasons, in a table so that views can show them.

use sqlx::{QueryBuilder, Sqlite};

use super::CatalogueError;
use super::connections::Connections;
use crate::domain::reason::ReasonCode;

/// Writes what this program says about each reason.
///
/// # Errors
/// If SQLite fails.
pub async fn write_texts(write: &Connections, reasons: &[ReasonCode]) -> Result<(), CatalogueError> {
    let mut insert =
        QueryBuilder::<Sqlite>::new("INSERT INTO reasons (reason_code, state, cause_en, remedy_zh, remedy_en) ");
    insert.push_values(reasons, |mut row, reason| {
        row.push_bind(reason.as_str())
            .push_bind(reason.state().as_str())
            .push_bind(reason.cause().en)
            .push_bind(reason.remedy().zh)
            .push_bind(reason.remedy().en);
    });
    insert.push(
        " ON CONFLICT (reason_code) DO UPDATE SET state = excluded.state, cause_en = excluded.cause_en,
              remedy_zh = excluded.remedy_zh, remedy_en = excluded.remedy_en",
    );
    insert.build().execute(write).await?;
    Ok(())
}

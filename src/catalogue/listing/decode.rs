//! Rows read back: what the catalogue holds is parsed again, and a value that is not what its
//! column promises is an error that says where it stands.

use std::fmt::Display;
use std::str::FromStr;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::catalogue::CatalogueError;
use crate::domain::time::Timestamp;

/// The columns of one table in a row that a query returned.
pub(super) struct Columns<'r> {
    row: &'r SqliteRow,
    table: &'static str,
    row_id: i64,
}

impl<'r> Columns<'r> {
    /// The columns of `table`, whose row is named by the column `key` (0 where an outer join found none).
    pub(super) fn of(row: &'r SqliteRow, table: &'static str, key: &'static str) -> Result<Self, CatalogueError> {
        let row_id: Option<i64> = row.try_get(key)?;
        Ok(Self { row, table, row_id: row_id.unwrap_or(0) })
    }

    /// The row's own number.
    pub(super) fn row_id(&self) -> i64 {
        self.row_id
    }

    /// A text as it stands.
    pub(super) fn text(&self, column: &'static str) -> Result<Option<String>, CatalogueError> {
        Ok(self.row.try_get(column)?)
    }

    /// A text with a meaning.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, column: &'static str) -> Result<Option<T>, CatalogueError> {
        let text = self.text(column)?;
        text.map(|text| text.parse().map_err(|error: T::Err| self.bad(column, error))).transpose()
    }

    /// A whole number that fits its type.
    pub(super) fn number<N: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<N>, CatalogueError> {
        let number: Option<i64> = self.row.try_get(column)?;
        number.map(|number| N::try_from(number).map_err(|_| self.bad(column, format_args!("{number}")))).transpose()
    }

    /// A point in time.
    pub(super) fn time(&self, column: &'static str) -> Result<Option<Timestamp>, CatalogueError> {
        let ms: Option<i64> = self.row.try_get(column)?;
        ms.map(|ms| Timestamp::from_unix_ms(ms).ok_or_else(|| self.bad(column, format_args!("{ms} is not a time"))))
            .transpose()
    }

    /// A value that has to be there, read by one of the functions above.
    pub(super) fn required<T>(
        &self,
        column: &'static str,
        read: impl FnOnce(&Self, &'static str) -> Result<Option<T>, CatalogueError>,
    ) -> Result<T, CatalogueError> {
        read(self, column)?.ok_or_else(|| self.bad(column, "there is none"))
    }

    fn bad(&self, column: &'static str, message: impl Display) -> CatalogueError {
        CatalogueError::BadValue { table: self.table, column, row: self.row_id, message: message.to_string() }
    }
}

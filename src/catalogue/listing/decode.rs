//! Rows read back: what the catalogue holds is parsed again, and a value that is not what its
//! column promises is an error that says where it stands.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};
use sqlx::Row as _;
use sqlx::error::BoxDynError;
use sqlx::sqlite::SqliteRow;

use crate::catalogue::CatalogueError;
use crate::domain::time::Timestamp;

/// A column of a row that comes packed: its name, and the SQL that it stands for.
pub(super) type Packing = (&'static str, &'static str);

/// The SQL that packs columns into one value, a JSON array. Each value of a row is copied on its own
/// on the way from the connection's thread: dozens of them cost more than finding the row.
pub(super) fn pack(columns: &[Packing]) -> String {
    let expressions: Vec<&str> = columns.iter().map(|(_, expression)| *expression).collect();
    format!("json_array({})", expressions.join(", "))
}

/// One value of a packed row. What is no text and no whole number is none that a catalogue has.
enum Value<'r> {
    Nothing,
    Number(i64),
    Text(Cow<'r, str>),
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

/// Takes a value without copying a text that stands there as it is.
struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a whole number or nothing")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        i64::try_from(number).map(Value::Number).map_err(E::custom)
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }
}

/// A row that came packed.
pub(super) struct Packed<'r> {
    columns: &'static [Packing],
    values: Vec<Value<'r>>,
}

impl<'r> Packed<'r> {
    /// Reads these columns from what [`pack`] made of them.
    pub(super) fn read(packed: &'r str, columns: &'static [Packing]) -> Result<Self, CatalogueError> {
        let values = serde_json::from_str(packed).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Self { columns, values })
    }

    /// The columns of `table`, whose row is named by the column `key` (0 where an outer join found none).
    pub(super) fn columns(&self, table: &'static str, key: &'static str) -> Result<Columns<'_>, CatalogueError> {
        Columns::new(Values::Packed(self), table, key)
    }

    fn value(&self, column: &'static str) -> Result<&Value<'r>, CatalogueError> {
        let place = self.columns.iter().position(|(name, _)| *name == column);
        let value = place.and_then(|place| self.values.get(place));
        value.ok_or_else(|| sqlx::Error::ColumnNotFound(column.to_owned()).into())
    }
}

fn decode_error(column: &'static str, source: impl Into<BoxDynError>) -> CatalogueError {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: source.into() }.into()
}

/// The columns of one table in a row that a query returned.
pub(super) struct Columns<'r> {
    values: Values<'r>,
    table: &'static str,
    row_id: i64,
}

/// How a row came.
#[derive(Clone, Copy)]
enum Values<'r> {
    Each(&'r SqliteRow),
    Packed(&'r Packed<'r>),
}

impl<'r> Values<'r> {
    fn text(self, column: &'static str) -> Result<Option<&'r str>, CatalogueError> {
        match self {
            Self::Each(row) => Ok(row.try_get(column)?),
            Self::Packed(packed) => match packed.value(column)? {
                Value::Nothing => Ok(None),
                Value::Text(text) => Ok(Some(text)),
                Value::Number(_) => Err(decode_error(column, "this is no text")),
            },
        }
    }

    fn number(self, column: &'static str) -> Result<Option<i64>, CatalogueError> {
        match self {
            Self::Each(row) => Ok(row.try_get(column)?),
            Self::Packed(packed) => match packed.value(column)? {
                Value::Nothing => Ok(None),
                Value::Number(number) => Ok(Some(*number)),
                Value::Text(_) => Err(decode_error(column, "this is no whole number")),
            },
        }
    }
}

impl<'r> Columns<'r> {
    /// The columns of `table`, whose row is named by the column `key` (0 where an outer join found none).
    pub(super) fn of(row: &'r SqliteRow, table: &'static str, key: &'static str) -> Result<Self, CatalogueError> {
        Self::new(Values::Each(row), table, key)
    }

    fn new(values: Values<'r>, table: &'static str, key: &'static str) -> Result<Self, CatalogueError> {
        Ok(Self { values, table, row_id: values.number(key)?.unwrap_or(0) })
    }

    /// The row's own number.
    pub(super) fn row_id(&self) -> i64 {
        self.row_id
    }

    /// A text as it stands.
    pub(super) fn text(&self, column: &'static str) -> Result<Option<String>, CatalogueError> {
        Ok(self.values.text(column)?.map(str::to_owned))
    }

    /// A text with a meaning.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, column: &'static str) -> Result<Option<T>, CatalogueError> {
        let text = self.values.text(column)?;
        text.map(|text| text.parse().map_err(|error: T::Err| self.bad(column, error))).transpose()
    }

    /// A whole number that fits its type.
    pub(super) fn number<N: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<N>, CatalogueError> {
        let number = self.values.number(column)?;
        number.map(|number| N::try_from(number).map_err(|_| self.bad(column, format_args!("{number}")))).transpose()
    }

    /// A point in time.
    pub(super) fn time(&self, column: &'static str) -> Result<Option<Timestamp>, CatalogueError> {
        let ms = self.values.number(column)?;
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

//! Results on stdout: as a table for people, as JSON or CSV for programs. Printed as they come,
//! so that a long result needs no more memory than a short one.

use std::io::{self, IsTerminal as _, Write};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use comfy_table::presets::NOTHING;
use comfy_table::{ColumnConstraint, Row, Table, Width};
use serde::Serialize;

use super::{Exit, Outcome};
use crate::domain::cell::Cell;
pub use crate::domain::readable::{human_bytes, visible};
use crate::domain::zone::Zone;

/// The widest that a column of a table gets; what is longer ends with `…`.
const WIDEST_COLUMN: u16 = 44;
/// The blanks between two columns.
const GAP: u16 = 2;

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated values with a header line.
    Csv,
}

/// The option that chooses a format.
#[derive(Debug, Clone, Copy, Args)]
pub struct FormatOption {
    /// How to print the result [default: table on a terminal, ndjson otherwise]
    // Global, so that it may stand behind the words of a subcommand as well.
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
}

impl FormatOption {
    /// The format that was chosen, else what fits where stdout leads to.
    #[must_use]
    pub fn choose(self) -> Format {
        let fitting = || if io::stdout().is_terminal() { Format::Table } else { Format::Ndjson };
        self.format.unwrap_or_else(fitting)
    }
}

/// Something that can be printed in every format. Its JSON is what it serializes to.
pub trait Record: Serialize {
    /// The columns of its CSV.
    const COLUMNS: &'static [&'static str];
    /// The columns of its table.
    const HEADINGS: &'static [&'static str];

    /// The values under [`Record::COLUMNS`].
    fn values(&self) -> Vec<Cell>;

    /// The headings where times are those of this zone.
    fn headings(_zone: &Zone) -> Vec<String> {
        Self::HEADINGS.iter().map(|heading| (*heading).to_owned()).collect()
    }

    /// The values under [`Record::HEADINGS`], with times as clocks in this zone show them.
    fn cells(&self, zone: &Zone) -> Vec<String>;
}

/// A result that is not written through yet.
pub type Stdout = io::BufWriter<io::Stdout>;

/// Where results go.
#[must_use]
pub fn stdout() -> Stdout {
    io::BufWriter::new(io::stdout())
}

/// A reader that has seen enough (`| head`) closes its end. That is no failure of ours.
///
/// # Errors
/// Every other error.
pub fn forgive_closed_pipe(outcome: Outcome) -> Outcome {
    let is_closed_pipe = |error: &anyhow::Error| {
        error.chain().any(|cause| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        })
    };
    match outcome {
        Err(error) if is_closed_pipe(&error) => Ok(Exit::Done),
        other => other,
    }
}

/// Prints any number of records of one kind, a stretch at a time.
#[derive(Debug)]
pub struct Printer<W> {
    out: W,
    format: Format,
    /// Whose clocks show the times of a table.
    zone: Zone,
    /// The widths that the first stretch gave the table's columns, so that later ones stand below them.
    widths: Option<Vec<u16>>,
    printed: u64,
}

impl<W: Write> Printer<W> {
    /// A printer that has printed nothing yet.
    pub fn new(out: W, format: Format) -> Self {
        Self { out, format, zone: Zone::default(), widths: None, printed: 0 }
    }

    /// The same, with the times of a table as clocks in this zone show them.
    #[must_use]
    pub fn in_zone(self, zone: Zone) -> Self {
        Self { zone, ..self }
    }

    /// Prints the next records.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn print<R: Record>(&mut self, records: &[R]) -> anyhow::Result<()> {
        match self.format {
            Format::Table => {
                let zone = self.zone.clone();
                self.print_table(&R::headings(&zone), records.iter().map(|record| record.cells(&zone)))?;
            }
            Format::Csv => self.print_csv(R::COLUMNS, records.iter().map(R::values))?,
            Format::Json | Format::Ndjson => self.print_json(records)?,
        }
        self.out.flush().context("Failed to write the result")
    }

    /// Prints the next rows of something whose columns are only known now.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn print_rows<R: Serialize>(
        &mut self,
        columns: &[String],
        rows: &[R],
        cells: impl Fn(&R) -> Vec<Cell>,
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Table => {
                let in_words = |row| cells(row).iter().map(|cell| cell.as_str().to_owned()).collect();
                self.print_table(columns, rows.iter().map(in_words))?;
            }
            Format::Csv => self.print_csv(columns, rows.iter().map(cells))?,
            Format::Json | Format::Ndjson => self.print_json(rows)?,
        }
        self.out.flush().context("Failed to write the result")
    }

    /// Prints what belongs behind the last record, or what stands for none of them.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish<R: Record>(mut self) -> anyhow::Result<()> {
        match self.format {
            Format::Table => self.end(&R::headings(&self.zone.clone())),
            _ => self.end(R::COLUMNS),
        }
    }

    /// The same for rows under these columns.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn end<C: AsRef<str>>(&mut self, columns: &[C]) -> anyhow::Result<()> {
        match (self.format, self.printed) {
            (Format::Json, 0) => writeln!(self.out, "[]")?,
            (Format::Json, _) => writeln!(self.out, "\n]")?,
            (Format::Csv, 0) => self.print_csv(columns, std::iter::empty())?,
            (Format::Table, 0) => self.print_table(columns, std::iter::empty())?,
            _ => {}
        }
        self.out.flush().context("Failed to write the result")
    }

    fn print_json<R: Serialize>(&mut self, records: &[R]) -> anyhow::Result<()> {
        for record in records {
            let json = serde_json::to_string(record)?;
            match (self.format, self.printed) {
                (Format::Json, 0) => write!(self.out, "[\n{json}")?,
                (Format::Json, _) => write!(self.out, ",\n{json}")?,
                _ => writeln!(self.out, "{json}")?,
            }
            self.printed += 1;
        }
        Ok(())
    }

    fn print_csv<C: AsRef<str>>(&mut self, columns: &[C], rows: impl Iterator<Item = Vec<Cell>>) -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        if self.printed == 0 {
            writer.write_record(columns.iter().map(C::as_ref))?;
            self.printed = 1;
        }
        for row in rows {
            writer.write_record(row.into_iter().map(Cell::in_csv))?;
        }
        let lines = writer.into_inner().context("Failed to write the result")?;
        Ok(self.out.write_all(&lines)?)
    }

    fn print_table<C: AsRef<str>>(
        &mut self,
        headings: &[C],
        rows: impl Iterator<Item = Vec<String>>,
    ) -> anyhow::Result<()> {
        let mut table = Table::new();
        table.load_style(NOTHING);
        if self.printed == 0 {
            table.add_row(headings.iter().map(|heading| visible(heading.as_ref())).collect::<Vec<_>>());
            self.printed = 1;
        }
        for cells in rows {
            let mut row = Row::from(cells.iter().map(|cell| visible(cell)).collect::<Vec<_>>());
            row.max_height(1);
            table.add_row(row);
        }
        let widths = self.widths.get_or_insert_with(|| column_widths(&table));
        for (column, width) in table.column_iter_mut().zip(widths.iter()) {
            column.set_padding((0, GAP));
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width + GAP)));
        }
        if table.row_count() > 0 {
            writeln!(self.out, "{}", table.trim_fmt())?;
        }
        Ok(())
    }
}

fn column_widths(table: &Table) -> Vec<u16> {
    table.column_max_content_widths().into_iter().map(|width| width.min(WIDEST_COLUMN)).collect()
}

/// Prints names and values below one another, for one thing with many properties. What has no
/// value is left out.
///
/// # Errors
/// If it cannot be written.
pub fn print_properties<'a>(
    out: &mut impl Write,
    properties: impl IntoIterator<Item = (&'a str, String)>,
) -> anyhow::Result<()> {
    let properties: Vec<_> = properties.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = properties.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in properties {
        writeln!(out, "{name:width$}  {}", visible(&value))?;
    }
    Ok(())
}

/// A value in words: nothing for nothing.
pub fn value(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Pair(&'static str, u32);

    impl Record for Pair {
        const COLUMNS: &'static [&'static str] = &["name", "count"];
        const HEADINGS: &'static [&'static str] = &["NAME", "COUNT"];

        fn values(&self) -> Vec<Cell> {
            vec![Cell::text(Some(self.0)), Cell::number(Some(self.1))]
        }

        fn cells(&self, _: &Zone) -> Vec<String> {
            vec![self.0.to_owned(), self.1.to_string()]
        }
    }

    fn printed(format: Format, stretches: &[&[Pair]]) -> String {
        let mut out = Vec::new();
        let mut printer = Printer::new(&mut out, format);
        for stretch in stretches {
            printer.print(stretch).unwrap();
        }
        printer.finish::<Pair>().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn stretches_join_without_a_seam() {
        let two: &[&[Pair]] = &[&[Pair("a,b", 1), Pair("报销单", 2)], &[Pair("a name that is much longer", 3)]];
        assert_eq!(printed(Format::Ndjson, two), "[\"a,b\",1]\n[\"报销单\",2]\n[\"a name that is much longer\",3]\n");
        assert_eq!(
            printed(Format::Json, two),
            "[\n[\"a,b\",1],\n[\"报销单\",2],\n[\"a name that is much longer\",3]\n]\n"
        );
        assert_eq!(printed(Format::Csv, two), "name,count\n\"a,b\",1\n报销单,2\na name that is much longer,3\n");
        assert_eq!(printed(Format::Table, two), "NAME    COUNT\na,b     1\n报销单  2\na nam…  3\n");
    }

    #[test]
    fn nothing_is_printed_as_nothing_that_parses() {
        assert_eq!(printed(Format::Ndjson, &[]), "");
        assert_eq!(printed(Format::Json, &[]), "[]\n");
        assert_eq!(printed(Format::Csv, &[]), "name,count\n");
        assert_eq!(printed(Format::Table, &[]), "NAME  COUNT\n");
    }

    #[test]
    fn a_closed_pipe_is_a_quiet_end() {
        let closed = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("Failed to write");
        assert!(matches!(forgive_closed_pipe(Err(closed)), Ok(Exit::Done)));
        let full = anyhow::Error::from(io::Error::from(io::ErrorKind::StorageFull));
        assert!(forgive_closed_pipe(Err(full)).is_err());
    }
}

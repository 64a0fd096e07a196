//! Rounds: figures that were measured several times over, as a Markdown table.

use std::fmt;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Three rounds at full size.
    Full,
    /// One small round: shows that everything works, and roughly how fast.
    Quick,
}

impl Extent {
    /// What the command line asks of the benchmark with this name; nothing if it names only others.
    pub(crate) fn asked_of(name: &str) -> Option<Self> {
        let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
        let extent = if words.iter().any(|word| word == "--quick") { Self::Quick } else { Self::Full };
        let names: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
        (names.is_empty() || names.iter().any(|word| *word == name)).then_some(extent)
    }

    /// The value for the full extent, or the one for the quick one.
    pub(crate) fn choose<T>(self, full: T, quick: T) -> T {
        match self {
            Self::Full => full,
            Self::Quick => quick,
        }
    }

    pub(crate) fn rounds(self) -> u32 {
        self.choose(3, 1)
    }
}

/// Figures with what each round gave.
#[derive(Debug, Default)]
pub(crate) struct Figures(Vec<(&'static str, Vec<f64>)>);

impl Figures {
    /// Adds what this round gave, and tells whoever waits in front of the screen.
    pub(crate) fn add(&mut self, name: &'static str, value: f64) {
        eprintln!("  {name}: {value:.1}");
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => self.0.push((name, vec![value])),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| Figure | Median | Lowest | Highest |\n|---|---|---|---|")?;
        for (name, values) in &self.0 {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            if let (Some(median), Some(lowest), Some(highest)) =
                (sorted.get(sorted.len() / 2), sorted.first(), sorted.last())
            {
                writeln!(f, "| {name} | {median:.1} | {lowest:.1} | {highest:.1} |")?;
            }
        }
        Ok(())
    }
}

//! Sizes and spans as people write them in settings and filters.

use std::time::Duration;

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a size; write bytes, or a number with KB, MB, GB (1000) or KiB, MiB, GiB (1024), such as 10MB")]
pub struct NotASize(String);

/// A text that is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a span; write a number with s, m, h or d, such as 90m")]
pub struct NotASpan(String);

/// Reads a size in bytes: `1048576`, `10MB`, `2 GiB`. Fractions are allowed with a unit (`1.5GB`).
///
/// # Errors
/// Says what was written and what is understood.
pub fn parse_size(text: &str) -> Result<u64, NotASize> {
    let refuse = || NotASize(text.to_owned());
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(refuse()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale).filter(|bytes| i64::try_from(*bytes).is_ok()).ok_or_else(refuse);
    }
    let well_formed = number.split('.').count() == 2 && number.split('.').all(|part| !part.is_empty());
    let fraction: f64 = number.parse().map_err(|_| refuse())?;
    let bytes = fraction * scale as f64;
    if scale == 1 || !well_formed || bytes > 9e18 {
        return Err(refuse());
    }
    Ok(bytes as u64)
}

/// Reads a span: a whole number with `s`, `m`, `h` or `d`.
///
/// # Errors
/// Says what was written and what is understood.
pub fn parse_span(text: &str) -> Result<Duration, NotASpan> {
    let refuse = || NotASpan(text.to_owned());
    let unit = text.chars().next_back().ok_or_else(refuse)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(refuse()),
    };
    let number = text.trim_end_matches(unit);
    if number.len() + 1 != text.len() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refuse());
    }
    let count: u64 = number.parse().map_err(|_| refuse())?;
    count.checked_mul(seconds).map(Duration::from_secs).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_know_both_kinds_of_kilo() {
        for (text, bytes) in
            [("0", 0), ("10MB", 10_000_000), ("10 MiB", 10 << 20), ("1.5GB", 1_500_000_000), ("2gib", 2 << 30)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "MB", "-1", "1,5GB", "1.5", "1..5MB", "10  MB", "10XB", "9999999999GiB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_are_a_number_and_a_letter() {
        for (text, seconds) in [("90m", 5400), ("36h", 129_600), ("7d", 604_800), ("0s", 0)] {
            assert_eq!(parse_span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for bad in ["", "m", "90", "1.5h", "90mm", "7 d", "-7d", "99999999999999999999d", "7日"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }
}

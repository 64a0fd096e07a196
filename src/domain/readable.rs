//! Values as people read them, on a terminal or a page.

/// A number of bytes as people like to read it, in units of 1000.
#[must_use]
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    let mut rest = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        // What would be printed as 1000.0 of a unit is 1.0 of the next.
        if rest < 999.95 {
            break;
        }
        rest /= 1000.0;
        unit = larger;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{rest:.1} {unit}") }
}

/// A text that cannot move the cursor, ring, or turn the direction of what stands around it: names
/// in messages are written by strangers.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible_mark(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Line separators and the marks that change the direction of writing.
#[must_use]
pub fn is_invisible_mark(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_rounded_to_a_unit() {
        for (bytes, shown) in
            [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_950, "1.0 MB"), (40_000_000, "40.0 MB")]
        {
            assert_eq!(human_bytes(bytes), shown);
        }
    }

    #[test]
    fn a_name_cannot_play_with_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\n\u{9b}\u{202e}gpj.exe"), "a\\u{1b}[2Jb\\u{a}\\u{9b}\\u{202e}gpj.exe");
        assert_eq!(visible("第四课 😀.pdf"), "第四课 😀.pdf");
    }
}

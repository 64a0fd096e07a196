//! File names that Windows, macOS and Linux all take, made of names that strangers wrote.

use icu_normalizer::ComposingNormalizerBorrowed;

use crate::catalogue::listing::resource::Resource;
use crate::domain::id::ResourceId;
use crate::domain::media;

/// The longest name in bytes of UTF-8: the limit of Linux, and within those of the others.
const MAX_BYTES: usize = 255;
/// What follows the last dot is an ending if it is no longer than this, dot included.
const MAX_ENDING_BYTES: usize = 20;
/// An ending before that, without its dot: `tar`, `sql`, `warc`.
const MAX_INNER_BYTES: usize = 8;
/// Endings of what holds one other file, packed or encrypted, or belongs to one: the kind stands before them.
const WRAPPINGS: [&str; 15] =
    [".br", ".bz2", ".gz", ".lz", ".lz4", ".lzma", ".lzo", ".sz", ".xz", ".z", ".zst", ".age", ".asc", ".gpg", ".sig"];
/// The hexadecimal digits of a resource's id.
const ID_DIGITS: usize = 12;
/// Names that Windows keeps for devices, whatever ending follows.
const DEVICES: [&str; 7] = ["CON", "PRN", "AUX", "NUL", "CLOCK$", "CONIN$", "CONOUT$"];
const NUMBERED_DEVICES: [&str; 2] = ["COM", "LPT"];

/// A name as it may stand in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// The original one, as far as file systems take it.
    Original(String),
    /// One that only its resource can have.
    Unique(String),
}

/// The name of a resource's file, if nothing else in the folder has it.
pub(super) fn of(resource: &Resource) -> Name {
    match resource.file_name.as_deref().and_then(portable) {
        // What looks unique must be: it could be another resource's unique name.
        Some(name) if looks_unique(&name) => Name::Unique(unique(&name, resource.id)),
        Some(name) => Name::Original(name),
        None => Name::Unique(unique(&nameless(resource), resource.id)),
    }
}

/// A name with the resource's id before its ending, which no other resource has.
pub(super) fn unique(name: &str, id: ResourceId) -> String {
    let (stem, ending) = split_ending(name);
    fitted(stem, &format!("-{id}"), ending)
}

/// A name without anything that a file system refuses or a reader could be deceived with; `None` if
/// nothing is left.
pub(super) fn portable(name: &str) -> Option<String> {
    let composed = ComposingNormalizerBorrowed::new_nfc().normalize(name);
    let plain: String = composed.chars().map(|c| if is_refused(c) { '_' } else { c }).collect();
    let trimmed = plain.trim().trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    if trimmed.is_empty() {
        return None;
    }
    // A leading dot hides a file.
    let guard = if trimmed.starts_with('.') || is_device(trimmed) { "_" } else { "" };
    let guarded = format!("{guard}{trimmed}");
    let (stem, ending) = split_ending(&guarded);
    Some(fitted(stem, "", ending))
}

/// What is equal for names that some file system takes for the same: those that ignore case, those that
/// ignore how a letter is composed, and those that pass over what cannot be seen. That is Unicode's caseless
/// comparison of compatible texts: to small letters first, because some letters are only written large
/// as a whole word.
pub(super) fn folded(name: &str) -> String {
    let compatible = ComposingNormalizerBorrowed::new_nfkc();
    let visible = |name: &str| name.chars().filter(|c| !is_ignorable(*c)).collect::<String>();
    let base = visible(&compatible.normalize(name));
    let caseless = base.to_lowercase().to_uppercase().to_lowercase();
    visible(&compatible.normalize(&caseless))
}

/// What Unicode calls default ignorable, and file systems without case pass over (ext4, HFS+).
fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

fn nameless(resource: &Resource) -> String {
    let ending = resource.mime.as_deref().and_then(media::ending_of).unwrap_or_default();
    format!("{}{ending}", resource.role)
}

/// Controls, what is a sign of paths or patterns to one of the systems, and characters that cannot
/// be seen or turn the direction of what stands around them.
fn is_refused(c: char) -> bool {
    c.is_control()
        || "<>:\"/\\|?*".contains(c)
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

fn is_device(name: &str) -> bool {
    let base = name.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let is_number = |rest| matches!(rest, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³");
    DEVICES.contains(&base.as_str())
        || NUMBERED_DEVICES.iter().any(|device| base.strip_prefix(device).is_some_and(is_number))
}

fn looks_unique(name: &str) -> bool {
    let folded = folded(name);
    let (stem, _) = split_ending(&folded);
    let id = stem.rsplit_once("-r").map_or("", |(_, id)| id);
    id.len() == ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A name and its ending: `.bz2`, or `.tar.bz2` where the last ending only says how another file is wrapped.
fn split_ending(name: &str) -> (&str, &str) {
    let Some((stem, ending)) = split_last(name) else { return (name, "") };
    let is_wrapping = WRAPPINGS.iter().any(|wrapping| ending.eq_ignore_ascii_case(wrapping));
    match split_last(stem).filter(|(_, inner)| is_wrapping && is_kind(inner)) {
        Some((stem, _)) => name.split_at(stem.len()),
        None => (stem, ending),
    }
}

fn split_last(name: &str) -> Option<(&str, &str)> {
    let at = name.rfind('.').filter(|at| *at > 0 && name.len() - at <= MAX_ENDING_BYTES)?;
    let (stem, ending) = name.split_at(at);
    (!ending.contains(char::is_whitespace)).then_some((stem, ending))
}

/// Whether an ending names a kind of file, as opposed to a number or the end of a sentence.
fn is_kind(ending: &str) -> bool {
    let letters = ending.get(1..).unwrap_or_default();
    letters.len() <= MAX_INNER_BYTES
        && letters.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && letters.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// The parts joined, with the stem cut to what fits.
fn fitted(stem: &str, mark: &str, ending: &str) -> String {
    let room = MAX_BYTES.saturating_sub(mark.len() + ending.len());
    let cut = stem.get(..stem.floor_char_boundary(room)).unwrap_or_default();
    // Where nothing follows, a cut must not leave a blank or a dot at the end.
    let cut = if mark.is_empty() && ending.is_empty() {
        cut.trim_end_matches(|c: char| c == '.' || c.is_whitespace())
    } else {
        cut
    };
    format!("{cut}{mark}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: &str) {
        assert_eq!(portable(name).as_deref(), Some(expected), "{name:?}");
    }

    #[test]
    fn a_name_that_all_systems_take_stays_as_it_is() {
        for name in ["第四课#1.pdf", "a b (1).tar.gz", "no ending", "100%.txt", "-rf", "👩\u{200d}🔬.png", "=1+1.csv"]
        {
            check(name, name);
        }
        let long = format!("{}.pdf", "课".repeat(83));
        assert_eq!(long.len(), 253);
        check(&long, &long);
    }

    #[test]
    fn what_a_system_refuses_or_a_reader_could_be_deceived_with_is_replaced() {
        check("第四课#1?.pdf", "第四课#1_.pdf");
        check("../../etc/passwd", "_.._.._etc_passwd");
        check("C:\\temp\\x.exe", "C__temp_x.exe");
        check("a\u{0}b\nc\u{1b}[2J\t.txt", "a_b_c_[2J_.txt");
        check("gpj\u{202e}exe.png", "gpj_exe.png");
        check("  name . . ", "name");
        check(".bashrc", "_.bashrc");
        check("nul", "_nul");
        check("CON .txt", "_CON .txt");
        check("com1.tar.gz", "_com1.tar.gz");
        check("COM²", "_COM²");
        check("console.txt", "console.txt");
        check("e\u{301}.txt", "é.txt");
        for nothing in ["", " ", "...", ". .", "\u{3000}"] {
            assert_eq!(portable(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_keeps_its_ending_and_whole_characters() {
        let cut = portable(&format!("{}.pdf", "课".repeat(200))).unwrap();
        assert_eq!(cut, format!("{}.pdf", "课".repeat(83)));
        let marked = unique(&cut, ResourceId(42));
        assert!(marked.len() <= MAX_BYTES && marked.ends_with("课-r00000000002a.pdf"), "{marked}");
        assert_eq!(portable(&format!("{}. {}", "x".repeat(254), "y".repeat(60))).unwrap().len(), 254);
    }

    #[test]
    fn names_are_equal_where_some_system_takes_them_for_equal() {
        for (one, other) in
            [("A.TXT", "a.txt"), ("é", "e\u{301}"), ("straße", "STRASSE"), ("ﬁle", "file"), ("Σς", "σΣ"), ("１", "1")]
        {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        let decomposed = icu_normalizer::DecomposingNormalizerBorrowed::new_nfkd();
        for c in ('\0'..=char::MAX).filter(|c| !is_ignorable(*c)) {
            let text = c.to_string();
            let others = [text.to_lowercase(), text.to_uppercase(), decomposed.normalize(&text).into_owned()];
            for other in others.iter().filter(|other| **other != text) {
                assert_eq!(folded(other), folded(&text), "{c} {other}");
            }
        }
        assert_ne!(folded("发票.pdf"), folded("發票.pdf"));
    }

    #[test]
    fn the_id_stands_before_the_whole_ending() {
        for (name, expected) in [
            ("a.tar.bz2", "a-r00000000002a.tar.bz2"),
            ("a.b.TAR.GZ", "a.b-r00000000002a.TAR.GZ"),
            ("a.pdf", "a-r00000000002a.pdf"),
            ("a.2026.gz", "a.2026-r00000000002a.gz"),
            (".tar.gz", ".tar-r00000000002a.gz"),
            ("a. b.gz", "a. b-r00000000002a.gz"),
            ("a.课.gz", "a.课-r00000000002a.gz"),
            ("a", "a-r00000000002a"),
        ] {
            assert_eq!(unique(name, ResourceId(42)), expected);
        }
    }

    #[test]
    fn what_looks_like_a_unique_name_is_known() {
        assert!(looks_unique("x-r00000000002a.pdf") && looks_unique("-R00000000002A"));
        assert!(!looks_unique("x-r2a.pdf") && !looks_unique("r00000000002a.pdf"));
    }
}

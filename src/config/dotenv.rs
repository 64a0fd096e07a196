//! The syntax of a `.env` file.
//!
//! `NAME=value` lines, read the way that Docker, Compose and shells agree on: blanks inside a
//! value need no quotes, ` #` begins a comment, `'…'` is taken as it stands, `"…"` knows `\\`,
//! `\"` and `\$`. Nothing is substituted: a secret with a `$` in it must not change silently, so
//! what those readers would substitute is a fault. Line numbers are kept for the messages.

/// Something that stands in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Assignment {
        line: usize,
        name: String,
        /// A fault of the value is for those who know the name: the file may serve other programs.
        value: Result<String, Fault>,
    },
    /// A line that is neither blank, nor a comment, nor an assignment.
    Unreadable { line: usize },
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the quotes are not closed")]
    Unclosed,
    #[error("there is text after the closing quote")]
    TextAfterQuote,
    #[error(
        "after a backslash in double quotes only \\, \" and $ are known; single quotes take everything as it stands"
    )]
    Escape,
    #[error("variables are not substituted here; write the value itself, in single quotes if it contains a $")]
    Substitution,
}

/// Reads a whole file.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    // Windows editors begin a file with a byte order mark.
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line = 1;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (entry, after) = entry(rest, line);
        entries.extend(entry);
        line += rest.bytes().take(rest.len() - after.len()).filter(|&byte| byte == b'\n').count();
        rest = after;
    }
    entries
}

fn entry(text: &str, line: usize) -> (Option<Entry>, &str) {
    let (first, after) = first_line(text);
    let trimmed = first.trim();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return (None, after);
    }
    // The name ends on its line; a quoted value may go on below.
    let name = first.split_once('=').and_then(|(before, _)| name(before));
    let (Some(name), Some((_, written))) = (name, text.split_once('=')) else {
        return (Some(Entry::Unreadable { line }), after);
    };
    match value(written) {
        Ok((value, after)) => (Some(Entry::Assignment { line, name, value: Ok(value) }), after),
        Err(fault) => (Some(Entry::Assignment { line, name, value: Err(fault) }), after),
    }
}

fn name(before_equals: &str) -> Option<String> {
    let name = before_equals.trim();
    let name = name.strip_prefix("export ").map_or(name, str::trim_start);
    let well_formed = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    well_formed.then(|| name.to_owned())
}

fn value(text: &str) -> Result<(String, &str), Fault> {
    let begin = text.trim_start_matches([' ', '\t']);
    if let Some(body) = begin.strip_prefix('\'') {
        let (value, after) = body.split_once('\'').ok_or(Fault::Unclosed)?;
        return Ok((value.to_owned(), end_of_line(after)?));
    }
    if let Some(body) = begin.strip_prefix('"') {
        let (value, after) = double_quoted(body)?;
        return Ok((value, end_of_line(after)?));
    }
    let (line, after) = first_line(text);
    let comment = line.find(" #").into_iter().chain(line.find("\t#")).min();
    let value = comment.and_then(|at| line.get(..at)).unwrap_or(line).trim();
    if is_substitution(value) { Err(Fault::Substitution) } else { Ok((value.to_owned(), after)) }
}

fn double_quoted(body: &str) -> Result<(String, &str), Fault> {
    let mut value = String::new();
    let mut chars = body.chars();
    loop {
        match chars.next().ok_or(Fault::Unclosed)? {
            '"' => return Ok((value, chars.as_str())),
            '\\' => value.push(chars.next().filter(|c| matches!(c, '\\' | '"' | '$')).ok_or(Fault::Escape)?),
            '$' if begins_name(chars.as_str()) => return Err(Fault::Substitution),
            c => value.push(c),
        }
    }
}

fn end_of_line(after_quote: &str) -> Result<&str, Fault> {
    let (tail, after) = first_line(after_quote);
    let tail = tail.trim();
    if tail.is_empty() || tail.starts_with('#') { Ok(after) } else { Err(Fault::TextAfterQuote) }
}

fn is_substitution(value: &str) -> bool {
    value.split('$').skip(1).any(begins_name)
}

fn begins_name(after_dollar: &str) -> bool {
    after_dollar.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '{' | '('))
}

fn first_line(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, Fault>) {
        let [Entry::Assignment { line: 1, name, value }] = &entries(text)[..] else { panic!("{text:?}") };
        assert_eq!((name.as_str(), value.as_deref()), ("A", expected.as_ref().map(|text| *text)), "{text:?}");
    }

    #[test]
    fn values_are_read_as_docker_and_shells_agree() {
        check("A=1", Ok("1"));
        check("\u{feff}export A = 1\r\n", Ok("1"));
        check("A=50/s 1000/min # both", Ok("50/s 1000/min"));
        check("A=pa#ss", Ok("pa#ss"));
        check("A= # nothing", Ok(""));
        check("A=", Ok(""));
        check("A='pa$word\\ #' # quoted", Ok("pa$word\\ #"));
        check(r#"A="a \"b\" \\ \$c $""#, Ok(r#"a "b" \ $c $"#));
        check("A='two\nlines'", Ok("two\nlines"));
        check("A=5$ or $5", Ok("5$ or $5"));
    }

    #[test]
    fn what_cannot_be_meant_is_a_fault() {
        check("A='open", Err(Fault::Unclosed));
        check("A=\"open\\", Err(Fault::Escape));
        check("A='a'b", Err(Fault::TextAfterQuote));
        check(r#"A="\n""#, Err(Fault::Escape));
        check("A=ab$cd", Err(Fault::Substitution));
        check("A=\"${HOME}\"", Err(Fault::Substitution));
    }

    #[test]
    fn lines_are_counted_through_comments_and_quotes() {
        let text = "# one\n\nA='x\ny'\nnot an assignment\n1B=2\nC=3";
        let found: Vec<_> = entries(text)
            .into_iter()
            .map(|entry| match entry {
                Entry::Assignment { line, name, .. } => (line, name),
                Entry::Unreadable { line } => (line, "?".to_owned()),
            })
            .collect();
        let expected = [(3, "A"), (5, "?"), (6, "?"), (7, "C")];
        assert_eq!(found, expected.map(|(line, name)| (line, name.to_owned())));
    }
}

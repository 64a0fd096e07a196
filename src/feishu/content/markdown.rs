//! Images in Markdown: `![alt](key)`.
//!
//! Reads only as much of CommonMark as it takes to tell an image from text that looks like one:
//! fences, code spans, backslashes and brackets. Linear in the text's length. What is indented or stands
//! between tags (`<font>`) is read as well: a parser of all of CommonMark (pulldown-cmark) takes it for
//! code and HTML. A key too many costs one request, a key too few loses an image.

use std::collections::HashMap;

/// The image keys that a Markdown text names, outside code. Web addresses are no keys.
pub(super) fn image_keys(markdown: &str) -> Vec<&str> {
    let mut keys = Vec::new();
    for paragraph in paragraphs(markdown) {
        read_paragraph(paragraph, &mut keys);
    }
    keys
}

/// The pieces between blank lines and fenced code. A code span cannot reach beyond its piece.
fn paragraphs(markdown: &str) -> Vec<&str> {
    let mut paragraphs = Vec::new();
    let mut fence: Option<&str> = None;
    let mut start = 0;
    let mut end = 0;
    for line in markdown.split_inclusive('\n') {
        let line_start = end;
        end += line.len();
        let mark = fence_mark(line);
        let ends_here = match (fence, mark) {
            (Some(open), Some((mark, rest))) if mark.starts_with(open) && rest.trim().is_empty() => {
                fence = None;
                true
            }
            (Some(_), _) => true,
            // A backtick after the mark makes it a code span, not a fence.
            (None, Some((mark, rest))) if mark.starts_with('~') || !rest.contains('`') => {
                fence = Some(mark);
                true
            }
            (None, _) => line.trim().is_empty(),
        };
        if ends_here {
            paragraphs.extend(markdown.get(start..line_start).filter(|piece| !piece.is_empty()));
            start = end;
        }
    }
    paragraphs.extend(markdown.get(start..).filter(|piece| !piece.is_empty()));
    paragraphs
}

/// The run of three or more backticks or tildes that a line begins with, and the rest of the line.
fn fence_mark(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let sign = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let rest = line.trim_start_matches(sign);
    let mark = line.get(..line.len() - rest.len())?;
    (mark.len() >= 3).then_some((mark, rest))
}

/// An opening bracket that waits for its partner.
#[derive(Clone, Copy, PartialEq)]
enum Opened {
    Link,
    Image,
}

fn read_paragraph<'a>(paragraph: &'a str, keys: &mut Vec<&'a str>) {
    let last_runs = last_backtick_runs(paragraph);
    let mut opened = Vec::new();
    let mut rest = paragraph;
    while let Some(at) = rest.find(['\\', '`', '!', '[', ']']) {
        rest = rest.get(at..).unwrap_or_default();
        rest = if let Some(escaped) = rest.strip_prefix('\\') {
            let mut after = escaped.chars();
            after.next();
            after.as_str()
        } else if rest.starts_with('`') {
            after_code(rest, &last_runs)
        } else if let Some(after) = rest.strip_prefix("![") {
            opened.push(Opened::Image);
            after
        } else if let Some(after) = rest.strip_prefix('[') {
            opened.push(Opened::Link);
            after
        } else if let Some(after) = rest.strip_prefix(']') {
            if opened.pop() == Some(Opened::Image) {
                keys.extend(after.strip_prefix('(').and_then(target).filter(|target| !is_web_address(target)));
            }
            after
        } else {
            rest.get(1..).unwrap_or_default()
        };
    }
}

/// For each length of backtick runs, how many bytes lie behind the last run of that length. Knowing
/// it, an opening run that nothing closes costs no search.
fn last_backtick_runs(paragraph: &str) -> HashMap<usize, usize> {
    let mut last = HashMap::new();
    let mut rest = paragraph;
    while let Some(at) = rest.find('`') {
        let run = rest.get(at..).unwrap_or_default();
        rest = run.trim_start_matches('`');
        last.insert(run.len() - rest.len(), rest.len());
    }
    last
}

/// What follows the code span that `text` begins with, or the backticks if no such run closes it.
fn after_code<'a>(text: &'a str, last_runs: &HashMap<usize, usize>) -> &'a str {
    let after_mark = text.trim_start_matches('`');
    let length = text.len() - after_mark.len();
    // A run that follows this one leaves less behind it than this one does.
    if last_runs.get(&length).is_none_or(|behind| *behind >= after_mark.len()) {
        return after_mark;
    }
    let mut rest = after_mark;
    while let Some(at) = rest.find('`') {
        let run = rest.get(at..).unwrap_or_default();
        rest = run.trim_start_matches('`');
        if run.len() - rest.len() == length {
            return rest;
        }
    }
    after_mark
}

/// The target of an image, from behind its opening parenthesis: up to white space or `)`. Keys hold
/// no brackets, and stopping at one keeps a row of unclosed targets from being read over and over.
fn target(text: &str) -> Option<&str> {
    let text = text.trim_start();
    if let Some(in_angles) = text.strip_prefix('<') {
        let end = in_angles.find(['<', '>', '\n'])?;
        let closed = in_angles.get(end..)?.starts_with('>');
        return in_angles.get(..end).filter(|target| closed && !target.is_empty());
    }
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | '<' | '>'))?;
    let closed = text.get(end..)?.starts_with(|c: char| c == ')' || c.is_whitespace());
    text.get(..end).filter(|target| closed && !target.is_empty())
}

fn is_web_address(target: &str) -> bool {
    let has_scheme = |scheme: &str| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    has_scheme("http://") || has_scheme("https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_told_from_what_looks_like_one() {
        let check = |markdown: &str, keys: &[&str]| assert_eq!(image_keys(markdown), keys, "{markdown}");
        check("before ![alt](img_1) after ![](img_2)", &["img_1", "img_2"]);
        check("![a]( img_1 \"title\") ![b](<img_2>)", &["img_1", "img_2"]);
        check("[![thumb](img_1)](https://example.com)", &["img_1"]);
        check("![one [two]](img_1) ![a ![b](img_2)](img_3)", &["img_1", "img_2", "img_3"]);
        check("[link](img_1) ![web](HTTPS://example.com/a.png) ![none]() ![open](img_2", &[]);
        check("![a](http_key)", &["http_key"]);
        check(r"\![a](img_1) !\[a](img_2) ![a\](img_3)", &[]);
        check("`![a](img_1)` ``![a](img_2) ` ``", &[]);
        check("a ` lone backtick ![a](img_1)", &["img_1"]);
        check("`a\n\n![a](img_1)\n\nb`", &["img_1"]);
        check("```rust\n![a](img_1)\n```\n![b](img_2)", &["img_2"]);
        check("~~~\n![a](img_1)\n```\n~~~~\n![b](img_2)", &["img_2"]);
        check("text\n````\n```\n![a](img_1)", &[]);
        check("``` ![a](img_1) ``` ![b](img_2)", &["img_2"]);
        check("![图](img_图)！", &["img_图"]);
        check("    ![a](img_1)", &["img_1"]);
        check("<font color='red'>\n![a](img_1)\n</font>", &["img_1"]);
        check("![a](img_1 500x300)", &["img_1"]);
    }

    #[test]
    fn no_text_takes_more_than_linear_time() {
        // Each of these makes a search that starts over at every mark look at the rest of the text
        // each time: hours instead of a moment.
        let many = 100_000;
        let growing: String = (1..800).map(|length| "`".repeat(length) + " ").collect();
        for text in ["![](".repeat(many), "![".repeat(many), "![](<".repeat(many), "![]( ".repeat(many), growing] {
            assert_eq!(image_keys(&text).len(), 0);
        }
    }
}

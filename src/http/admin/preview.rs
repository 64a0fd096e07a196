//! What of a stranger's file a browser may show: a short list of types, told by the bytes and not by
//! what anybody says about them. Everything else is only ever an attachment.

use std::io::Read as _;

use actix_web::{Error, HttpRequest, HttpResponse, web};
use encoding_rs::{Encoding, GB18030, UTF_8};

use super::Pages;
use super::failure::Failure;
use super::visit::SignedIn;
use crate::blob::checked::{Blobs, Damage};
use crate::blob::sniff;
use crate::catalogue::listing::resource::Resource;
use crate::domain::download::State;
use crate::http::blob_body::READERS;
use crate::http::content::{self, Manner};

/// A file that is opened by itself can do nothing, and is of another origin than our pages.
const SANDBOX: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; media-src 'self'";
/// The browser's PDF viewer does not work in a sandbox; the file still may load nothing.
const PDF_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
/// How much of a text its page shows.
const TEXT_BYTES: usize = 32 * 1024;
/// The endings of names whose files are shown as text. Scripts and anything that a browser would
/// run or draw are not among them, although text could do no harm: nobody should need to know that.
const TEXT_ENDINGS: [&str; 12] =
    ["txt", "md", "log", "csv", "tsv", "json", "ndjson", "yaml", "yml", "toml", "ini", "srt"];

/// What can be shown of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Preview {
    /// How it is shown.
    pub(super) form: Form,
    /// The type that it is sent with.
    pub(super) media_type: &'static str,
}

/// A way to show something.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As a picture.
    Image,
    /// With a player.
    Audio,
    /// With a player that has a picture.
    Video,
    /// In the browser's own viewer.
    Pdf,
    /// As text, of which this is the start.
    Text {
        /// The start, decoded.
        start: String,
        /// How much there is.
        extent: Extent,
    },
}

/// How much of a text is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// The start of it.
    Start,
}

impl Preview {
    /// What can be shown of a resource; nothing of one that is not stored.
    ///
    /// # Errors
    /// If its bytes are damaged or cannot be read.
    pub(super) async fn of(blobs: &Blobs, resource: &Resource) -> Result<Option<Self>, Damage> {
        let (State::Stored, Some(digest), Some(size_bytes)) = (resource.state, resource.sha256, resource.size_bytes)
        else {
            return Ok(None);
        };
        let blobs = blobs.clone();
        let read = move || {
            let mut head = Vec::new();
            blobs.open(digest, size_bytes)?.into_range(0, TEXT_BYTES as u64).read_to_end(&mut head)?;
            Ok::<_, Damage>(head)
        };
        let head = READERS.run(read).await??;
        let extent = if size_bytes > head.len() as u64 { Extent::Start } else { Extent::Whole };
        Ok(Self::known(&head).or_else(|| Self::text(resource.file_name.as_deref()?, &head, extent)))
    }

    /// A type that browsers know how to show.
    fn known(head: &[u8]) -> Option<Self> {
        let (form, media_type) = match sniff::media_type(head.get(..sniff::HEAD_BYTES).unwrap_or(head))? {
            "image/png" => (Form::Image, "image/png"),
            "image/jpeg" => (Form::Image, "image/jpeg"),
            "image/gif" => (Form::Image, "image/gif"),
            "image/webp" => (Form::Image, "image/webp"),
            "image/avif" => (Form::Image, "image/avif"),
            "audio/mpeg" => (Form::Audio, "audio/mpeg"),
            "audio/ogg" | "audio/opus" => (Form::Audio, "audio/ogg"),
            "audio/m4a" => (Form::Audio, "audio/mp4"),
            "audio/x-wav" => (Form::Audio, "audio/wav"),
            "video/mp4" | "video/x-m4v" => (Form::Video, "video/mp4"),
            "video/webm" => (Form::Video, "video/webm"),
            "application/pdf" => (Form::Pdf, "application/pdf"),
            _ => return None,
        };
        Some(Self { form, media_type })
    }

    /// Plain text: by its name, without a signature or markup at its start, and without bytes that no
    /// text has.
    fn text(name: &str, head: &[u8], extent: Extent) -> Option<Self> {
        let ending = name.rsplit_once('.')?.1.to_ascii_lowercase();
        if !TEXT_ENDINGS.contains(&ending.as_str()) || sniff::media_type(head).is_some() {
            return None;
        }
        let encoding = encoding_of(head)?;
        let start = encoding.decode(head).0;
        if start.trim_start().starts_with('<') || start.chars().any(is_binary) {
            return None;
        }
        let media_type = match encoding {
            encoding if encoding == UTF_8 => "text/plain; charset=utf-8",
            encoding if encoding == GB18030 => "text/plain; charset=gb18030",
            _ => "text/plain; charset=utf-16",
        };
        Some(Self { form: Form::Text { start: start.into_owned(), extent }, media_type })
    }

    /// What it may do where it is opened by itself.
    fn policy(&self) -> &'static str {
        if self.form == Form::Pdf { PDF_POLICY } else { SANDBOX }
    }
}

/// The encoding of a text: what its first bytes say, else UTF-8 if it is that (but for a character
/// that the cut went through), else what Chinese editors wrote before.
fn encoding_of(head: &[u8]) -> Option<&'static Encoding> {
    if let Some((encoding, _)) = Encoding::for_bom(head) {
        return Some(encoding);
    }
    match std::str::from_utf8(head) {
        Ok(_) => Some(UTF_8),
        Err(error) if error.error_len().is_none() => Some(UTF_8),
        Err(_) => Some(GB18030),
    }
}

fn is_binary(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{c}')
}

/// `GET /resources/{id}/preview`: the bytes, to be looked at.
pub(super) async fn show(
    pages: web::Data<Pages>,
    _: SignedIn,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let resource = pages.resource(&id).await?;
    let manner = match Preview::of(pages.examiner.blobs(), &resource).await {
        Ok(Some(preview)) => Manner::Inline { media_type: preview.media_type, policy: preview.policy() },
        Ok(None) => return Err(Failure::NotFound.into()),
        // Whoever serves the bytes says what is wrong with them.
        Err(_) => Manner::Attachment,
    };
    Ok(content::serve(&request, &pages.examiner, &resource, manner).await?)
}

/// `GET /resources/{id}/content`: the bytes, to be kept.
pub(super) async fn download(
    pages: web::Data<Pages>,
    _: SignedIn,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, Error> {
    let resource = pages.resource(&id).await?;
    Ok(content::serve(&request, &pages.examiner, &resource, Manner::Attachment).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(name: &str, bytes: &[u8]) -> Option<String> {
        Preview::text(name, bytes, Extent::Whole).map(|preview| match preview.form {
            Form::Text { start, .. } => start,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn text_is_shown_in_the_encodings_that_people_use() {
        assert_eq!(text_of("说明.TXT", "发票 3 张".as_bytes()).unwrap(), "发票 3 张");
        assert_eq!(text_of("a.csv", b"\xef\xbb\xbfa,b").unwrap(), "a,b");
        assert_eq!(text_of("a.txt", &GB18030.encode("发票").0).unwrap(), "发票");
        assert_eq!(text_of("a.txt", b"\xff\xfea\0b\0").unwrap(), "ab");
        assert_eq!(text_of("a.txt", &"发票".as_bytes()[..5]).unwrap(), "发\u{fffd}");
    }

    #[test]
    fn what_could_be_more_than_text_is_not_shown() {
        for (name, bytes) in [
            ("a.html", b"hello".as_slice()),
            ("a.js", b"alert(1)"),
            ("a.txt", b"  <script>alert(1)</script>"),
            ("a.txt", b"\xef\xbb\xbf<?xml version=\"1.0\"?>"),
            ("a.txt", b"#!/bin/sh\nrm -r /"),
            ("a.txt", b"a\0b"),
            ("txt", b"hello"),
        ] {
            assert_eq!(text_of(name, bytes), None, "{name}");
        }
        assert_eq!(Preview::known(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), None);
        assert_eq!(Preview::known(b"<!doctype html><p>hello"), None);
    }
}

//! Fetching bytes: from a target to a checked stream of its file.
//!
//! A [`Download`] ends well only if everything that the platform promised has come. It is never
//! whole in memory; where the bytes go, and how many are too many, is up to whoever reads it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use tokio::time::Instant;

use super::answer::{Answer, Refusal, Rejection};
use super::client::{Api, Call, Client};
use super::code::Class;
use super::file_name::{from_content_disposition, mime_of};
use super::parts::Parts;
use crate::domain::download::Upstream;
use crate::domain::id::path_segment;
use crate::domain::reason::ReasonCode;
use crate::domain::resource::ResourceType;
use crate::domain::source::Target;

/// How long a transfer may crawl before it must have kept [`SLOWEST_BYTES_PER_SECOND`]. A body that
/// drips a byte a minute would otherwise hold a worker for months.
const CRAWL: Duration = Duration::from_secs(10 * 60);
/// The smallest file of which a broken transfer is mended at once, by ranges. A smaller one is soon
/// fetched again, after the usual pause.
const REPAIRED_FROM_BYTES: u64 = 1 << 20;
/// The slowest transfer worth a worker.
const SLOWEST_BYTES_PER_SECOND: u64 = 1024;

/// A file on its way.
pub struct Download {
    /// Its length, if the platform has told it.
    pub declared_bytes: Option<u64>,
    /// Its MIME type as declared, without parameters.
    pub content_type: Option<String>,
    /// Its name in `Content-Disposition`.
    pub file_name: Option<String>,
    /// The platform's trace id.
    pub log_id: Option<String>,
    body: Body,
    received: u64,
    started: Instant,
}

enum Body {
    Whole(Box<Answer>),
    Parts(Box<Parts>),
}

impl Client {
    /// Asks for a target's bytes.
    ///
    /// # Errors
    /// What the platform's refusal, or the broken connection, means for the resource.
    pub async fn fetch(&self, target: &Target) -> Result<Download, Refusal> {
        let call = self.call_for(target)?;
        match self.send(&call).await {
            Ok(mut answer) if is_image(target) => {
                answer.refuse_page().await?;
                Ok(Download::whole(answer)?)
            }
            Ok(answer) if comes_in_parts(target) => Ok(self.fetch_with_repairs(call, answer)?),
            Ok(answer) => Ok(Download::whole(answer)?),
            Err(rejection) if rejection.class == Class::AskForParts && comes_in_parts(target) => {
                Ok(self.fetch_in_parts(call).await?)
            }
            Err(rejection) => Err(rejection.into()),
        }
    }

    /// Asks for the rest of a file of `total` bytes of which the first `position` are here. None
    /// if the platform does not hand out just that; then the file has to be fetched anew.
    ///
    /// # Errors
    /// What the platform's refusal, or the broken connection, means for the resource.
    pub async fn fetch_rest(&self, target: &Target, position: u64, total: u64) -> Result<Option<Download>, Refusal> {
        let parts = Parts::from(self.clone(), self.call_for(target)?, position, total).await?;
        Ok(parts.map(|parts| Download::new(Body::Parts(Box::new(parts)))))
    }

    /// A whole file; should the transfer of a large one break off, ranges bring the rest. Without a
    /// declared length nobody could tell whether the rest belongs to the same file.
    fn fetch_with_repairs(&self, call: Call, answer: Answer) -> Result<Download, Rejection> {
        match answer.declared_bytes() {
            Some(total) if total >= REPAIRED_FROM_BYTES && answer.status() == StatusCode::OK => {
                Ok(Download::new(Body::Parts(Box::new(Parts::of_whole(self.clone(), call, answer, total)))))
            }
            _ => Download::whole(answer),
        }
    }

    async fn fetch_in_parts(&self, call: Call) -> Result<Download, Rejection> {
        let first = Parts::ask_for_first(self, &call).await?;
        // A server that knows no ranges sends everything at once.
        if first.status() == StatusCode::OK {
            return Download::whole(first);
        }
        Ok(Download::new(Body::Parts(Box::new(Parts::new(self.clone(), call, first)?))))
    }

    /// The one place that knows which API serves which target.
    fn call_for(&self, target: &Target) -> Result<Call, Refusal> {
        self.require_custom_app(target.source())?;
        let mut url = match target {
            Target::MessageResource { message_id, key, .. } => {
                let (message_id, key) = (usable(message_id.as_str())?, usable(key.as_str())?);
                self.url(&["open-apis", "im", "v1", "messages", message_id, "resources", key])
            }
            Target::Image { key } => self.url(&["open-apis", "im", "v1", "images", usable(key.as_str())?]),
            Target::File { key } => self.url(&["open-apis", "im", "v1", "files", usable(key.as_str())?]),
            Target::Baike { key } => {
                self.url(&["open-apis", "baike", "v1", "files", usable(key.as_str())?, "download"])
            }
            Target::Lingo { key } => {
                self.url(&["open-apis", "lingo", "v1", "files", usable(key.as_str())?, "download"])
            }
            Target::TicketImage { .. } => self.url(&["open-apis", "helpdesk", "v1", "ticket_images"]),
        };
        match target {
            Target::MessageResource { kind, .. } => {
                url.query_pairs_mut().append_pair("type", kind.as_str());
            }
            Target::TicketImage { ticket_id, msg_id, index } => {
                self.require_helpdesk()?;
                let (ticket_id, msg_id) = (usable(ticket_id)?, usable(msg_id)?);
                url.query_pairs_mut().append_pair("ticket_id", ticket_id).append_pair("msg_id", msg_id);
                if let Some(index) = index {
                    url.query_pairs_mut().append_pair("index", &index.to_string());
                }
            }
            Target::Image { .. } | Target::File { .. } | Target::Baike { .. } | Target::Lingo { .. } => {}
        }
        Ok(Call::get(Api::Bytes(target.source()), url))
    }
}

/// Whether a target can be asked for in ranges: that is known of files, and of nothing else.
#[must_use]
pub fn comes_in_parts(target: &Target) -> bool {
    matches!(target, Target::MessageResource { kind: ResourceType::File, .. } | Target::File { .. })
}

/// Whether a target is asked for as an image.
fn is_image(target: &Target) -> bool {
    match target {
        Target::MessageResource { kind, .. } => *kind == ResourceType::Image,
        Target::File { .. } => false,
        Target::Image { .. } | Target::Baike { .. } | Target::Lingo { .. } | Target::TicketImage { .. } => true,
    }
}

fn usable(id: &str) -> Result<&str, Rejection> {
    let class = Class::End(ReasonCode::KeyUnusable);
    path_segment(id).ok_or_else(|| Rejection::new(class, &Upstream::default(), "nothing was asked"))
}

impl Download {
    fn whole(answer: Answer) -> Result<Self, Rejection> {
        if answer.status() != StatusCode::OK {
            return Err(Rejection::broken(&answer.upstream, "a part came although the whole was asked for"));
        }
        Ok(Self::new(Body::Whole(Box::new(answer))))
    }

    fn new(body: Body) -> Self {
        let answer = body.answer();
        let content_type = answer.headers().get(CONTENT_TYPE);
        let content_disposition = answer.headers().get(CONTENT_DISPOSITION);
        Self {
            declared_bytes: body.declared_bytes(),
            content_type: content_type.and_then(|value| mime_of(value.to_str().ok()?)),
            file_name: content_disposition.and_then(|value| from_content_disposition(value.as_bytes())),
            log_id: answer.upstream.log_id.clone(),
            body,
            received: 0,
            started: Instant::now(),
        }
    }

    /// The next bytes; none when all of them have come.
    ///
    /// # Errors
    /// The transfer broke, stalled or crawled, or brought nothing at all. What came before is not a file.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        let next = self.body.chunk().await?;
        self.received += next.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let failure = match &next {
            None if self.received == 0 => "the file is empty",
            Some(_) if self.crawls() => "the transfer is too slow",
            _ => return Ok(next),
        };
        Err(Rejection::broken(&self.body.answer().upstream, failure).into())
    }

    fn crawls(&self) -> bool {
        let earned = Duration::from_secs(self.received / SLOWEST_BYTES_PER_SECOND);
        self.started.elapsed() > CRAWL + earned
    }
}

impl Body {
    fn answer(&self) -> &Answer {
        match self {
            Self::Whole(answer) => answer,
            Self::Parts(parts) => parts.answer(),
        }
    }

    fn declared_bytes(&self) -> Option<u64> {
        match self {
            Self::Whole(answer) => answer.declared_bytes(),
            Self::Parts(parts) => Some(parts.total()),
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Rejection> {
        match self {
            Self::Whole(answer) => answer.chunk().await,
            Self::Parts(parts) => parts.chunk().await,
        }
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Download({} of {:?} bytes)", self.received, self.declared_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use futures_util::future::join_all;

    use super::*;
    use crate::domain::download::Verdict;
    use crate::feishu::scripted::{IsToken, Platform, Reply, answer, json};

    const FILE: &[&str] = &["Content-Type: image/png", "Content-Disposition: attachment; filename=\"图.png\""];

    fn resource(kind: ResourceType) -> Target {
        Target::MessageResource { message_id: "om_1".parse().unwrap(), key: "img_1".parse().unwrap(), kind }
    }

    fn image() -> Target {
        resource(ResourceType::Image)
    }

    async fn read(client: &Client, target: &Target) -> Result<Vec<u8>, Refusal> {
        let mut download = client.fetch(target).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = download.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// What a client makes of one scripted answer.
    async fn read_once(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Result<Vec<u8>, Refusal> {
        read_once_as(&image(), reply).await
    }

    async fn read_once_as(
        target: &Target,
        reply: impl Fn() -> Reply + Send + Sync + 'static,
    ) -> Result<Vec<u8>, Refusal> {
        let platform = Platform::start(move |request, _| request.starts_with("GET").then(&reply)).await;
        read(&platform.client().0, target).await
    }

    fn retry(reason: ReasonCode) -> Verdict {
        Verdict::Retry(reason)
    }

    #[tokio::test]
    async fn a_file_comes_with_its_bytes_name_type_length_and_trace() {
        let headers = [FILE, &["X-Tt-Logid: log1"]].concat();
        let platform =
            Platform::start(move |request, _| request.starts_with("GET").then(|| answer(200, &headers, "png"))).await;
        let (client, metrics) = platform.client();
        let mut download = client.fetch(&image()).await.unwrap();
        assert_eq!(download.declared_bytes, Some(3));
        assert_eq!(download.content_type.as_deref(), Some("image/png"));
        assert_eq!(download.file_name.as_deref(), Some("图.png"));
        assert_eq!(download.log_id.as_deref(), Some("log1"));
        assert_eq!(download.chunk().await.unwrap().as_deref(), Some(&b"png"[..]));
        assert_eq!(download.chunk().await.unwrap(), None);
        assert_eq!(download.chunk().await.unwrap(), None);

        let asked = platform.requests(IsToken::No).concat();
        assert!(
            asked.starts_with("GET /open-apis/im/v1/messages/om_1/resources/img_1?type=image HTTP/1.1\r\n"),
            "{asked}"
        );
        for header in
            ["authorization: Bearer t-1", "content-type: application/json; charset=utf-8", "accept-encoding: identity"]
        {
            assert!(asked.contains(&format!("\r\n{header}\r\n")), "{header} in {asked}");
        }
        assert!(!asked.contains("helpdesk"));
        let token_asked = platform.requests(IsToken::Yes).concat();
        assert!(token_asked.ends_with(r#"{"app_id":"cli_test","app_secret":"secret"}"#), "{token_asked}");
        let counted = metrics.render();
        for line in [r#"{api="resource",code="200"} 1"#, r#"{api="token",code="0"} 1"#, "token_refreshes_total 1"] {
            assert!(counted.contains(line), "{line} in {counted}");
        }
    }

    #[tokio::test]
    async fn every_source_has_its_address() {
        let platform = Platform::start(|request, _| request.starts_with("GET").then(|| answer(200, FILE, "x"))).await;
        let (client, _) = platform.client();
        let key = || "a b?c#d%2f图".parse().unwrap();
        let ticket = |index| Target::TicketImage { ticket_id: "1".into(), msg_id: "2&x=3".into(), index };
        let encoded = "a%20b%3Fc%23d%252f%E5%9B%BE";
        for (target, address) in [
            (Target::Image { key: key() }, format!("im/v1/images/{encoded} ")),
            (Target::File { key: key() }, format!("im/v1/files/{encoded} ")),
            (Target::Baike { key: key() }, format!("baike/v1/files/{encoded}/download ")),
            (Target::Lingo { key: key() }, format!("lingo/v1/files/{encoded}/download ")),
            (ticket(None), "helpdesk/v1/ticket_images?ticket_id=1&msg_id=2%26x%3D3 ".to_owned()),
            (ticket(Some(0)), "helpdesk/v1/ticket_images?ticket_id=1&msg_id=2%26x%3D3&index=0 ".to_owned()),
        ] {
            assert_eq!(read(&client, &target).await.unwrap(), b"x");
            let asked = platform.requests(IsToken::No).pop().unwrap();
            assert!(asked.starts_with(&format!("GET /open-apis/{address}")), "{asked}");
            let helpdesk = asked.contains("\r\nx-lark-helpdesk-authorization: MTIzNDU6aHQtc29tZXRva2Vu\r\n");
            assert_eq!(helpdesk, matches!(target, Target::TicketImage { .. }), "{asked}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_asked_is_not_asked() {
        let platform = Platform::start(|_, _| None).await;
        let (client, _) = platform.client();
        let refusal = client.fetch(&Target::Image { key: "../auth".parse().unwrap() }).await.unwrap_err();
        assert_eq!(refusal.verdict, Verdict::End(ReasonCode::KeyUnusable));
        assert!(platform.requests(IsToken::Yes).is_empty() && platform.requests(IsToken::No).is_empty());
    }

    #[tokio::test]
    async fn a_refusal_keeps_what_the_platform_said() {
        let body = r#"{"code":99991672,"msg":"scope im:message:readonly","error":{"log_id":"in-body"}}"#;
        let refusal = read_once(move || answer(400, &["X-Request-Id: gateway"], body)).await.unwrap_err();
        assert_eq!(refusal.verdict, Verdict::End(ReasonCode::ScopeMissing));
        let msg = Some("scope im:message:readonly".to_owned());
        let log_id = Some("in-body".to_owned());
        assert_eq!(refusal.upstream, Upstream { http_status: Some(400), code: Some(99_991_672), msg, log_id });
    }

    #[tokio::test]
    async fn answers_that_are_no_file_are_told_from_files() {
        const HTML: &[&str] = &["Content-Type: text/html; charset=utf-8"];
        const JSON: &[&str] = &["Content-Type: application/json"];
        let deleted = r#" {"code":230110,"msg":"gone"}"#;
        let check = async |status, headers: &'static [&str], body: &str, verdict| {
            let body = body.to_owned();
            let refusal = read_once(move || answer(status, headers, &body)).await.unwrap_err();
            assert_eq!(refusal.verdict, verdict, "{status} {headers:?}: {refusal:?}");
        };
        check(200, JSON, deleted, Verdict::End(ReasonCode::MessageDeleted)).await;
        check(200, &["Content-Type: image/png"], deleted, Verdict::End(ReasonCode::MessageDeleted)).await;
        check(200, JSON, r#"{"code":7,"msg":"what?"}"#, retry(ReasonCode::NotAFile)).await;
        check(200, HTML, "<html>", retry(ReasonCode::NotAFile)).await;
        check(200, &["Content-Encoding: gzip"], "zip", retry(ReasonCode::NotAFile)).await;
        check(302, &["Location: http://127.0.0.1:1/"], "", retry(ReasonCode::NotAFile)).await;
        check(202, FILE, "later", retry(ReasonCode::NotAFile)).await;
        check(206, FILE, "part", retry(ReasonCode::TransferBroken)).await;
        check(204, FILE, "", retry(ReasonCode::TransferBroken)).await;
        check(200, FILE, "", retry(ReasonCode::TransferBroken)).await;
        check(502, HTML, "<html>", retry(ReasonCode::UpstreamError)).await;
        check(404, HTML, "<html>", Verdict::RetryFewTimes(ReasonCode::UnknownCode)).await;
        check(401, JSON, r#"{"code":154404,"msg":"deleted"}"#, Verdict::End(ReasonCode::ImageDeleted)).await;
        check(400, JSON, r#"{"code":234037,"msg":"large"}"#, Verdict::End(ReasonCode::TooLarge)).await;
        check(429, JSON, r#"{"code":99991400}"#, Verdict::RateLimited { wait: None }).await;

        let long = format!("{{\"code\":1,\"msg\":\"{}\"}}", "x".repeat(70_000));
        for (headers, body) in [
            (FILE, deleted),
            (FILE, "<html>"),
            (JSON, r#"{"code":0,"msg":"ok"}"#),
            (JSON, r#"{"code":"7","msg":"x"}"#),
            (JSON, r#"{"code":7}"#),
            (JSON, "{not json"),
            (JSON, " \n "),
            (JSON, &long),
            (&["Transfer-Encoding: chunked", "Content-Type: application/json"], "5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n"),
        ] {
            let sent = body.to_owned();
            let file = resource(ResourceType::File);
            let bytes = read_once_as(&file, move || answer(200, headers, &sent)).await.unwrap();
            let stored = if body.ends_with("\r\n\r\n") { r#"{"a":1}"# } else { body };
            assert_eq!(String::from_utf8(bytes).unwrap(), stored);
        }
    }

    fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes.as_ref()).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn what_the_platform_says_may_come_in_a_coding_too() {
        let deleted = gzip(r#"{"code":230110,"msg":"gone"}"#);
        for (status, coding, verdict) in [
            (200, "gzip", Verdict::End(ReasonCode::MessageDeleted)),
            (400, "gzip", Verdict::End(ReasonCode::MessageDeleted)),
            (200, "zstd", retry(ReasonCode::NotAFile)),
            // What nobody can read says nothing; the status does.
            (400, "zstd", Verdict::RetryFewTimes(ReasonCode::UnknownCode)),
            (502, "zstd", retry(ReasonCode::UpstreamError)),
        ] {
            let (body, header) = (deleted.clone(), format!("Content-Encoding: {coding}"));
            let refusal = read_once(move || answer(status, &[&header], &body)).await.unwrap_err();
            assert_eq!(refusal.verdict, verdict, "{status} {coding}: {refusal:?}");
        }
        let token = gzip(r#"{"code":0,"msg":"ok","tenant_access_token":"t-coded","expire":7200}"#);
        let platform = Platform::start(move |request, _| match request.starts_with("GET") {
            true => request.contains("Bearer t-coded").then(|| answer(200, FILE, "png")),
            false => Some(answer(200, &["Content-Encoding: gzip"], &token)),
        })
        .await;
        assert_eq!(read(&platform.client().0, &image()).await.unwrap(), b"png");
    }

    #[tokio::test]
    async fn parts_that_a_gateway_has_put_into_a_coding_are_what_is_inside() {
        let total = 100_000;
        let (file, platform) =
            large(total, |_, range, part| answer(206, &[range, "Content-Encoding: gzip"], gzip(part))).await;
        let bytes = read(&platform.client().0, &resource(ResourceType::File)).await.unwrap();
        assert!(bytes == *file, "{} bytes came", bytes.len());
        // One that is a piece of a coded whole cannot be undone, and is no file.
        let (_, platform) =
            large(total, |_, range, part| answer(206, &[range, "Content-Encoding: gzip"], &gzip(part)[..200])).await;
        let refusal = read(&platform.client().0, &resource(ResourceType::File)).await.unwrap_err();
        assert_eq!(refusal.verdict, retry(ReasonCode::TransferBroken), "{refusal:?}");
    }

    #[tokio::test]
    async fn a_broken_transfer_is_never_a_file() {
        const CUT: &[&str] = &["Content-Type: image/png", "Content-Length: 10"];
        let head = || match answer(200, CUT, "12345") {
            Reply::Bytes(bytes) => bytes,
            other => panic!("answers are bytes, not {}", std::any::type_name_of_val(&other)),
        };
        let chunk_missing = || answer(200, &["Transfer-Encoding: chunked"], "5\r\n12345\r\n");
        let both_lengths =
            || answer(200, &["Content-Length: 3", "Transfer-Encoding: chunked"], "5\r\n12345\r\n0\r\n\r\n");
        for refusal in [
            read_once(move || Reply::Bytes(head())).await.unwrap_err(),
            read_once(move || Reply::Reset(head())).await.unwrap_err(),
            read_once(move || Reply::Silence(head())).await.unwrap_err(),
            read_once(|| Reply::Silence(Vec::new())).await.unwrap_err(),
            read_once(|| Reply::Bytes(Vec::new())).await.unwrap_err(),
            read_once(chunk_missing).await.unwrap_err(),
            read_once(both_lengths).await.unwrap_err(),
        ] {
            assert_eq!(refusal.verdict, retry(ReasonCode::TransferBroken), "{refusal:?}");
            let msg = refusal.upstream.msg.unwrap();
            assert!(!msg.is_empty() && !msg.contains("om_1"), "{msg}");
        }
    }

    #[tokio::test]
    async fn a_refused_token_is_replaced_once_whatever_the_status() {
        for status in [200, 400, 401] {
            let refused = move || json(status, r#"{"code":99991663,"msg":"Invalid access token"}"#);
            let platform = Platform::start(move |request, _| {
                let stale = request.contains("Bearer t-1\r\n");
                request.starts_with("GET").then(|| if stale { refused() } else { answer(200, FILE, "png") })
            })
            .await;
            let (client, _) = platform.client();
            let files = join_all((0..16).map(|_| async { read(&client, &image()).await.unwrap() })).await;
            assert!(files.iter().all(|bytes| bytes == b"png"));
            assert_eq!(platform.requests(IsToken::Yes).len(), 2, "one token and one refresh for all");
        }
    }

    #[tokio::test]
    async fn a_second_refusal_ends_it() {
        for (status, body, reason) in [
            (400, r#"{"code":99991663,"msg":"Invalid access token"}"#, ReasonCode::CredentialsRejected),
            (401, "", ReasonCode::CredentialsRejected),
            (401, r#"{"code":234002,"msg":"Unauthorized"}"#, ReasonCode::Unauthorized),
        ] {
            let platform =
                Platform::start(move |request, _| request.starts_with("GET").then(|| json(status, body))).await;
            let refusal = platform.client().0.fetch(&image()).await.unwrap_err();
            assert_eq!(refusal.verdict, Verdict::End(reason));
            assert_eq!((platform.requests(IsToken::Yes).len(), platform.requests(IsToken::No).len()), (2, 2));
        }
    }

    #[tokio::test]
    async fn a_rate_limit_stops_the_api_for_as_long_as_the_platform_says() {
        let limited = || answer(400, &["x-ogw-ratelimit-reset: 52"], r#"{"code":99991400,"msg":"frequency limit"}"#);
        let platform = Platform::start(move |request, _| request.contains("/images/").then(limited)).await;
        let (client, metrics) = platform.client();
        let target = Target::Image { key: "img_1".parse().unwrap() };
        let first = client.fetch(&target).await.unwrap_err();
        assert_eq!(first.verdict, Verdict::RateLimited { wait: Some(Duration::from_secs(52)) });
        let second = client.fetch(&target).await.unwrap_err();
        let Verdict::RateLimited { wait: Some(left) } = second.verdict else { panic!("{second:?}") };
        assert!(left > Duration::from_secs(40) && left < Duration::from_secs(52));
        assert_eq!(platform.requests(IsToken::No).len(), 1, "nothing is asked during the pause");
        assert!(metrics.render().contains(r#"{api="image",code="99991400"} 1"#));

        assert_eq!(client.fetch(&image()).await.unwrap_err().upstream.http_status, Some(404), "other APIs go on");
    }

    #[tokio::test]
    async fn a_platform_that_cannot_be_reached_is_tried_again() {
        let (client, metrics) = Platform::unreachable().await.client();
        assert_eq!(client.fetch(&image()).await.unwrap_err().verdict, retry(ReasonCode::UpstreamError));
        assert!(metrics.render().contains(r#"{api="token",code="none"} 1"#));
    }

    /// Answers the nth request for a range, given its `Content-Range` and its bytes.
    type Serve = fn(usize, &str, Vec<u8>) -> Reply;

    /// A platform that holds one file, refuses to send it whole, and serves ranges of it.
    async fn large(total: u64, serve: Serve) -> (Arc<Vec<u8>>, Platform) {
        let file: Arc<Vec<u8>> = Arc::new((0..total).map(|at| (at % 251) as u8).collect());
        let served = Arc::clone(&file);
        let platform = Platform::start(move |request, nth| {
            let range = request.lines().find_map(|line| line.strip_prefix("range: bytes="));
            let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
                return request.starts_with("GET").then(|| json(400, r#"{"code":234037,"msg":"too large"}"#));
            };
            let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse::<u64>().unwrap().min(total - 1));
            let range = format!("Content-Range: bytes {first}-{last}/{total}");
            Some(serve(nth, &range, served[first as usize..=last as usize].to_vec()))
        })
        .await;
        (file, platform)
    }

    #[tokio::test]
    async fn a_file_too_large_for_one_answer_comes_in_parts_and_goes_on_where_it_broke() {
        let total = 32 * 1024 * 1024 + 1000;
        let (file, platform) = large(total, |nth, range, mut part| match nth {
            1 => {
                let length = format!("Content-Length: {}", part.len());
                part.truncate(1_000_000);
                answer(206, &[range, &length], part)
            }
            2 => json(502, ""),
            _ => answer(206, &[range], part),
        })
        .await;
        let (client, _) = platform.client();
        let mut download = client.fetch(&resource(ResourceType::File)).await.unwrap();
        assert_eq!(download.declared_bytes, Some(total));
        let mut bytes = Vec::new();
        while let Some(chunk) = download.chunk().await.unwrap() {
            bytes.extend_from_slice(&chunk);
        }
        assert!(bytes == *file, "{} bytes came", bytes.len());
        let asked = platform.requests(IsToken::No).concat();
        let ranges: Vec<_> = asked.lines().filter_map(|line| line.strip_prefix("range: bytes=")).collect();
        assert_eq!(ranges, ["0-33554431", "1000000-33555431", "1000000-33555431"]);
    }

    #[tokio::test]
    async fn a_part_that_is_not_what_was_asked_for_is_never_a_file() {
        let spoiled: [Serve; 4] = [
            |_, _, part| answer(206, &["Content-Range: bytes 1-100/100"], part),
            |_, _, part| answer(206, &[], part),
            |_, range, part| answer(206, &[range], [&part[..], b"surplus"].concat()),
            |_, range, part| {
                answer(
                    206,
                    &[range, "Transfer-Encoding: chunked"],
                    [b"6b\r\n", &part[..], b"surplus\r\n0\r\n\r\n"].concat(),
                )
            },
        ];
        for spoil in spoiled {
            let (_, platform) = large(100, spoil).await;
            let refusal = read(&platform.client().0, &resource(ResourceType::File)).await.unwrap_err();
            assert_eq!(refusal.verdict, retry(ReasonCode::TransferBroken), "{refusal:?}");
        }
    }
}

//! The company dictionary: which images its entries have. The images themselves are a source like
//! any other.
//!
//! Documented at `/document/uAjLw4CM/ukTMukTMukTM/reference/lingo-v1/entity/list`.

use serde_json::Value;

use super::answer::Refusal;
use super::client::{Api, Call, Client};
use crate::domain::id::ResourceKey;
use crate::domain::source::Source;

/// Entries on a page; the most that the platform gives.
const ENTRIES_PER_PAGE: &str = "100";
/// The longest page that is read: a hundred entries, explained at length in three languages.
const MAX_PAGE_BYTES: usize = 16 << 20;

/// Some entries of the dictionary, as far as an archive cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DictionaryPage {
    /// The tokens of their images, in the order they stand there; some may repeat.
    pub images: Vec<ResourceKey>,
    /// What to ask the next page with; none on the last one.
    pub next_page: Option<String>,
}

impl Client {
    /// The first page of the dictionary, or the one that a page before it named.
    ///
    /// # Errors
    /// What the platform's refusal, or the broken connection, means.
    pub async fn dictionary_page(&self, page: Option<&str>) -> Result<DictionaryPage, Refusal> {
        self.require_custom_app(Source::Lingo)?;
        let mut url = self.url(&["open-apis", "lingo", "v1", "entities"]);
        url.query_pairs_mut().append_pair("page_size", ENTRIES_PER_PAGE);
        if let Some(page) = page {
            url.query_pairs_mut().append_pair("page_token", page);
        }
        let data = self.ask(&Call::get(Api::Bytes(Source::Lingo), url), MAX_PAGE_BYTES).await?;
        let more = data.get("has_more").and_then(Value::as_bool).unwrap_or(false);
        let next_page = data.get("page_token").and_then(Value::as_str).filter(|token| more && !token.is_empty());
        let images = data.get("entities").map(images_in).unwrap_or_default();
        Ok(DictionaryPage { images, next_page: next_page.map(str::to_owned) })
    }
}

/// The tokens in every list called `images`. The documented one is `related_meta.images`; wherever
/// else such a list stands, its tokens are as good.
fn images_in(entries: &Value) -> Vec<ResourceKey> {
    let mut found = Vec::new();
    let mut ahead = vec![entries];
    while let Some(value) = ahead.pop() {
        match value {
            Value::Array(items) => ahead.extend(items.iter().rev()),
            Value::Object(members) => {
                let images = members.get("images").and_then(Value::as_array);
                found.extend(images.into_iter().flatten().filter_map(token_of));
                ahead.extend(members.values().rev());
            }
            _ => {}
        }
    }
    found
}

fn token_of(image: &Value) -> Option<ResourceKey> {
    let token = image.get("token").or_else(|| image.get("file_token"))?;
    token.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::download::Verdict;
    use crate::domain::reason::ReasonCode;
    use crate::feishu::scripted::{IsToken, Platform, json};

    #[tokio::test]
    async fn images_are_found_wherever_entries_have_them() {
        let first = r#"{"code":0,"data":{"has_more":true,"page_token":"p 2","entities":[
            {"id":"e1","related_meta":{"images":[{"token":"boxbc1"},{"token":""},{"token":7},{}]}},
            {"id":"e2","related_meta":null},
            {"id":"e3","i18n_descs":[{"images":[{"file_token":"boxbc3"}]}],"related_meta":{"images":[{"token":"boxbc2"}]}},
            "no entry"]}}"#;
        let last = r#"{"code":0,"data":{"has_more":false,"page_token":"p 3"}}"#;
        let platform = Platform::start(move |request, before| {
            request.starts_with("GET").then(|| json(200, if before == 0 { first } else { last }))
        })
        .await;
        let (client, _) = platform.client();
        let page = client.dictionary_page(None).await.unwrap();
        let images: Vec<&str> = page.images.iter().map(ResourceKey::as_str).collect();
        assert_eq!(images, ["boxbc1", "boxbc3", "boxbc2"]);
        let page = client.dictionary_page(page.next_page.as_deref()).await.unwrap();
        assert_eq!(page, DictionaryPage { images: Vec::new(), next_page: None });
        let asked = platform.requests(IsToken::No).pop().unwrap();
        assert!(asked.starts_with("GET /open-apis/lingo/v1/entities?page_size=100&page_token=p+2 HTTP/1.1"), "{asked}");
    }

    #[tokio::test]
    async fn a_dictionary_that_may_not_be_read_says_so() {
        let refused = r#"{"code":99991672,"msg":"Access denied."}"#;
        let platform = Platform::start(move |request, _| request.starts_with("GET").then(|| json(400, refused))).await;
        let refusal = platform.client().0.dictionary_page(None).await.unwrap_err();
        assert_eq!(refusal.verdict, Verdict::End(ReasonCode::ScopeMissing));
    }
}

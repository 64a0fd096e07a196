//! The helpdesk: asking for the events of its tickets.
//!
//! Choosing the event in the developer console is not enough; it has to be switched on by a call as
//! well. Documented at `/document/ukTMukTMukTM/uAjLw4CM/helpdesk-v1/event/subscribe`.

use serde_json::json;

use super::answer::{MAX_ERROR_BODY_BYTES, Refusal, Rejection};
use super::client::{Api, Call, Client};
use super::code::Class;
use crate::domain::download::Upstream;
use crate::domain::reason::ReasonCode;
use crate::domain::source::Source;

impl Client {
    /// Asks the helpdesk to send an event for each message in a ticket. Asking again changes nothing.
    ///
    /// # Errors
    /// What the platform's refusal, or the broken connection, means.
    pub async fn subscribe_to_ticket_messages(&self) -> Result<(), Refusal> {
        self.require_helpdesk()?;
        let url = self.url(&["open-apis", "helpdesk", "v1", "events", "subscribe"]);
        let events =
            json!({ "events": [{ "type": "helpdesk.ticket_message", "subtype": "ticket_message.created_v1" }] });
        let answer = self.send(&Call::post(Api::Bytes(Source::TicketImage), url, &events)).await?;
        let upstream = answer.upstream.clone();
        match answer.json(MAX_ERROR_BODY_BYTES).await?.get("code").and_then(serde_json::Value::as_i64) {
            Some(0) => Ok(()),
            _ => Err(Rejection::not_a_file(&upstream, "the answer does not say that it worked").into()),
        }
    }

    /// Refuses what the helpdesk cannot be asked without its credentials, or by a store app.
    pub(super) fn require_helpdesk(&self) -> Result<(), Refusal> {
        self.require_custom_app(Source::TicketImage)?;
        if self.knows_helpdesk() {
            return Ok(());
        }
        let unset = "FEISHU_HELPDESK_ID and FEISHU_HELPDESK_TOKEN are not set; nothing was asked";
        Err(Rejection::new(Class::End(ReasonCode::HelpdeskDenied), &Upstream::default(), unset).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::download::Verdict;
    use crate::feishu::scripted::{IsToken, Platform, json};

    #[tokio::test]
    async fn subscribing_names_the_event_and_shows_both_credentials() {
        let script = |request: &str, before: usize| {
            let answers = [r#"{"code":0,"msg":"success"}"#, r#"{"code":154003,"msg":"no access"}"#, "{}"];
            request.contains("/subscribe").then(|| json(200, answers[before]))
        };
        let platform = Platform::start(script).await;
        let (client, _) = platform.client();
        client.subscribe_to_ticket_messages().await.unwrap();
        let asked = platform.requests(IsToken::No).pop().unwrap();
        assert!(asked.starts_with("POST /open-apis/helpdesk/v1/events/subscribe HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("\r\nx-lark-helpdesk-authorization: MTIzNDU6aHQtc29tZXRva2Vu\r\n"), "{asked}");
        assert!(asked.contains("\r\nauthorization: Bearer t-1\r\n"), "{asked}");
        assert!(
            asked.ends_with(r#"{"events":[{"subtype":"ticket_message.created_v1","type":"helpdesk.ticket_message"}]}"#),
            "{asked}"
        );
        let refusal = client.subscribe_to_ticket_messages().await.unwrap_err();
        assert_eq!(refusal.verdict, Verdict::End(ReasonCode::HelpdeskDenied));
        let refusal = client.subscribe_to_ticket_messages().await.unwrap_err();
        assert_eq!(refusal.verdict, Verdict::Retry(ReasonCode::NotAFile));
    }
}

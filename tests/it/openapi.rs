//! The API's description, compared with what the API does.

use larkive::domain::message::OnRecall;
use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use reqwest::{Method, Response};
use serde_json::{Map, Value, json};

use crate::support::{ADMIN_TOKEN, Options, TestApp, spawn_app, spawn_app_with};

/// An archive with a bit of everything: stored, blocked, impossible, unparsed.
async fn furnished() -> TestApp {
    let app = spawn_app_with(Options { on_recall: OnRecall::Hide, ..Options::default() }).await;
    let blocked = Media::Png.key(1);
    app.fault(json!({"key": blocked, "do": {"answer": {"status": 400, "code": 234_038, "msg": "no"}}}));
    app.deliver(&event::image("om_1", &blocked)).await;
    app.deliver(&event::file("om_2", &Media::Pdf.key(2), "第四课.pdf")).await;
    app.deliver(&event::sticker("om_3", "file_v3_sticker")).await;
    app.drain().await;
    app
}

async fn ask(app: &TestApp, method: &str, path: &str) -> Response {
    let method: Method = method.to_uppercase().parse().unwrap();
    let url = format!("http://{}{path}", app.admin_address);
    app.http.request(method, url).bearer_auth(ADMIN_TOKEN).send().await.unwrap()
}

/// Every operation: path, method, description.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (verb, operation) in item.as_object().unwrap() {
            all.push((path.as_str(), verb.as_str(), operation));
        }
    }
    all
}

/// Why an answer is not what the document promises; nothing if it is. Members that the document does
/// not know count as wrong: readers could not know them either.
fn fault_of(document: &Value, operation: &Value, status: u16, content_type: &str, body: &Value) -> Option<String> {
    let content = &operation["responses"][status.to_string()]["content"];
    let Some(schema) = content[content_type].get("schema") else {
        return Some(format!("the document knows no {status} with {content_type}"));
    };
    let mut schema = schema.clone();
    schema["components"] = closed(&document["components"]);
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let faults: Vec<String> =
        validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    (!faults.is_empty()).then(|| faults.join("; "))
}

/// The same schemas without room for other members.
fn closed(components: &Value) -> Value {
    let mut components = components.clone();
    for schema in components["schemas"].as_object_mut().unwrap().values_mut() {
        if schema.get("properties").is_some() {
            schema["additionalProperties"] = json!(false);
        }
    }
    components
}

async fn parts(answer: Response) -> (u16, String, Value) {
    let status = answer.status().as_u16();
    let content_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (status, content_type, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

#[tokio::test]
async fn what_the_document_names_is_there_and_answers_nothing_else() {
    let app = spawn_app().await;
    let document = app.json("/api/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    assert!(operations(&document).len() >= 14, "{document:#}");
    for (path, verb, _) in operations(&document) {
        let (other, allow) = if verb == "get" { ("post", "GET, HEAD") } else { ("get", "POST") };
        let concrete = path.replace("{id}", "x").replace("{message_id}", "x");
        for wrong in [other, "delete", "options", "brew"] {
            let refused = ask(&app, wrong, &concrete).await;
            assert_eq!(
                (refused.status().as_u16(), refused.headers()["allow"].to_str().unwrap()),
                (405, allow),
                "{path}"
            );
            assert_eq!(parts(refused).await.2["code"], "method_not_allowed", "{wrong} {path}");
        }
        let right = ask(&app, verb, &concrete).await;
        let head = ask(&app, "head", &concrete).await;
        assert_eq!(head.status(), if verb == "get" { right.status() } else { 405.try_into().unwrap() }, "HEAD {path}");
        let text = right.text().await.unwrap();
        assert!(!text.contains("there is no such path"), "{verb} {path}: {text}");
    }
}

#[tokio::test]
async fn answers_are_what_the_document_promises() {
    let app = furnished().await;
    let document = app.json("/api/openapi.json").await;
    let id = async |key: &str| app.resource(key).await.resource.id.to_string();
    let (blocked, stored, sticker) =
        (id(&Media::Png.key(1)).await, id(&Media::Pdf.key(2)).await, id("file_v3_sticker").await);
    let event = app.json("/api/v1/events").await["items"][0]["id"].as_str().unwrap().to_owned();
    let one = "/api/v1/resources/{id}";
    for (path, verb, concrete, expected) in [
        ("/api/v1/resources", "get", "/api/v1/resources?limit=2".to_owned(), 200),
        ("/api/v1/resources", "get", "/api/v1/resources?limit=0".to_owned(), 400),
        (one, "get", format!("/api/v1/resources/{blocked}"), 200),
        (one, "get", format!("/api/v1/resources/{stored}"), 200),
        (one, "get", format!("/api/v1/resources/{sticker}"), 200),
        (one, "get", "/api/v1/resources/x".to_owned(), 404),
        ("/api/v1/resources/{id}/content", "get", format!("/api/v1/resources/{blocked}/content"), 404),
        ("/api/v1/resources/{id}/retry", "post", format!("/api/v1/resources/{stored}/retry"), 202),
        ("/api/v1/resources/retry", "post", "/api/v1/resources/retry?state=gone".to_owned(), 202),
        ("/api/v1/resources/retry", "post", "/api/v1/resources/retry".to_owned(), 400),
        ("/api/v1/fetch", "post", "/api/v1/fetch".to_owned(), 400),
        ("/api/v1/messages/{message_id}", "get", "/api/v1/messages/om_2".to_owned(), 200),
        ("/api/v1/messages/{message_id}", "get", "/api/v1/messages/om_404".to_owned(), 404),
        ("/api/v1/chats", "get", "/api/v1/chats".to_owned(), 200),
        ("/api/v1/stats", "get", "/api/v1/stats".to_owned(), 200),
        ("/api/v1/changes", "get", "/api/v1/changes?after=0".to_owned(), 200),
        ("/api/v1/changes", "get", "/api/v1/changes?after=99999".to_owned(), 410),
        ("/api/v1/events", "get", "/api/v1/events".to_owned(), 200),
        ("/api/v1/events/{id}/replay", "post", format!("/api/v1/events/{event}/replay"), 202),
        ("/api/v1/events/{id}/replay", "post", "/api/v1/events/e1/replay".to_owned(), 404),
    ] {
        let (status, content_type, body) = parts(ask(&app, verb, &concrete).await).await;
        assert_eq!(status, expected, "{concrete}: {body}");
        let fault = fault_of(&document, &document["paths"][path][verb], status, &content_type, &body);
        assert_eq!(fault, None, "{concrete}: {body:#}");
    }
}

#[tokio::test]
async fn the_document_is_told_from_a_wrong_answer() {
    let app = furnished().await;
    let document = app.json("/api/openapi.json").await;
    let operation = &document["paths"]["/api/v1/resources"]["get"];
    let mut page = app.json("/api/v1/resources?limit=1").await;
    let judge = |page: &Value| fault_of(&document, operation, 200, "application/json", page);
    assert_eq!(judge(&page), None);
    let resource: Map<String, Value> = page["items"][0].as_object().unwrap().clone();
    for member in resource.keys() {
        let mut without = resource.clone();
        without.remove(member);
        page["items"] = json!([without]);
        assert!(judge(&page).is_some(), "without {member}");
    }
    let mut with = resource.clone();
    with.insert("colour".to_owned(), json!("red"));
    page["items"] = json!([with]);
    assert!(judge(&page).is_some());
}

#[tokio::test]
async fn the_description_is_readable_without_a_network_and_not_sent_twice() {
    let app = spawn_app().await;
    for (path, content_type) in [("/api/docs", "text/html; charset=utf-8"), ("/api/openapi.json", "application/json")] {
        let answer = app.api(path).await;
        assert_eq!(answer.headers()["content-type"], content_type);
        let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
        assert!(tag.starts_with("W/\""), "{path}: {tag}");
        let url = format!("http://{}{path}", app.admin_address);
        let again = app.http.get(url).bearer_auth(ADMIN_TOKEN).header("if-none-match", &tag).send().await.unwrap();
        assert_eq!((again.status().as_u16(), again.headers()["etag"].to_str().unwrap()), (304, tag.as_str()), "{path}");
    }
    let policy = app.api("/api/docs").await.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
}

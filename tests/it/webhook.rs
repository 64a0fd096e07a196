//! The main path: a delivery comes in, its bytes are safe.

use larkive::sandbox::event;
use larkive::sandbox::samples::Media;

use crate::support::spawn_app;

#[tokio::test]
async fn an_image_is_stored_under_its_digest() {
    let app = spawn_app().await;
    let key = Media::Png.key(7);
    app.deliver(&event::image("om_1", &key)).await;
    app.drain().await;
    let stored = app.assert_stored(&key).await;
    assert_eq!(stored.resource.mime.as_deref(), Some("image/png"));
    assert_eq!(stored.resource.attempts, 1);
}

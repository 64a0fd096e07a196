//! What the pages load: a style sheet, a script and an icon, all inside the program.
//!
//! Their paths contain a hash of their bytes, so browsers keep them for good and still see a new
//! version at once.

use std::sync::LazyLock;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest as _, Sha256};

use super::failure::Failure;

/// A file that pages load.
#[derive(Debug)]
pub(super) struct Asset {
    /// Where it is served.
    pub(super) path: String,
    media_type: &'static str,
    body: &'static str,
}

/// Every file that pages load.
#[derive(Debug)]
pub(super) struct Assets {
    pub(super) style: Asset,
    pub(super) script: Asset,
    pub(super) icon: Asset,
}

/// One style sheet of two files: the frame with the resources, and the pages around them.
const STYLE: &str =
    concat!(include_str!("../../../assets/pages/larkive.css"), include_str!("../../../assets/pages/panels.css"));

/// The assets of this build.
pub(super) static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: Asset::new("larkive.css", "text/css; charset=utf-8", STYLE),
    script: Asset::new(
        "larkive.js",
        "text/javascript; charset=utf-8",
        include_str!("../../../assets/pages/larkive.js"),
    ),
    icon: Asset::new("larkive.svg", "image/svg+xml", include_str!("../../../assets/pages/larkive.svg")),
});

impl Asset {
    fn new(name: &str, media_type: &'static str, body: &'static str) -> Self {
        let hash: [u8; 32] = Sha256::digest(body.as_bytes()).into();
        let version: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { path: format!("/assets/{version}/{name}"), media_type, body }
    }
}

/// `GET /assets/{version}/{name}`
pub(super) async fn serve(request: HttpRequest) -> Result<HttpResponse, Failure> {
    let assets = &*ASSETS;
    let all = [&assets.style, &assets.script, &assets.icon];
    let asset = all.into_iter().find(|asset| asset.path == request.path()).ok_or(Failure::NotFound)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, asset.media_type))
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'"))
        .body(asset.body))
}

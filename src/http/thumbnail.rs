//! The thumbnail of a resource: a small picture of ours, made of somebody's bytes.
//!
//! Whoever routes here has checked who is asking.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, EntityTag};
use actix_web::{HttpRequest, HttpResponse};

use super::conditional::is_known;
use super::error::Problem;
use crate::archive::thumbnail::{Shown, ThumbnailError, Thumbnails};

/// A browser may keep a thumbnail, and asks each time before it shows it: the same bytes give the same picture,
/// but it may have been recalled since.
const CACHE_CONTROL: &str = "private, no-cache";

/// The thumbnail of the resource with this id: 200, 304, or 404. One that is not made yet is waited
/// for for a while.
///
/// # Errors
/// What to answer when there is none.
pub async fn serve(thumbnails: &Thumbnails, request: &HttpRequest, id: &str) -> Result<HttpResponse, Problem> {
    let id = id.parse().map_err(|_| none())?;
    let (picture, shown) = thumbnails.look_at(id).await?.ok_or_else(none)?;
    let tag = EntityTag::new_strong(format!("thumbnail-{}", picture.digest));
    if is_known(request, &tag) {
        return Ok(HttpResponse::NotModified()
            .insert_header((header::ETAG, tag.to_string()))
            .insert_header((header::CACHE_CONTROL, CACHE_CONTROL))
            .finish());
    }
    let shown = match shown {
        Shown::NotYet => thumbnails.wait_for(picture).await?,
        shown => shown,
    };
    match shown {
        Shown::Thumbnail(bytes) => Ok(HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, "image/webp"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::CACHE_CONTROL, CACHE_CONTROL))
            .insert_header((header::ETAG, tag.to_string()))
            .body(bytes)),
        Shown::Nothing => Err(none()),
        Shown::NotYet => {
            Err(Problem::not_yet("thumbnail_not_ready", "the thumbnail is being made; ask again in a moment"))
        }
    }
}

impl From<ThumbnailError> for Problem {
    fn from(error: ThumbnailError) -> Self {
        match error {
            ThumbnailError::Catalogue(error) => error.into(),
            ThumbnailError::Cache(error) => {
                tracing::error!(%error, "Could not read a thumbnail");
                Self::internal()
            }
            ThumbnailError::Picture(damage) => {
                tracing::error!(%damage, "Could not read the picture of a thumbnail");
                Self::internal()
            }
        }
    }
}

fn none() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_thumbnail", "there is no thumbnail of this resource")
}

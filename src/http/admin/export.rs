//! Taking files out: what was selected, or everything that a question asks for, as one ZIP that is made
//! while it is taken.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Pages;
use super::failure::Failure;
use super::form::Form;
use super::question::Question;
use super::visit::SignedIn;
use crate::archive::export::stream::{Form as PackageForm, stream};
use crate::archive::export::{Export, Progress, Selection, Watcher};
use crate::domain::error::chain;
use crate::domain::id::MessageId;
use crate::domain::time::Timestamp;

/// Exports that are made at once: each holds a thread and reads as fast as it is taken, and
/// deliveries and downloads come first.
const AT_ONCE: usize = 3;

/// The places for exports that are being made.
#[derive(Debug)]
pub(super) struct Exports(Arc<Semaphore>);

impl Default for Exports {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Exports {
    /// A place, if one is free; it is until whoever has it drops it.
    fn begin(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.0.clone().try_acquire_owned().map_err(|_| Failure::TooManyExports)
    }
}

/// `POST /export`: what was selected, or what the question in the address asks for.
pub(super) async fn export(
    pages: web::Data<Pages>,
    _: SignedIn,
    request: HttpRequest,
    form: Form,
) -> Result<HttpResponse, Failure> {
    let selection = match form.value("extent") {
        "selected" => Selection::These(form.selected()?),
        "matching" => Selection::Matching(Box::new(Question::understood(&request)?)),
        _ => return Err(Failure::BadRequest),
    };
    let now = pages.clock.now();
    let export = Export {
        catalogue: pages.catalogue.clone(),
        examiner: pages.examiner.clone(),
        selection,
        now,
        watcher: watcher(pages.exports.begin()?),
    };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/zip"))
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", name(now))))
        .insert_header((header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(stream(export, PackageForm::Zip, &pages.spool)))
}

/// The export's place is free again as soon as nobody watches it any more.
fn watcher(place: OwnedSemaphorePermit) -> Watcher {
    Arc::new(move |progress| {
        let _taken = &place;
        match progress {
            Progress::Failed(resource, problem) => {
                let message_id = resource.message_id.as_ref().map(MessageId::as_str);
                tracing::error!(resource.id = %resource.id, message.id = message_id, app.id = %resource.app_id, %problem,
                    "A blob could not be exported");
            }
            Progress::NotNoted(digest, error) => {
                tracing::error!(blob.sha256 = %digest, error = %chain(error), "Cannot note that a blob is damaged");
            }
            Progress::Bytes(_) | Progress::Resource => {}
        }
    })
}

/// `larkive-20260131T093000Z.zip`.
fn name(now: Timestamp) -> String {
    let second: String = now.to_string().chars().take_while(|c| *c != '.').filter(|c| !"-:".contains(*c)).collect();
    format!("larkive-{second}Z.zip")
}

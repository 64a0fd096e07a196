//! What a browser is shown when there is no page to show.
//!
//! Whatever fails wherever is answered without knowing the reader; [`told`], around every page, then
//! says it in their language.

use std::fmt;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, ResponseError};
use askama::Template;

use super::assets::{ASSETS, Assets};
use super::form::MAX_SELECTED;
use super::frame::{answer, see_other};
use super::language::Language;
use super::local_path::LocalPath;
use super::visit;
use crate::catalogue::CatalogueError;
use crate::catalogue::listing::ListingError;
use crate::domain::error::chain;
use crate::domain::reason::Bilingual;
use crate::http::error::Problem;

// A text below says it in words.
const _: () = assert!(MAX_SELECTED == 10_000);

/// Why there is no page.
#[derive(Debug)]
pub(super) enum Failure {
    /// There are no pages at all, and nothing says that there could be.
    NoPages,
    /// Nobody has signed in; afterwards it goes on here.
    NotSignedIn(LocalPath),
    /// There is nothing under this path, or nothing that may be seen.
    NotFound,
    /// What was sent cannot be understood.
    BadRequest,
    /// A page of somebody else made the browser send this.
    FromElsewhere,
    /// The link to a further page does not fit its filters.
    BadCursor,
    /// Nothing was selected of what can be.
    NothingSelected,
    /// A form is larger than it needs to be.
    TooLarge,
    /// More was ticked than a form takes ([`MAX_SELECTED`]).
    TooManySelected,
    /// As many exports are being made as there may be.
    TooManyExports,
    /// The catalogue has too much to do.
    Busy,
    /// Something on our side failed; the log says what.
    Internal,
}

/// The page that says so.
#[derive(Template)]
#[template(path = "failure.html")]
struct Page {
    assets: &'static Assets,
    language: Language,
    text: &'static str,
    back: &'static str,
}

/// Around every page: says in the reader's language what failed.
pub(super) async fn told<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let language = visit::language(request.headers());
    let response = next.call(request).await?;
    let failure = response.response().error().and_then(|error| error.as_error::<Failure>());
    match failure.map(|failure| failure.page(language)) {
        Some(page) => Ok(response.into_response(page).map_into_right_body()),
        None => Ok(response.map_into_left_body()),
    }
}

impl Failure {
    fn text(&self) -> Bilingual {
        match self {
            Self::NoPages | Self::NotSignedIn(_) | Self::NotFound => {
                Bilingual { zh: "这个页面不存在。", en: "There is nothing here." }
            }
            Self::BadRequest => {
                Bilingual { zh: "无法理解这个请求。", en: "This request cannot be understood." }
            }
            Self::TooLarge => Bilingual { zh: "提交的内容过大。", en: "What was sent is too large." },
            Self::FromElsewhere => Bilingual {
                zh: "这个请求不是从本站页面发出的，已被拒绝。",
                en: "This request did not come from a page of this site and was refused.",
            },
            Self::BadCursor => Bilingual {
                zh: "这个翻页链接与筛选条件不符，请从第一页重新开始。",
                en: "This link to a further page does not fit its filters; start again at the first page.",
            },
            Self::NothingSelected => Bilingual {
                zh: "没有勾选任何资源。请返回并至少勾选一项。",
                en: "Nothing was selected. Go back and tick at least one resource.",
            },
            Self::TooManySelected => Bilingual {
                zh: "一次最多勾选 10,000 项。请返回，用筛选条件选出所需内容，再点“导出全部结果”或“重新下载全部结果”，数量不限。",
                en: "At most 10,000 resources can be ticked at once. Go back, filter for what you want, and choose “Export all results” or “Retry all results”: these have no limit.",
            },
            Self::TooManyExports => Bilingual {
                zh: "已有多个导出正在进行，请等其中一个完成后再试。",
                en: "Several exports are being made already; try again when one of them is done.",
            },
            Self::Busy => Bilingual {
                zh: "目录库正忙，请稍后重试。",
                en: "The catalogue is busy; try again in a moment.",
            },
            Self::Internal => Bilingual {
                zh: "服务器出错，原因见日志。",
                en: "The server could not answer; its log says why.",
            },
        }
    }

    /// The page that says so, or what is answered instead of one.
    pub(super) fn page(&self, language: Language) -> HttpResponse {
        match self {
            Self::NoPages => Problem::not_found("there is no such path").error_response(),
            Self::NotSignedIn(next) => see_other(&next.behind_sign_in()),
            shown => {
                let Bilingual { zh, en } = shown.text();
                let back = language.pick("返回总览", "Back to the overview");
                let page = Page { assets: &ASSETS, language, text: language.pick(zh, en), back };
                let mut response = answer(shown.status_code(), &page);
                if matches!(shown, Self::Busy) {
                    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
                }
                response
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().en)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotSignedIn(_) => StatusCode::SEE_OTHER,
            Self::NoPages | Self::NotFound => StatusCode::NOT_FOUND,
            Self::BadRequest | Self::BadCursor | Self::NothingSelected | Self::TooManySelected => {
                StatusCode::BAD_REQUEST
            }
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::FromElsewhere => StatusCode::FORBIDDEN,
            Self::Busy | Self::TooManyExports => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        self.page(Language::English)
    }
}

impl From<CatalogueError> for Failure {
    fn from(error: CatalogueError) -> Self {
        if error.is_busy() {
            return Self::Busy;
        }
        tracing::error!(error = %chain(&error), "A page failed in the catalogue");
        Self::Internal
    }
}

impl From<ListingError> for Failure {
    fn from(error: ListingError) -> Self {
        match error {
            ListingError::BadCursor => Self::BadCursor,
            ListingError::Catalogue(error) => error.into(),
        }
    }
}

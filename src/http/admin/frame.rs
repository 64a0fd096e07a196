//! The frame around every page: its head, its navigation, and the headers that it is sent with.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use askama::Template;

use super::assets::{ASSETS, Assets};
use super::language::{Language, texts};
use super::local_path::LocalPath;
use super::visit::{SignedIn, Visit};
use crate::domain::zone::Zone;

/// What a page may load and do: everything comes from here, scripts only from files of ours, and
/// nobody else's page may contain it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     media-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

texts! {
    /// The texts of the frame.
    Texts {
        skip = "跳到正文", "Skip to the content";
        navigation = "主导航", "Main";
        overview = "总览", "Overview";
        resources = "资源", "Resources";
        attention = "待处理", "Needs attention";
        chats = "会话", "Chats";
        deliveries = "事件", "Deliveries";
        settings = "设置", "Settings";
        sign_out = "退出登录", "Sign out";
        zone = "日期和时间所用时区：", "Dates and times are those of ";
    }
}

/// A part of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// The first page: whether all is well.
    Overview,
    /// Gallery, table, and the pages of single resources.
    Resources,
    /// What failed, and what to do about it.
    Attention,
    /// How much came from where.
    Chats,
    /// What the platform sent.
    Deliveries,
    /// What the program was started with.
    Settings,
}

impl Section {
    const ALL: &'static [Self] =
        &[Self::Overview, Self::Resources, Self::Attention, Self::Chats, Self::Deliveries, Self::Settings];

    fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Resources => "/resources",
            Self::Attention => "/failed",
            Self::Chats => "/chats",
            Self::Deliveries => "/deliveries",
            Self::Settings => "/settings",
        }
    }

    fn name(self, texts: &'static Texts) -> &'static str {
        match self {
            Self::Overview => texts.overview,
            Self::Resources => texts.resources,
            Self::Attention => texts.attention,
            Self::Chats => texts.chats,
            Self::Deliveries => texts.deliveries,
            Self::Settings => texts.settings,
        }
    }
}

/// What the frame shows.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) language: Language,
    pub(super) texts: &'static Texts,
    pub(super) assets: &'static Assets,
    pub(super) place: LocalPath,
    /// By whose clocks and days the page goes.
    pub(super) zone: Zone,
    /// The sections, and where among them the page is; none for who has not signed in.
    pub(super) sections: Vec<Link>,
}

/// A link of the navigation.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    pub(super) is_here: bool,
}

impl Frame {
    /// The frame of a page of the archive.
    pub(super) fn inside(SignedIn(visit): &SignedIn, here: Section) -> Self {
        let outside = Self::outside(visit);
        let link = |section: &Section| Link {
            path: section.path(),
            name: section.name(outside.texts),
            is_here: *section == here,
        };
        Self { sections: Section::ALL.iter().map(link).collect(), ..outside }
    }

    /// The frame of a page that everybody may see.
    pub(super) fn outside(visit: &Visit) -> Self {
        Self {
            language: visit.language,
            texts: Texts::of(visit.language),
            assets: &ASSETS,
            place: visit.place.clone(),
            zone: visit.zone.clone(),
            sections: Vec::new(),
        }
    }
}

/// Sends a page.
pub(super) fn answer(status: StatusCode, page: &impl Template) -> HttpResponse {
    match page.render() {
        Ok(html) => HttpResponse::build(status)
            .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
            .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            // Not `no-referrer`: with it, forms would be sent without the origin that is checked.
            .insert_header((header::REFERRER_POLICY, "same-origin"))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header(("Cross-Origin-Opener-Policy", "same-origin"))
            .body(html),
        Err(error) => {
            tracing::error!(%error, "A page could not be rendered");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// Sends the browser on to another page, which it is to GET.
pub(super) fn see_other(path: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, path))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

//! Settings as the running program sees them, without secrets; nothing can be changed here.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::Pages;
use super::frame::{Frame, Section, answer};
use super::language::{Language, texts};
use super::visit::SignedIn;
use crate::catalogue::known_version;
use crate::domain::readable::visible;
use crate::domain::setting::{ShownSetting, ShownValue};

/// What the configuration calls the environment.
const ENVIRONMENT: &str = "environment";

texts! {
    /// The texts of this page.
    Texts {
        title = "设置", "Settings";
        lead = "运行中的程序所用的设置；要修改，请编辑环境变量或配置文件后重启。令牌与密钥显示为 ***。",
            "What the running program was started with. To change it, edit the environment or the file and restart. Secrets are shown as ***.";
        version = "Larkive 版本", "Larkive version";
        catalogue = "目录库版本", "Catalogue version";
        api = "接口文档", "API";
        api_link = "JSON API 说明（英文）", "Description of the JSON API";
        setting = "设置项", "Setting";
        value = "值", "Value";
        source = "来源", "Where from";
        environment = "环境变量", "environment";
        default = "默认值", "Default";
        unset = "未设置", "Not set";
        nothing = "演示使用内置设置。", "The demo brings its own settings.";
    }
}

/// The page.
#[derive(Template)]
#[template(path = "settings.html")]
struct Page {
    frame: Frame,
    texts: &'static Texts,
    version: &'static str,
    catalogue_version: i64,
    rows: Vec<Row>,
}

/// A setting as it is shown.
struct Row {
    key: String,
    /// What holds; none if nothing was said.
    value: Option<String>,
    /// Where it comes from, and what its absence means.
    source: String,
    is_given: bool,
}

impl Row {
    fn new(setting: &ShownSetting, language: Language) -> Self {
        let texts = Texts::of(language);
        let (value, source, is_given) = match &setting.value {
            ShownValue::Given { text, place } => (Some(visible(text)), told(&visible(place), language), true),
            ShownValue::Default(text) => (Some(visible(text)), texts.default.to_owned(), false),
            // The configuration explains itself in English only.
            ShownValue::Unset(meaning) => {
                (None, language.pick(texts.unset.to_owned(), format!("{}: {meaning}", texts.unset)), false)
            }
            ShownValue::Refused => (None, texts.unset.to_owned(), false),
        };
        Self { key: visible(&setting.key), value, source, is_given }
    }
}

/// A place of the configuration, which calls it in English.
fn told(place: &str, language: Language) -> String {
    match (language, place.rsplit_once(" line ")) {
        (Language::English, _) => place.to_owned(),
        (Language::Chinese, Some((file, line))) => format!("{file} 第 {line} 行"),
        (Language::Chinese, None) if place == ENVIRONMENT => Texts::of(language).environment.to_owned(),
        (Language::Chinese, None) => place.to_owned(),
    }
}

/// `GET /settings`
pub(super) async fn show(pages: web::Data<Pages>, visit: SignedIn) -> HttpResponse {
    let language = visit.0.language;
    let page = Page {
        version: env!("CARGO_PKG_VERSION"),
        catalogue_version: known_version(),
        rows: pages.settings.iter().map(|setting| Row::new(setting, language)).collect(),
        texts: Texts::of(language),
        frame: Frame::inside(&visit, Section::Settings),
    };
    answer(StatusCode::OK, &page)
}

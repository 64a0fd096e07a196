//! The two languages that the pages speak, and how a text is written down in both.

use actix_web::http::header::{self, HeaderMap};

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// Simplified Chinese.
    Chinese,
    /// English; also for readers who asked for neither.
    English,
}

impl Language {
    /// The tag in HTML, and the value in the form and the cookie of the switch.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::Chinese => "zh-CN",
            Self::English => "en",
        }
    }

    /// The language of a tag that [`Language::tag`] wrote.
    pub(super) fn of_tag(tag: &str) -> Option<Self> {
        [Self::Chinese, Self::English].into_iter().find(|language| language.tag() == tag)
    }

    /// The language that the switch leads to.
    pub(super) fn other(self) -> Self {
        match self {
            Self::Chinese => Self::English,
            Self::English => Self::Chinese,
        }
    }

    /// Its own name for itself.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Chinese => "中文",
            Self::English => "English",
        }
    }

    /// The one of two texts that is in this language.
    pub(super) fn pick<T>(self, zh: T, en: T) -> T {
        match self {
            Self::Chinese => zh,
            Self::English => en,
        }
    }

    /// The language that a browser likes best of those that there are (RFC 9110, Accept-Language).
    pub(super) fn preferred(headers: &HeaderMap) -> Self {
        let wishes = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut best = (Self::English, 0.0);
        for wish in wishes.split(',') {
            let (range, quality) = wish.split_once(";q=").unwrap_or((wish, "1"));
            let quality: f32 = quality.trim().parse().unwrap_or(0.0);
            let language = match range.trim().split('-').next() {
                Some(primary) if primary.eq_ignore_ascii_case("zh") => Self::Chinese,
                Some(primary) if primary.eq_ignore_ascii_case("en") => Self::English,
                _ => continue,
            };
            // Of equal wishes the first counts.
            if quality > best.1 {
                best = (language, quality);
            }
        }
        best.0
    }
}

/// Declares the texts of a page, each in both languages: one that is missing does not compile.
macro_rules! texts {
    ($(#[$doc:meta])* $name:ident { $($field:ident = $zh:literal, $en:literal;)* }) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(in $crate::http::admin) struct $name {
            $(pub(in $crate::http::admin) $field: &'static str,)*
        }

        impl $name {
            const ZH: &'static Self = &Self { $($field: $zh,)* };
            const EN: &'static Self = &Self { $($field: $en,)* };

            /// The texts in this language.
            pub(in $crate::http::admin) fn of(language: $crate::http::admin::language::Language) -> &'static Self {
                language.pick(Self::ZH, Self::EN)
            }
        }
    };
}
pub(super) use texts;

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn the_best_liked_language_wins() {
        let check = |wishes: &'static str, expected| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, HeaderValue::from_static(wishes));
            assert_eq!(Language::preferred(&headers), expected, "{wishes}");
        };
        check("", Language::English);
        check("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese);
        check("en-US,en;q=0.9,zh;q=0.8", Language::English);
        check("de, ZH-hant;q=0.3, en;q=0.2", Language::Chinese);
        check("fr;q=1, en;q=0", Language::English);
        check("zh;q=broken", Language::English);
    }
}

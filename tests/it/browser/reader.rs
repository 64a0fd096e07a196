//! Somebody who reads the pages: the language of the browser and what is read in it.

/// A reader, and the words that the pages have for them.
pub struct Reader {
    /// What the browser asks for.
    pub language: &'static str,
    /// What the pages answer with.
    pub tag: &'static str,
    pub sign_out: &'static str,
    pub stored: &'static str,
    pub blocked: &'static str,
    /// What to do about a chat in restricted mode.
    pub remedy: &'static str,
    pub end: &'static str,
}

pub const CHINESE: Reader = Reader {
    language: "zh-CN,zh",
    tag: "zh-CN",
    sign_out: "退出登录",
    stored: "已归档",
    blocked: "需要处理",
    remedy: "请群主在群设置中允许下载",
    end: "没有更多了",
};

pub const ENGLISH: Reader = Reader {
    language: "en-US,en",
    tag: "en",
    sign_out: "Sign out",
    stored: "Stored",
    blocked: "Blocked",
    remedy: "Ask the group owner to allow downloads",
    end: "That is everything",
};

//! Larkive: a media archive for Feishu and Lark.

pub mod clock;
pub mod domain;

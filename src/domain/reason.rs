//! Why a resource is not stored: one row per reason, with its cause, who can mend it, and how.
//!
//! `docs/reason-codes.md` and its Chinese twin are checked against this table.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::download::State;

/// Who can do something about a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Whoever configures the app in the developer console, or runs Larkive.
    Developer,
    /// The owner or an administrator of the chat.
    GroupOwner,
    /// An administrator of the tenant.
    TenantAdmin,
    /// Nobody, or nobody needs to.
    Nobody,
}

impl Owner {
    /// The English name.
    #[must_use]
    pub fn en(self) -> &'static str {
        match self {
            Self::Developer => "developer",
            Self::GroupOwner => "group owner",
            Self::TenantAdmin => "tenant administrator",
            Self::Nobody => "nobody",
        }
    }

    /// The Chinese name.
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Self::Developer => "开发者",
            Self::GroupOwner => "群主",
            Self::TenantAdmin => "企业管理员",
            Self::Nobody => "无需处理",
        }
    }
}

/// A text in both languages that Larkive speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Bilingual {
    /// Simplified Chinese.
    pub zh: &'static str,
    /// English.
    pub en: &'static str,
}

macro_rules! reasons {
    ($($variant:ident = $name:literal, $state:ident, $owner:ident, $configured:literal,
        $cause_en:literal, $cause_zh:literal, $remedy_en:literal, $remedy_zh:literal;)*) => {
        /// A stable reason code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ReasonCode {$(
            #[doc = $cause_en]
            $variant,
        )*}

        impl ReasonCode {
            /// Every reason, grouped by the state it belongs to.
            pub const ALL: &'static [ReasonCode] = &[$(ReasonCode::$variant),*];

            /// The stable name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The state that a resource with this reason is in (`pending` or `running` while a
            /// failure is being tried again).
            #[must_use]
            pub fn state(self) -> State {
                match self { $(Self::$variant => State::$state),* }
            }

            /// Who can mend it.
            #[must_use]
            pub fn owner(self) -> Owner {
                match self { $(Self::$variant => Owner::$owner),* }
            }

            /// Whether the cause lies in the configuration of the app or of Larkive, or on this
            /// machine, so that a new start is worth one try.
            #[must_use]
            pub fn may_clear_by_start(self) -> bool {
                match self { $(Self::$variant => $configured),* }
            }

            /// What happened, in one sentence.
            #[must_use]
            pub fn cause(self) -> Bilingual {
                match self { $(Self::$variant => Bilingual { zh: $cause_zh, en: $cause_en }),* }
            }

            /// What to do about it.
            #[must_use]
            pub fn remedy(self) -> Bilingual {
                match self { $(Self::$variant => Bilingual { zh: $remedy_zh, en: $remedy_en }),* }
            }
        }

        impl FromStr for ReasonCode {
            type Err = UnknownReason;

            fn from_str(text: &str) -> Result<Self, UnknownReason> {
                match text {
                    $($name => Ok(Self::$variant),)*
                    other => Err(UnknownReason(other.to_owned())),
                }
            }
        }
    };
}

impl ReasonCode {
    /// The state that a resource is in once it is no longer tried for this reason: mostly that of
    /// the reason. Our own failures are tried again for a while and then wait for a person.
    #[must_use]
    pub fn ends_in(self) -> State {
        match self {
            Self::LocalFailure => State::Blocked,
            other => other.state(),
        }
    }
}

/// A text that is no reason code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no reason code")]
pub struct UnknownReason(String);

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ReasonCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

reasons! {
    MessageDeleted = "message_deleted", Gone, Nobody, false,
        "The message was deleted or recalled before its bytes were here.",
        "消息在下载完成之前已被删除或撤回。",
        "Ask the sender to send it again; the platform no longer has it.",
        "平台上已没有该内容，请发送者重新发送。";
    ImageDeleted = "image_deleted", Gone, Nobody, false,
        "The image was deleted on the platform.",
        "图片已在平台上被删除。",
        "Ask whoever has the image to send it again; the platform no longer has it.",
        "平台上已没有该图片，请持有者重新发送。";

    StickerNotOffered = "sticker_not_offered", Impossible, Nobody, false,
        "The platform offers no download of stickers.",
        "平台不提供表情包的下载。",
        "Nothing to do; if the picture matters, ask for it as an image.",
        "无需处理；如需保留，请发送者改以图片形式发送。";
    FolderNotOffered = "folder_not_offered", Impossible, Nobody, false,
        "The platform lets only its own clients open folders.",
        "文件夹只能在飞书客户端中打开，平台不提供下载。",
        "Ask the sender to send the files one by one or as an archive.",
        "请发送者逐个发送文件，或打包成压缩文件后发送。";
    UnsupportedMessageType = "unsupported_message_type", Impossible, Nobody, false,
        "The platform hands out no resources of this type of message.",
        "平台不提供此类消息中资源的下载。",
        "Ask the sender to send the content as a plain image or file.",
        "请发送者改以普通图片或文件形式发送。";
    NotInMessage = "not_in_message", Impossible, Developer, false,
        "The platform says that this key does not belong to this message.",
        "平台答复：该资源不属于此消息。",
        "Check the message id and the key; they must come from the same message.",
        "请核对消息 ID 与资源 Key，两者必须来自同一条消息。";
    NotOwner = "not_owner", Impossible, Developer, false,
        "This API serves only what this app itself uploaded.",
        "该接口只能下载本应用自己上传的资源。",
        "Fetch what a user sent with the source `resource`: the message id and the key together. Avatars are not handed out, whoever uploaded them.",
        "用户发送的资源请改用 `resource` 来源，同时提供消息 ID 与资源 Key；头像（avatar）类型的图片不支持下载。";
    TooLarge = "too_large", Impossible, Developer, false,
        "The resource is larger than the limit.",
        "资源超过大小上限。",
        "Raise LARKIVE_MAX_RESOURCE_BYTES if the limit is Larkive's own, then retry. If the platform names its limit of 100 MB (code 234037), ask the sender for smaller parts.",
        "若为 Larkive 自身的上限，请调高 LARKIVE_MAX_RESOURCE_BYTES 后重试；若为平台的 100 MB 上限（错误码 234037），请发送者拆分后发送。";
    BadRequest = "bad_request", Impossible, Developer, false,
        "The platform refused the request as malformed.",
        "平台认为请求参数无效。",
        "Check key, type and ids, and for an image in a ticket's post (code 154000) the `index`, which counts from 0 and is left out for a message that is an image. If they came from an event, give the log id to the platform's support.",
        "请核对 Key、类型和各 ID；工单消息为 post 时还须核对 `index`（错误码 154000；从 0 开始，消息为单张图片时不填）。若来自事件推送，请将 log_id 提供给平台技术支持。";
    MessageUnknown = "message_unknown", Impossible, Developer, false,
        "The platform does not know this message id.",
        "平台不认识该消息 ID。",
        "Check that the message id is complete and belongs to this platform and app.",
        "请核对消息 ID 是否完整，且属于本平台与本应用。";
    CustomAppsOnly = "custom_apps_only", Impossible, Developer, false,
        "The platform offers this API to custom apps only, and this is a store app.",
        "该接口仅支持自建应用，而当前应用是商店应用。",
        "Fetch images of the dictionary and of tickets with a custom app of the same tenant.",
        "词典与服务台工单中的图片，请改用同一企业的自建应用获取。";
    TicketMismatch = "ticket_mismatch", Impossible, Developer, false,
        "The ticket and the ticket message do not belong together.",
        "工单 ID 与工单消息 ID 不匹配。",
        "Check both ids; the message id is the `id` of the ticket's message list.",
        "请核对两个 ID；消息 ID 应取自工单消息列表的 `id`。";
    KeyUnusable = "key_unusable", Impossible, Developer, false,
        "The key or an id cannot stand in a request to the platform.",
        "该 Key 或 ID 无法用于向平台发起请求。",
        "Look at the event's payload; a real key has no slashes or control characters and is short.",
        "请查看事件原文；正常的 Key 较短，且不含斜杠或控制字符。";

    AppNotInChat = "app_not_in_chat", Blocked, GroupOwner, false,
        "The bot is not in the chat of this message.",
        "机器人不在该消息所在的会话中。",
        "Add the bot to the chat again, then retry.",
        "请将机器人重新加入该会话，然后重试。";
    ExternalChat = "external_chat", Blocked, TenantAdmin, false,
        "The app may not do this in an external chat.",
        "应用无权在外部群中执行此操作。",
        "Allow the app external sharing, or move the content to an internal chat; then retry.",
        "请为应用开启对外共享能力，或改在内部群发送，然后重试。";
    RestrictedMode = "restricted_mode", Blocked, GroupOwner, false,
        "The chat or message is restricted and forbids downloads.",
        "会话开启了防泄密模式或消息为保密消息，禁止下载。",
        "Ask the group owner to allow downloads in the chat's settings, then retry.",
        "请群主在群设置中允许下载，然后重试。";
    DlpDenied = "dlp_denied", Blocked, TenantAdmin, false,
        "The tenant's data loss prevention forbids handing it out.",
        "企业的数据防泄漏（DLP）策略禁止获取该内容。",
        "Ask the tenant administrator to let the app pass the data loss prevention rule, then retry.",
        "请企业管理员在数据防泄漏策略中放行该应用，然后重试。";
    MessageInvisible = "message_invisible", Blocked, GroupOwner, false,
        "The message is not visible to the bot.",
        "该消息对机器人不可见。",
        "Ask the group owner to let new members see the history, then retry.",
        "请群主开启“新成员可查看历史消息”，然后重试。";
    BotDisabled = "bot_disabled", Blocked, Developer, true,
        "The app has no bot.",
        "应用未启用机器人能力。",
        "Enable the bot in the developer console, publish a version, then retry.",
        "请在开发者后台启用机器人能力并发布版本，然后重试。";
    UserUnavailable = "user_unavailable", Blocked, TenantAdmin, false,
        "The user is outside the app's availability range.",
        "用户不在应用的可用范围内。",
        "Extend the app's availability range to this user, then retry.",
        "请将该用户加入应用可用范围，然后重试。";
    TenantKeyDeleted = "tenant_key_deleted", Blocked, TenantAdmin, false,
        "The tenant's encryption key was deleted; the platform cannot read the bytes.",
        "租户加密密钥已被删除，平台无法读取内容。",
        "Ask the tenant administrator whether the key can be restored, then retry.",
        "请企业管理员确认密钥能否恢复，然后重试。";
    ScopeMissing = "scope_missing", Blocked, Developer, true,
        "The app lacks a permission scope for this API.",
        "应用缺少调用该接口的权限。",
        "Add the scope named in the platform's message in the developer console, publish a version, then retry.",
        "请在开发者后台添加平台消息中提示的权限并发布版本，然后重试。";
    AppDisabled = "app_disabled", Blocked, TenantAdmin, true,
        "The app is disabled in the tenant.",
        "应用在企业中已被停用。",
        "Ask the tenant administrator to enable the app, then retry.",
        "请企业管理员启用该应用，然后重试。";
    AppNotInstalled = "app_not_installed", Blocked, TenantAdmin, true,
        "The app is not installed in the tenant.",
        "应用未安装到该企业。",
        "Publish or install the app in the tenant, then retry.",
        "请在企业中发布或安装该应用，然后重试。";
    IpNotAllowed = "ip_not_allowed", Blocked, Developer, true,
        "This machine's address is not in the app's IP allow list.",
        "本机 IP 不在应用的 IP 白名单中。",
        "Add the outgoing address to the allow list in the developer console, then retry.",
        "请在开发者后台将出口 IP 加入白名单，然后重试。";
    QuotaExhausted = "quota_exhausted", Blocked, TenantAdmin, false,
        "The tenant's monthly quota of API calls is used up.",
        "企业当月的接口调用额度已用尽。",
        "Raise the quota or wait for the next month, then retry.",
        "请提升额度或等到下个月，然后重试。";
    CredentialsRejected = "credentials_rejected", Blocked, Developer, true,
        "The platform rejects the app's credentials.",
        "平台拒绝了应用凭证。",
        "Check FEISHU_APP_ID, FEISHU_APP_SECRET and FEISHU_BASE_URL (Feishu and Lark are separate), then restart.",
        "请核对 FEISHU_APP_ID、FEISHU_APP_SECRET 与 FEISHU_BASE_URL（飞书与 Lark 相互独立），然后重启。";
    Unauthorized = "unauthorized", Blocked, Developer, false,
        "The platform refuses this resource to the app, also with a fresh token.",
        "刷新令牌后，平台仍拒绝应用访问该资源。",
        "Check the app's scopes and whether it may see the chat; the platform's support can look up the log id.",
        "请检查应用权限及其能否访问该会话；可将 log_id 提供给平台技术支持查询。";
    HelpdeskDenied = "helpdesk_denied", Blocked, Developer, true,
        "The helpdesk refuses the app.",
        "服务台拒绝了应用的访问。",
        "Check FEISHU_HELPDESK_ID and FEISHU_HELPDESK_TOKEN, and that app and helpdesk belong to the same tenant.",
        "请核对 FEISHU_HELPDESK_ID 与 FEISHU_HELPDESK_TOKEN，并确认应用与服务台属于同一企业。";
    AppTicketMissing = "app_ticket_missing", Blocked, Developer, true,
        "The store app has no app ticket yet.",
        "商店应用尚未收到 app_ticket。",
        "Check that the webhook is reachable; the platform pushes a ticket about every hour.",
        "请确认回调地址可访问；平台约每小时推送一次 app_ticket。";
    AttemptsExhausted = "attempts_exhausted", Blocked, Developer, false,
        "Every try failed for as long as LARKIVE_RETRY_FOR allows.",
        "在 LARKIVE_RETRY_FOR 限定的时间内所有尝试均失败。",
        "Look at the last answer of the platform; when its cause is mended, retry.",
        "请查看平台最后一次的答复，排除原因后重试。";
    UnknownCode = "unknown_code", Blocked, Developer, false,
        "The platform refuses with a code that Larkive does not know.",
        "平台返回了 Larkive 未知的错误码。",
        "Look the code up in the platform's documentation or give its log id to support; then retry.",
        "请在平台文档中查询该错误码，或将 log_id 提供给技术支持，然后重试。";

    LocalFailure = "local_failure", Pending, Developer, true,
        "Larkive failed on this machine: its disk, its store or the program itself, not the platform.",
        "Larkive 本机出错（磁盘、存储或程序自身），与平台无关。",
        "Look at Larkive's log for what failed, and check the disk and the store; it is tried again by itself and at every start.",
        "请查看 Larkive 日志中的具体原因，并检查磁盘与存储；Larkive 会自动重试，每次启动时也会重试。";
    RateLimited = "rate_limited", Pending, Nobody, false,
        "The platform asked to wait.",
        "平台要求稍后再试（频率限制）。",
        "Nothing to do; the download goes on by itself.",
        "无需处理，下载会自动继续。";
    UpstreamError = "upstream_error", Pending, Nobody, false,
        "The platform failed or could not be reached.",
        "平台出错或无法连接。",
        "Nothing to do unless it lasts; then check network, proxy and FEISHU_BASE_URL.",
        "一般无需处理；若持续出现，请检查网络、代理与 FEISHU_BASE_URL。";
    TenantStorageError = "tenant_storage_error", Pending, TenantAdmin, false,
        "The tenant's own storage behind the platform failed.",
        "租户自有存储发生错误。",
        "Ask the tenant administrator to check the hybrid deployment's storage; it is tried again by itself.",
        "请企业管理员检查混合部署的存储；Larkive 会自动重试。";
    TransferBroken = "transfer_broken", Pending, Nobody, false,
        "The transfer broke off or brought the wrong number of bytes.",
        "传输中断或字节数不符。",
        "Nothing to do unless it lasts; then check network and proxy.",
        "一般无需处理；若持续出现，请检查网络与代理。";
    NotAFile = "not_a_file", Pending, Nobody, false,
        "The answer was an error or login page instead of the file.",
        "返回的是错误页或登录页，而不是文件。",
        "Check that FEISHU_BASE_URL reaches the platform directly, not a proxy's page.",
        "请确认 FEISHU_BASE_URL 直接指向平台，而不是代理的页面。";
    BlobMissing = "blob_missing", Pending, Developer, false,
        "The stored file is missing; it is fetched again.",
        "已存储的文件缺失，正在重新下载。",
        "Find out what removed files from the store. If the platform no longer has this one, put it back from a backup, then retry.",
        "请查明存储中的文件为何丢失；若平台已无原件，请从备份放回原处，然后重试。";
    BlobCorrupt = "blob_corrupt", Pending, Developer, false,
        "The stored file does not match its digest; it is fetched again.",
        "已存储的文件与校验值不符，正在重新下载。",
        "Check the disk. If the platform no longer has the file, put it back from a backup, then retry.",
        "请检查磁盘；若平台已无原件，请从备份放回该文件，然后重试。";
}

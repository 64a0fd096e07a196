//! Sample media: real files of every common kind, and bytes of any size made on the fly.
//!
//! What a key stands for follows from the key alone, so the program that sends an event and the
//! stand-in platform that serves its resource need not know each other. The files themselves are
//! in `assets/samples`, with a page on how they were made.

use std::fmt;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::noise::Noise;
use super::png;
use crate::domain::digest::Digest;
use crate::domain::resource::ResourceType;

/// The size of [`Media::Big`]: enough that holding it in memory would show.
const BIG_BYTES: u64 = 40 << 20;
/// How much is hashed at a time.
const HASH_CHUNK_BYTES: usize = 64 << 10;

/// Where something lies on the platform, and so which of its APIs hand it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In a message that somebody sent.
    Sent,
    /// Uploaded by the app itself.
    Uploaded,
    /// In an entry of the dictionary.
    Dictionary,
}

/// A kind of sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// A picture that is different for every seed.
    Png,
    /// A photograph.
    Jpeg,
    /// A picture in WebP.
    Webp,
    /// A moving picture.
    Gif,
    /// A document of one page.
    Pdf,
    /// A voice message: Opus in Ogg.
    Voice,
    /// A video of two seconds: H.264 in MP4.
    Video,
    /// The still picture of that video.
    Cover,
    /// An archive of two files.
    Zip,
    /// A user's JSON file, which happens to look like an error of the platform. Different for every seed.
    Json,
    /// A text with a long Chinese name. Different for every seed.
    Text,
    /// 40 MiB of noise.
    Big,
    /// Noise of any size, for measuring.
    Blob {
        /// How many bytes.
        size_bytes: u64,
    },
}

/// One sample: what the platform would say about it, and its bytes.
#[derive(Debug, Clone)]
pub struct Sample {
    /// How it must be asked for.
    pub kind: ResourceType,
    /// Its declared type.
    pub mime: &'static str,
    /// The name that goes with it; images have none.
    pub file_name: Option<String>,
    /// Its bytes.
    pub content: Content,
}

/// The bytes of a sample.
#[derive(Debug, Clone)]
pub enum Content {
    /// All of them.
    Fixed(Bytes),
    /// A rule to make them.
    Noise(Noise),
}

impl Media {
    /// Every kind but [`Media::Blob`].
    pub const OF_ONE_SIZE: [Media; 12] = [
        Self::Png,
        Self::Jpeg,
        Self::Webp,
        Self::Gif,
        Self::Pdf,
        Self::Voice,
        Self::Video,
        Self::Cover,
        Self::Zip,
        Self::Json,
        Self::Text,
        Self::Big,
    ];

    /// The key of a sample that somebody sent.
    #[must_use]
    pub fn key(self, seed: u64) -> String {
        self.key_from(Origin::Sent, seed)
    }

    /// The key under which the stand-in platform serves this kind of sample.
    #[must_use]
    pub fn key_from(self, origin: Origin, seed: u64) -> String {
        let prefix = match (origin, self.kind()) {
            (Origin::Dictionary, _) => "boxbc",
            (_, ResourceType::Image) => "img_v3",
            (_, ResourceType::File) => "file_v3",
        };
        format!("{prefix}{}{self}_{seed:016x}", origin.mark())
    }

    /// The sample itself.
    #[must_use]
    pub fn sample(self, seed: u64) -> Sample {
        Sample { kind: self.kind(), mime: self.mime(), file_name: self.file_name(seed), content: self.content(seed) }
    }

    /// How it must be asked for.
    #[must_use]
    pub fn kind(self) -> ResourceType {
        match self {
            Self::Png | Self::Jpeg | Self::Webp | Self::Gif | Self::Cover => ResourceType::Image,
            _ => ResourceType::File,
        }
    }

    /// The name it is sent under; images have none.
    #[must_use]
    pub fn file_name(self, seed: u64) -> Option<String> {
        let name = match self {
            Self::Png | Self::Jpeg | Self::Webp | Self::Gif | Self::Cover => return None,
            Self::Pdf => "季度报告 2026.pdf",
            Self::Voice => "voice.ogg",
            Self::Video => "演示视频.mp4",
            Self::Zip => "项目资料.zip",
            Self::Json => "gateway-log.json",
            Self::Text => {
                "关于二〇二六年第三季度华东区仓储物流系统升级改造项目实施方案的补充说明与意见征集(第三稿).txt"
            }
            Self::Big => return Some(format!("recording-{seed:016x}.bin")),
            Self::Blob { size_bytes } => return Some(format!("blob-{size_bytes}-{seed:016x}.bin")),
        };
        Some(name.to_owned())
    }

    fn mime(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg | Self::Cover => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Pdf => "application/pdf",
            Self::Voice => "audio/ogg",
            Self::Video => "video/mp4",
            Self::Zip => "application/zip",
            Self::Json => "application/json",
            Self::Text => "text/plain",
            Self::Big | Self::Blob { .. } => "application/octet-stream",
        }
    }

    fn content(self, seed: u64) -> Content {
        let fixed = |bytes: &'static [u8]| Content::Fixed(Bytes::from_static(bytes));
        match self {
            Self::Png => Content::Fixed(png::identicon(seed).into()),
            Self::Jpeg => fixed(include_bytes!("../../assets/samples/photo.jpg")),
            Self::Webp => fixed(include_bytes!("../../assets/samples/picture.webp")),
            Self::Gif => fixed(include_bytes!("../../assets/samples/moving.gif")),
            Self::Pdf => fixed(include_bytes!("../../assets/samples/report.pdf")),
            Self::Voice => fixed(include_bytes!("../../assets/samples/voice.ogg")),
            Self::Video => fixed(include_bytes!("../../assets/samples/video.mp4")),
            Self::Cover => fixed(include_bytes!("../../assets/samples/cover.jpg")),
            Self::Zip => fixed(include_bytes!("../../assets/samples/project.zip")),
            Self::Json => Content::Fixed(json_file(seed).into()),
            Self::Text => Content::Fixed(text_file(seed).into()),
            Self::Big => Content::Noise(Noise { seed, size_bytes: BIG_BYTES }),
            Self::Blob { size_bytes } => Content::Noise(Noise { seed, size_bytes }),
        }
    }

    /// Reads the name inside a key back.
    fn named(name: &str) -> Option<Self> {
        if let Some(size) = name.strip_prefix("blob_") {
            return size.parse().ok().map(|size_bytes| Self::Blob { size_bytes });
        }
        Self::OF_ONE_SIZE.into_iter().find(|media| media.to_string() == name)
    }
}

impl Origin {
    const ALL: [Self; 3] = [Self::Sent, Self::Uploaded, Self::Dictionary];

    /// What tells it from the others inside a key.
    fn mark(self) -> &'static str {
        match self {
            Self::Sent => "_sbx_",
            Self::Uploaded => "_own_",
            Self::Dictionary => "_dic_",
        }
    }
}

impl fmt::Display for Media {
    /// The name inside a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Pdf => "pdf",
            Self::Voice => "voice",
            Self::Video => "video",
            Self::Cover => "cover",
            Self::Zip => "zip",
            Self::Json => "json",
            Self::Text => "text",
            Self::Big => "big",
            Self::Blob { size_bytes } => return write!(f, "blob_{size_bytes}"),
        })
    }
}

impl Sample {
    /// How many bytes it has.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        match &self.content {
            Content::Fixed(bytes) => bytes.len() as u64,
            Content::Noise(noise) => noise.size_bytes,
        }
    }

    /// The SHA-256 of its bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = Sha256::new();
        match &self.content {
            Content::Fixed(bytes) => hasher.update(bytes),
            Content::Noise(noise) => {
                let mut chunk = Vec::new();
                for position in (0..noise.size_bytes).step_by(HASH_CHUNK_BYTES) {
                    chunk.clear();
                    noise.append(position..noise.size_bytes.min(position + HASH_CHUNK_BYTES as u64), &mut chunk);
                    hasher.update(&chunk);
                }
            }
        }
        Digest::from(<[u8; 32]>::from(hasher.finalize()))
    }
}

/// What a key made by [`Media::key_from`] stands for; nothing for any other key.
#[must_use]
pub fn bytes_of(key: &str) -> Option<Sample> {
    taken_apart(key).map(|(_, media, seed)| media.sample(seed))
}

/// Where what a key stands for lies; nothing for a key that is not made by [`Media::key_from`].
#[must_use]
pub fn origin_of(key: &str) -> Option<Origin> {
    taken_apart(key).map(|(origin, ..)| origin)
}

fn taken_apart(key: &str) -> Option<(Origin, Media, u64)> {
    let marked = |origin: Origin| Some((origin, key.split_once(origin.mark())?.1));
    let (origin, sample) = Origin::ALL.into_iter().find_map(marked)?;
    let (name, seed) = sample.rsplit_once('_')?;
    let media = Media::named(name)?;
    let seed = u64::from_str_radix(seed, 16).ok()?;
    // One spelling for each sample: no other prefix, no capitals, no leading plus.
    (media.key_from(origin, seed) == key).then_some((origin, media, seed))
}

/// The SHA-256 of what a key made by [`Media::key_from`] stands for.
#[must_use]
pub fn digest_of(key: &str) -> Option<Digest> {
    bytes_of(key).map(|sample| sample.digest())
}

/// A file with the members of an error answer: whoever tells errors by their body alone loses it.
fn json_file(seed: u64) -> String {
    format!(
        "{{\n  \"code\": 502,\n  \"msg\": \"line {seed:016x} of a log that a user sent as a file\",\n  \"ok\": false\n}}\n"
    )
}

fn text_file(seed: u64) -> String {
    format!("各位同事：\n\n请在周五之前反馈意见。谢谢！\n\n文件编号 {seed:016x}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_alone_names_its_sample() {
        for media in Media::OF_ONE_SIZE.into_iter().chain([Media::Blob { size_bytes: 100_000 }]) {
            let key = media.key(42);
            let found = bytes_of(&key).unwrap();
            assert_eq!((found.kind, found.size_bytes()), (media.kind(), media.sample(42).size_bytes()), "{key}");
            for origin in Origin::ALL {
                assert_eq!(origin_of(&media.key_from(origin, 42)), Some(origin));
            }
        }
        let bad = "img_v3_sbx_png_2a img_v3_sbx_png_000000000000002A file_v3_sbx_png_000000000000002a \
             img_v3_02ab_xxx file_v3_sbx_blob_+5_000000000000002a img_v3_sbx__000000000000002a";
        for key in bad.split(' ') {
            assert!(bytes_of(key).is_none(), "{key}");
        }
    }

    #[test]
    fn the_files_are_what_they_claim_to_be() {
        for media in Media::OF_ONE_SIZE {
            let sample = media.sample(1);
            let Content::Fixed(bytes) = &sample.content else { continue };
            assert!(!bytes.is_empty() && bytes.len() < 60_000, "{media} has {} bytes", bytes.len());
            let expected = match media {
                Media::Json | Media::Text => None,
                // Declared by its container, recognised by what is inside.
                Media::Voice => Some("audio/opus"),
                _ => Some(sample.mime),
            };
            assert_eq!(infer::get(bytes).map(|kind| kind.mime_type()), expected, "{media}");
        }
    }

    #[test]
    fn pictures_differ_from_seed_to_seed() {
        let digests: std::collections::HashSet<_> = (0..1000).map(|seed| digest_of(&Media::Png.key(seed))).collect();
        assert_eq!(digests.len(), 1000);
    }
}

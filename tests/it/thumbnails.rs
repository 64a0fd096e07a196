//! Thumbnails: made of what came in, served small, and never made of what is out to do harm.

use std::io::{Cursor, Read as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use image::{DynamicImage, ImageFormat, ImageReader, Rgb, RgbImage, Rgba, RgbaImage};
use larkive::domain::message::OnRecall;
use larkive::picture::Refusal;
use larkive::picture::apart::Workshop;
use larkive::sandbox::event::{self, Notice, NoticeEvent};
use larkive::sandbox::samples::{Content, Media};
use reqwest::StatusCode;
use reqwest::header::{self, HeaderMap};
use serde_json::{Value, json};

use crate::support::{ADMIN_TOKEN, Options, TestApp, spawn_app, spawn_app_with, until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_larkive");

/// What the process for pictures makes of these bytes.
async fn shrink(bytes: &[u8]) -> Result<DynamicImage, Refusal> {
    let mut picture = tempfile::tempfile().unwrap();
    picture.write_all(bytes).unwrap();
    picture.rewind().unwrap();
    let mut made = tempfile::tempfile().unwrap();
    Workshop::new(PROGRAM.into()).shrink(picture, made.try_clone().unwrap()).await.unwrap()?;
    made.rewind().unwrap();
    let mut webp = Vec::new();
    made.read_to_end(&mut webp).unwrap();
    Ok(opened(&webp))
}

fn opened(webp: &[u8]) -> DynamicImage {
    ImageReader::with_format(Cursor::new(webp), ImageFormat::WebP).decode().unwrap()
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A picture whose left half is red and whose right half is blue.
fn red_and_blue(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, _| if x < width / 2 { Rgb([220, 0, 0]) } else { Rgb([0, 0, 220]) }).into()
}

fn is_red(pixel: Rgba<u8>) -> bool {
    pixel.0[0] > 180 && pixel.0[1] < 60 && pixel.0[2] < 60 && pixel.0[3] == 255
}

fn is_blue(pixel: Rgba<u8>) -> bool {
    pixel.0[0] < 60 && pixel.0[1] < 60 && pixel.0[2] > 180 && pixel.0[3] == 255
}

fn sample(media: Media) -> Vec<u8> {
    let Content::Fixed(bytes) = media.sample(1).content else { panic!("{media} is noise") };
    bytes.to_vec()
}

fn pixel(image: &DynamicImage, x: u32, y: u32) -> Rgba<u8> {
    *image.to_rgba8().get_pixel(x, y)
}

#[tokio::test]
async fn pictures_of_every_readable_type_become_small_ones() {
    for format in [ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Bmp] {
        let small = shrink(&encoded(&red_and_blue(800, 200), format)).await.unwrap();
        assert_eq!((small.width(), small.height()), (320, 80), "{format:?}");
        assert!(is_red(pixel(&small, 20, 40)) && is_blue(pixel(&small, 300, 40)), "{format:?}");
    }
    for media in [Media::Jpeg, Media::Webp, Media::Gif, Media::Cover, Media::Png] {
        let small = shrink(&sample(media)).await.unwrap();
        assert!(small.width().max(small.height()) <= 320, "{media}");
    }
}

#[tokio::test]
async fn a_picture_that_is_small_already_keeps_its_size() {
    let small = shrink(&encoded(&red_and_blue(40, 30), ImageFormat::Png)).await.unwrap();
    assert_eq!((small.width(), small.height()), (40, 30));
}

#[tokio::test]
async fn a_very_long_picture_keeps_one_pixel_of_its_width() {
    let small = shrink(&encoded(&red_and_blue(20_000, 2), ImageFormat::Png)).await.unwrap();
    assert_eq!((small.width(), small.height()), (320, 1));
}

#[tokio::test]
async fn what_is_transparent_stays_so_and_darkens_nothing_around_it() {
    // Every other column is to be seen; the others are black, were they to be seen.
    let striped = RgbaImage::from_fn(1280, 640, |x, _| Rgba(if x % 2 == 0 { [250, 250, 250, 255] } else { [0; 4] }));
    let small = shrink(&encoded(&striped.into(), ImageFormat::Png)).await.unwrap();
    let [red, .., alpha] = pixel(&small, 160, 80).0;
    assert!(red > 240 && (118..=138).contains(&alpha), "red {red}, alpha {alpha}");
}

#[tokio::test]
async fn sixteen_bits_become_eight() {
    let deep = DynamicImage::from(red_and_blue(640, 640).to_rgb16());
    let small = shrink(&encoded(&deep, ImageFormat::Png)).await.unwrap();
    assert!(is_red(pixel(&small, 20, 40)) && is_blue(pixel(&small, 300, 40)));
}

#[tokio::test]
async fn a_photograph_stands_as_its_camera_was_held() {
    let photo = sample(Media::Jpeg);
    let upright = shrink(&photo).await.unwrap();
    let turned = shrink(&with_orientation(&photo, 6)).await.unwrap();
    assert_ne!(upright.width(), upright.height(), "the sample tells nothing if it is a square");
    assert_eq!((turned.width(), turned.height()), (upright.height(), upright.width()));
}

/// The same JPEG with an Exif segment that says how to turn it.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let tiff =
        [b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", &[orientation][..], b"\0\0\0\0\0\0"].concat();
    let length = u16::try_from(tiff.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], b"\xff\xe1", &length, &tiff, &jpeg[2..]].concat()
}

#[tokio::test]
async fn bombs_are_refused() {
    let too_large = [
        ("a PNG of 900 million pixels", png_of_nothing(30_000, 30_000)),
        ("a GIF of 4 billion pixels", gif_of_nothing(65_535, 65_535)),
        ("a JPEG of 4 billion pixels", jpeg_claiming(&sample(Media::Jpeg), 65_500, 65_500)),
    ];
    for (what, bytes) in too_large {
        assert!(bytes.len() < 10_000, "{what}: {}", bytes.len());
        assert_eq!(shrink(&bytes).await.unwrap_err(), Refusal::TooLarge, "{what}");
    }
}

#[tokio::test]
async fn texts_and_colour_profiles_that_unpack_to_a_gigabyte_are_never_unpacked() {
    let picture = encoded(&red_and_blue(16, 16), ImageFormat::Png);
    let packed = unpacking_to(1024);
    for (name, head) in [(b"zTXt", b"Comment\0\0".as_slice()), (b"iTXt", b"Comment\0\x01\0\0\0"), (b"iCCP", b"x\0\0")] {
        let small = shrink(&with_chunk(&picture, name, &[head, &packed].concat())).await;
        assert!(small.is_ok(), "{}: {small:?}", name.escape_ascii());
    }
}

#[tokio::test]
async fn what_is_damaged_or_no_picture_is_unreadable() {
    let photo = sample(Media::Jpeg);
    let picture = sample(Media::Webp);
    for bytes in
        [&photo[..300], &picture[..200], &sample(Media::Pdf), b"<svg xmlns='http://www.w3.org/2000/svg'/>", b""]
    {
        assert_eq!(shrink(bytes).await.unwrap_err(), Refusal::Unreadable, "{} bytes", bytes.len());
    }
}

#[tokio::test]
async fn a_reader_that_wants_too_much_memory_ends_and_nothing_else_does() {
    // A progressive JPEG has to be held as a whole: this one wants more than a gigabyte.
    let mut greedy = jpeg_claiming(&sample(Media::Jpeg), 14_000, 14_000);
    let at = |marker: u8| greedy.windows(2).position(|found| found == [0xff, marker]).unwrap();
    let (frame, scan) = (at(0xc0), at(0xda));
    greedy[frame + 1] = 0xc2;
    // The first scan of a progressive picture has the averages of its blocks and nothing else.
    greedy[scan + 12] = 0;
    assert_eq!(shrink(&greedy).await.unwrap_err(), Refusal::Broke);
}

#[test]
fn the_process_for_pictures_says_nothing_and_fails_by_its_exit_code() {
    let run = Command::new(PROGRAM).arg("thumbnail").stdin(Stdio::null()).output().unwrap();
    assert_eq!((run.status.code(), run.stdout.len(), run.stderr.len()), (Some(11), 0, 0));
    let mut words = Command::new(PROGRAM).arg("--help").output().unwrap().stdout;
    words.make_ascii_lowercase();
    assert!(!String::from_utf8(words).unwrap().contains("thumbnail"));
}

/// A JPEG that says that it is of another size.
fn jpeg_claiming(jpeg: &[u8], width: u16, height: u16) -> Vec<u8> {
    let frame = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    let mut bytes = jpeg.to_vec();
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

fn gif_of_nothing(width: u16, height: u16) -> Vec<u8> {
    let (width, height) = (width.to_le_bytes(), height.to_le_bytes());
    let screen = [&width[..], &height, b"\x80\0\0\0\0\0\xff\xff\xff"].concat();
    [b"GIF89a", &screen[..], b"\x2c\0\0\0\0", &width, &height, b"\0\x02\x02\x4c\x01\0\x3b"].concat()
}

/// The beginning of a PNG with one bit for each pixel, which is all there is to say how large it is.
fn png_of_nothing(width: u32, height: u32) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), b"\x01\0\0\0\0"].concat();
    [b"\x89PNG\r\n\x1a\n".as_slice(), &png_chunk(b"IHDR", &header), &png_chunk(b"IDAT", &unpacking_to(1))].concat()
}

/// The PNG with another chunk right behind its header.
fn with_chunk(png: &[u8], name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let (header, rest) = png.split_at(33);
    [header, &png_chunk(name, content), rest].concat()
}

fn png_chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut check = flate2::Crc::new();
    check.update(name);
    check.update(content);
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[..], name, content, &check.sum().to_be_bytes()].concat()
}

/// A zlib stream of so many mebibytes of nothing, a thousandth of that in size.
fn unpacking_to(mebibytes: usize) -> Vec<u8> {
    let mut packed = Vec::with_capacity(1 << 16);
    let mut packer = flate2::Compress::new(flate2::Compression::best(), false);
    packer.compress_vec(&vec![0; 1 << 20], &mut packed, flate2::FlushCompress::Full).unwrap();
    [b"\x78\xda".as_slice(), &packed.repeat(mebibytes), b"\x03\0\0\0\0\0"].concat()
}

/// What is answered for the thumbnail of a key, once it is known whether there is one.
async fn thumbnail(app: &TestApp, key: &str) -> Answer {
    let id = app.resource(key).await.resource.id;
    let mut answer = None;
    until("the thumbnail is made", async || {
        let asked = Answer::of(app.api(&format!("/api/v1/resources/{id}/thumbnail")).await).await;
        let is_final = asked.status == StatusCode::OK || asked.code() != "thumbnail_not_ready";
        answer = Some(asked);
        is_final
    })
    .await;
    answer.unwrap()
}

/// What a request for a thumbnail brought.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn code(&self) -> String {
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// Where the thumbnail of a sample is kept.
fn place(app: &TestApp, media: Media) -> PathBuf {
    let hex = media.sample(1).digest().to_string();
    app.layout.thumbnails.join(&hex[..2]).join(&hex[2..4]).join(hex).with_extension("webp")
}

#[tokio::test]
async fn every_stored_picture_has_a_thumbnail() {
    let app = spawn_app().await;
    let pictures = [Media::Png, Media::Jpeg, Media::Webp, Media::Gif];
    for (number, media) in pictures.into_iter().enumerate() {
        app.deliver(&event::image(&format!("om_{number}"), &media.key(1))).await;
    }
    app.drain().await;
    for media in pictures {
        let answer = thumbnail(&app, &media.key(1)).await;
        assert_eq!((answer.status, answer.header(header::CONTENT_TYPE)), (StatusCode::OK, "image/webp"), "{media}");
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(answer.header(header::CACHE_CONTROL), "private, no-cache");
        assert!(answer.body.len() < 20_000, "{media}: {} bytes", answer.body.len());
        assert!(opened(&answer.body).width() <= 320, "{media}");
    }
}

#[tokio::test]
async fn a_browser_that_has_a_thumbnail_is_not_sent_it_again() {
    let app = spawn_app().await;
    app.deliver(&event::image("om_1", &Media::Jpeg.key(1))).await;
    app.drain().await;
    let first = thumbnail(&app, &Media::Jpeg.key(1)).await;
    let id = app.resource(&Media::Jpeg.key(1)).await.resource.id;
    let url = format!("http://{}/api/v1/resources/{id}/thumbnail", app.admin_address);
    let again = app.http.get(&url).bearer_auth(ADMIN_TOKEN).header("If-None-Match", first.header(header::ETAG));
    assert_eq!(again.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);
    let head = Answer::of(app.http.head(&url).bearer_auth(ADMIN_TOKEN).send().await.unwrap()).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header(header::CONTENT_LENGTH), first.body.len().to_string());
    assert_eq!(app.http.get(&url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_browser_could_show_a_thumbnail_for_an_hour_after_the_recall() {
    let app = spawn_app_with(Options { on_recall: OnRecall::Hide, ..Options::default() }).await;
    app.deliver(&event::image("om_1", &Media::Png.key(1))).await;
    app.drain().await;
    let id = app.resource(&Media::Png.key(1)).await.resource.id;
    let first = thumbnail(&app, &Media::Png.key(1)).await;
    let url = format!("http://{}/api/v1/resources/{id}/thumbnail", app.admin_address);
    let asked_again = async || {
        let request = app.http.get(&url).bearer_auth(ADMIN_TOKEN);
        Answer::of(request.header("If-None-Match", first.header(header::ETAG)).send().await.unwrap()).await
    };
    let known = asked_again().await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
    for answer in [&first, &known] {
        assert_eq!(answer.header(header::CACHE_CONTROL), "private, no-cache");
    }
    let recall = NoticeEvent { event_id: "ev_1".into(), notice: Notice::Recalled { message_id: "om_1".into() } };
    app.deliver_payload(&recall.payload(app.sender.app(), app.clock.now())).await;
    app.drain().await;
    assert_eq!(asked_again().await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_video_is_shown_by_its_own_cover() {
    let app = spawn_app().await;
    let videos = [
        (Media::Video.key(1), Media::Cover.key(1)),
        (Media::Video.key(2), Media::Jpeg.key(1)),
        (Media::Video.key(3), Media::Png.key(1)),
    ];
    let [(video, cover), in_post @ ..] = &videos;
    app.deliver(&event::media("om_1", video, cover, "film.mp4")).await;
    let element = |(video, cover): &(String, String)| json!({"tag": "media", "file_key": video, "image_key": cover});
    app.deliver(&event::post("om_2", &json!({"title": "two", "content": [in_post.each_ref().map(element)]}))).await;
    app.drain().await;
    for (video, cover) in videos {
        let shown = thumbnail(&app, &video).await;
        assert_eq!(shown.status, StatusCode::OK, "{video}");
        assert!(shown.body == thumbnail(&app, &cover).await.body, "{video} is not shown by {cover}");
    }
}

#[tokio::test]
async fn a_cover_that_two_videos_share_was_shown_for_the_first_only() {
    let app = spawn_app().await;
    let (videos, cover) = ([Media::Video.key(1), Media::Video.key(2)], Media::Jpeg.key(1));
    let element = |video: &String| json!({"tag": "media", "file_key": video, "image_key": cover});
    let elements = videos.each_ref().map(element);
    app.deliver(&event::post("om_1", &json!({"title": "two", "content": [elements]}))).await;
    app.drain().await;
    for video in videos {
        let shown = thumbnail(&app, &video).await;
        assert_eq!(shown.status, StatusCode::OK, "{video}");
        assert!(shown.body == thumbnail(&app, &cover).await.body, "{video}");
    }
}

#[tokio::test]
async fn what_is_no_picture_has_no_thumbnail() {
    let app = spawn_app().await;
    app.deliver(&event::file("om_1", &Media::Pdf.key(1), "report.pdf")).await;
    let refusal = json!({"answer": {"status": 400, "code": 234_038, "msg": "no"}});
    app.fault(json!({"route": "resource", "key": Media::Png.key(2), "do": refusal}));
    app.deliver(&event::image("om_2", &Media::Png.key(2))).await;
    app.drain().await;
    for key in [Media::Pdf.key(1), Media::Png.key(2)] {
        let answer = thumbnail(&app, &key).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::NOT_FOUND, "no_thumbnail"), "{key}");
    }
    for id in ["r000000000fff", "..%2f..", "x"] {
        let answer = app.api(&format!("/api/v1/resources/{id}/thumbnail")).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{id}");
    }
}

#[tokio::test]
async fn a_hidden_picture_has_no_thumbnail_any_more() {
    let app = spawn_app_with(Options { on_recall: OnRecall::Hide, ..Options::default() }).await;
    app.deliver(&event::image("om_1", &Media::Png.key(1))).await;
    app.drain().await;
    let id = app.resource(&Media::Png.key(1)).await.resource.id;
    let path = format!("/api/v1/resources/{id}/thumbnail");
    assert_eq!(thumbnail(&app, &Media::Png.key(1)).await.status, StatusCode::OK);
    let recall = NoticeEvent { event_id: "ev_1".into(), notice: Notice::Recalled { message_id: "om_1".into() } };
    app.deliver_payload(&recall.payload(app.sender.app(), app.clock.now())).await;
    app.drain().await;
    assert_eq!(app.api(&path).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn thumbnails_are_made_before_anybody_asks_and_again_when_they_were_deleted() {
    let app = spawn_app().await;
    app.deliver(&event::image("om_1", &Media::Jpeg.key(1))).await;
    app.deliver(&event::image("om_2", &Media::Png.key(1))).await;
    let all_made = async |app: &TestApp| {
        let made = [Media::Jpeg, Media::Png].map(|media| place(app, media).is_file());
        made == [true; 2]
    };
    until("the thumbnails are made", async || all_made(&app).await).await;
    std::fs::remove_dir_all(&app.layout.thumbnails).unwrap();
    let app = app.restart().await;
    until("the thumbnails are made again", async || all_made(&app).await).await;
}

#[tokio::test]
async fn a_picture_that_cannot_be_read_is_remembered_until_the_program_knows_better() {
    let app = spawn_app().await;
    app.shelve("img_bomb", &png_of_nothing(30_000, 30_000));
    let jpeg = place(&app, Media::Jpeg);
    std::fs::create_dir_all(jpeg.parent().unwrap()).unwrap();
    std::fs::write(jpeg.with_extension("none"), "0 broke").unwrap();
    app.deliver(&event::image("om_1", "img_bomb")).await;
    app.deliver(&event::image("om_2", &Media::Jpeg.key(1))).await;
    app.drain().await;
    for _ in 0..2 {
        assert_eq!(thumbnail(&app, "img_bomb").await.code(), "no_thumbnail");
    }
    let digest = app.resource("img_bomb").await.resource.sha256.unwrap().to_string();
    let mark = app.layout.thumbnails.join(&digest[..2]).join(&digest[2..4]).join(digest).with_extension("none");
    assert_eq!(std::fs::read_to_string(mark).unwrap(), "1 too_large");
    assert_eq!(thumbnail(&app, &Media::Jpeg.key(1)).await.status, StatusCode::OK);
}

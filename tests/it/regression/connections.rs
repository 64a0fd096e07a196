//! Connections that strangers hold: what they keep others from, and what they cost.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use larkive::sandbox::event;
use larkive::sandbox::samples::Media;
use serde_json::json;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::program::{Running, Workplace};
use crate::support::{ADMIN_TOKEN, Options, TestApp, spawn_app, spawn_app_with};
use crate::wire::{Answer, read_answer};

/// How long a connection may last that should end within seconds. Never waited for when all is well.
const PATIENCE: Duration = Duration::from_secs(30);
const JSON: &str = "Content-Type: application/json";
const LARGEST: usize = 1 << 20;

async fn send(address: SocketAddr, request: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    stream
}

fn head(line: &str, headers: &[&str]) -> Vec<u8> {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("{line} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n").into_bytes()
}

/// Waits until the other side closes; whatever it sent.
async fn closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // A reset ends a connection as well.
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    let _ = read.expect("the connection is still open");
    rest
}

/// The one answer on a connection that ends with it.
async fn only_answer(mut stream: TcpStream) -> Answer {
    let answer = tokio::time::timeout(PATIENCE, read_answer(&mut stream)).await.expect("there is no answer");
    assert_eq!(closed(&mut stream).await, b"", "nothing follows");
    answer
}

async fn deliver(app: &TestApp, seed: u64) {
    app.deliver(&event::image(&format!("om_{seed}"), &Media::Png.key(seed))).await;
}

#[tokio::test]
async fn senders_that_announced_a_body_and_fell_silent_kept_deliveries_out() {
    let app = spawn_app().await;
    let announced = [format!("Content-Length: {LARGEST}"), "Transfer-Encoding: chunked".to_owned()];
    let mut silent = Vec::new();
    for number in 0..200 {
        silent.push(send(app.address, &head("POST /webhook/event", &[JSON, &announced[number % 2]])).await);
    }
    for seed in 0..20 {
        deliver(&app, seed).await;
    }
    for stream in silent {
        assert_eq!(only_answer(stream).await.status, 408);
    }
}

#[tokio::test]
async fn large_bodies_that_stalled_kept_deliveries_out() {
    let app = spawn_app().await;
    let request = head("POST /webhook/event", &[JSON, &format!("Content-Length: {LARGEST}")]);
    let part = vec![b' '; LARGEST - 1];
    let mut stalled = Vec::new();
    for _ in 0..70 {
        let mut stream = send(app.address, &request).await;
        // More than there is room for: some are cut off while they send.
        let _ = stream.write_all(&part).await;
        stalled.push(stream);
    }
    deliver(&app, 1).await;
    let mut message = event::image("om_large", &Media::Png.key(2)).payload(app.sender.app(), app.clock.now());
    message["event"]["padding"] = json!("汉".repeat(100_000));
    crate::support::until("a large delivery is taken", async || app.deliver_payload(&message).await.status == 200)
        .await;
    let mut answered = 0;
    for mut stream in stalled {
        answered += usize::from(closed(&mut stream).await.starts_with(b"HTTP/1.1 408"));
    }
    assert!(answered <= 33, "{answered} held more than half of the memory until their time was up");
}

#[tokio::test]
async fn connections_whose_body_nobody_read_stayed_open_for_ever() {
    let app =
        spawn_app_with(Options { admin_listen: Some("127.0.0.1:0".parse().unwrap()), ..Options::default() }).await;
    let bearer = format!("Authorization: Bearer {ADMIN_TOKEN}");
    for (address, line) in [
        (app.address, "GET /healthz"),
        (app.address, "POST /healthz"),
        (app.address, "PUT /webhook/event"),
        (app.address, "POST /webhook/event/cli_unknown"),
        (app.address, "POST /nothing"),
        (app.admin_address, "GET /readyz"),
        (app.admin_address, "GET /metrics"),
        (app.admin_address, "GET /login"),
        (app.admin_address, "DELETE /login"),
        (app.admin_address, "GET /api/v1/stats"),
        (app.admin_address, "POST /api/v1/resources/retry?all=true"),
        (app.admin_address, "POST /api/v2"),
    ] {
        for body in ["Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "Content-Length: 100000\r\n\r\nhello"] {
            let request = format!("{line} HTTP/1.1\r\nHost: 127.0.0.1\r\n{bearer}\r\n{body}");
            let answer = only_answer(send(address, request.as_bytes()).await).await;
            assert!(answer.status >= 200, "{line} {body}");
            assert!(answer.head.to_ascii_lowercase().contains("connection: close"), "{line} {}", answer.head);
        }
    }
}

#[tokio::test]
async fn probes_and_refusals_kept_their_connections() {
    let app = spawn_app().await;
    let refused = [head("POST /webhook/event", &[JSON, "Content-Length: 2"]), b"{}".to_vec()].concat();
    for request in [
        head("GET /healthz", &[]),
        head("GET /readyz", &[]),
        head("GET /metrics", &[]),
        head("GET /api/v1/stats", &[]),
        head("GET /nothing", &[]),
        refused,
    ] {
        let answer = only_answer(send(app.address, &request).await).await;
        assert!(answer.head.to_ascii_lowercase().contains("connection: close"), "{}", answer.head);
    }
}

#[tokio::test]
async fn a_connection_that_is_kept_answers_one_request_after_the_other() {
    let app = spawn_app().await;
    let bearer = format!("Authorization: Bearer {ADMIN_TOKEN}");
    let body = br#"{"source":"image","key":"img_1"}"#;
    let length = format!("Content-Length: {}", body.len());
    let with_length = [head("POST /api/v1/fetch", &[&bearer, &length]), body.to_vec()].concat();
    let chunks = [b"20\r\n".as_slice(), body, b"\r\n0\r\n\r\n"].concat();
    let with_chunks = [head("POST /api/v1/fetch", &[&bearer, "Transfer-Encoding: chunked"]), chunks].concat();
    let without = head("GET /api/v1/stats", &[&bearer]);
    let last = head("GET /api/v1/stats", &[&bearer, "Connection: close"]);
    let all =
        [&with_length, &without, &with_chunks, &b"\r\n".to_vec(), &with_length, &last].map(Vec::as_slice).concat();
    for piece in [1, 7, 300, all.len()] {
        let (mut read, mut write) = TcpStream::connect(app.address).await.unwrap().into_split();
        let pieces = all.clone();
        let writing = tokio::spawn(async move {
            for piece in pieces.chunks(piece) {
                write.write_all(piece).await.unwrap();
            }
            write
        });
        let mut answers = String::new();
        let reading = tokio::time::timeout(PATIENCE, read.read_to_string(&mut answers)).await;
        reading.expect("an answer is missing").unwrap();
        let statuses: Vec<_> = answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
        assert_eq!(statuses, ["202", "200", "202", "202", "200"], "in pieces of {piece}: {answers}");
        writing.await.unwrap();
    }
}

#[tokio::test]
async fn a_second_request_could_drip_for_ever() {
    let app = spawn_app().await;
    let mut stream = send(app.address, &head("GET /login", &[])).await;
    assert_eq!(read_answer(&mut stream).await.status, 200);
    let (mut read, mut write) = stream.into_split();
    let dripping = tokio::spawn(async move {
        let mut drops = tokio::time::interval(Duration::from_millis(200));
        while write.write_all(b"G").await.is_ok() {
            drops.tick().await;
        }
    });
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, read.read_to_end(&mut rest)).await;
    let _ = read.expect("the connection is still open");
    dripping.await.unwrap();
}

#[tokio::test]
async fn a_dripping_body_kept_a_request_to_the_api_open() {
    let app = spawn_app().await;
    let bearer = format!("Authorization: Bearer {ADMIN_TOKEN}");
    for follows in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let stream = send(app.address, &head("POST /api/v1/fetch", &[&bearer, follows])).await;
        let (mut read, mut write) = stream.into_split();
        let dripping = tokio::spawn(async move {
            let mut drops = tokio::time::interval(Duration::from_millis(200));
            while write.write_all(b"1\r\n \r\n").await.is_ok() {
                drops.tick().await;
            }
        });
        let answer = tokio::time::timeout(PATIENCE, read_answer(&mut read)).await.expect("there is no answer");
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.status, &problem["code"]), (408, &json!("too_slow")));
        drop(read);
        dripping.await.unwrap();
    }
}

#[tokio::test]
async fn connections_were_not_limited_in_number() {
    let app = spawn_app_with(Options { max_connections: 16, ..Options::default() }).await;
    let mut idle = Vec::new();
    for _ in 0..48 {
        idle.push(TcpStream::connect(app.address).await.unwrap());
    }
    for seed in 0..20 {
        deliver(&app, seed).await;
    }
    // The oldest gave way at once; those that are left get their answer when their time is up.
    let mut given_up = 0;
    for mut stream in idle {
        given_up += usize::from(closed(&mut stream).await.is_empty());
    }
    assert!(given_up >= 32, "only {given_up} connections were given up");
}

#[tokio::test]
async fn a_head_could_take_more_memory_than_a_body() {
    let app = spawn_app().await;
    let fits = format!("X-Long: {}", "a".repeat(15 << 10));
    assert_eq!(only_answer(send(app.address, &head("GET /healthz", &[&fits])).await).await.status, 200);
    let too_long = format!("X-Long: {}", "a".repeat(17 << 10));
    assert_eq!(only_answer(send(app.address, &head("GET /healthz", &[&too_long])).await).await.status, 431);
}

/// The largest amount of memory that a process has had so far, in bytes.
fn peak_memory(serving: &Running) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", serving.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    peak.unwrap().parse::<usize>().unwrap() << 10
}

/// Sends requests and reads no answer, until nobody takes any more.
fn pipeline(address: &str, request: &[u8]) -> std::net::TcpStream {
    const AT_MOST: usize = 16 << 20;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // What the kernel keeps for a client is kept small, so that answers soon have to wait.
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.parse::<SocketAddr>().unwrap().into()).unwrap();
    let mut stream = std::net::TcpStream::from(socket);
    stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let many = request.repeat((64 << 10) / request.len());
    for _ in 0..AT_MOST / many.len() {
        if stream.write_all(&many).is_err() {
            break;
        }
    }
    stream
}

#[test]
fn requests_whose_answers_nobody_fetched_took_memory_without_limit() {
    let place = Workplace::configured("http://127.0.0.1:9");
    let (serving, address) = place.serve();
    let before = peak_memory(&serving);
    for path in ["/healthz", "/login"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let senders: Vec<_> = (0..60)
            .map(|_| {
                let (address, request) = (address.clone(), request.clone());
                std::thread::spawn(move || pipeline(&address, request.as_bytes()))
            })
            .collect();
        let held: Vec<_> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        let grown = peak_memory(&serving) - before;
        assert!(grown < 64 << 20, "{path} took {} MiB", grown >> 20);
        held.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }
    serving.stop().ended(0);
}

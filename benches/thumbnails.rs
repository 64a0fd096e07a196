//! What a page of sixty thumbnails costs the server, next to sixty files of that size that are just sent.
//!
//! `cargo bench --bench thumbnails`; `-- --quick` measures less. Counted is the processor time of the
//! two server processes, which a client in a third one keeps busy. The plain server is this program
//! again; it runs on the same HTTP library, reads a file for each request, and asks nobody.

mod rounds;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use actix_web::http::header;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use larkive::clock::Clock;
use larkive::domain::secret::Secret;
use larkive::feishu::crypto::EncryptKey;
use larkive::sandbox::event::{self, App as SampleApp};
use larkive::sandbox::samples::Media;
use larkive::sandbox::sender::Sender;
use larkive::sandbox::{Sandbox, SandboxOptions};
use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, SET_COOKIE};
use reqwest::redirect::Policy;
use tempfile::TempDir;

use crate::rounds::{Extent, Figures};

/// Thumbnails on a page.
const PAGE: usize = 60;
/// Connections that a browser opens to one server.
const CONNECTIONS: usize = 6;
/// The word that makes this program the plain server.
const PLAIN: &str = "serve-plain-files";
const APP_ID: &str = "cli_bench";
const KEY: &str = "key-of-the-bench";
const TOKEN: &str = "admin-token-of-the-bench";
/// How long anything may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How the kernel counts processor time on every architecture that matters: hundredths of a second.
const TICK_MS: f64 = 10.0;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().collect();
    if let [_, word, address, directory] = words.as_slice()
        && word == PLAIN
    {
        return serve_plain_files(address.parse()?, directory.into()).await;
    }
    let Some(extent) = Extent::asked_of("thumbnails") else { return Ok(()) };
    let pages = extent.choose(200, 20);
    let directory = TempDir::with_prefix_in("bench-", env!("CARGO_TARGET_TMPDIR"))?;
    let platform = Sandbox::start(SandboxOptions::default()).await?;
    // The first to install it wins; it is the same for all.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let larkive = Server::larkive(directory.path(), &platform)?;
    let thumbnails = archive_pictures(&client, &larkive).await?;
    let client = sign_in(&larkive).await?;
    let plain = Server::plain(directory.path())?;
    let files = write_files(&client, &thumbnails, &plain, directory.path()).await?;
    let mut figures = Figures::default();
    for round in 1..=extent.rounds() {
        eprintln!("{pages} pages, round {round}");
        let sent = plain.cost_of(&client, &files, pages).await?;
        let made = larkive.cost_of(&client, &thumbnails, pages).await?;
        figures.add("60 files, ms of processor time", sent);
        figures.add("60 thumbnails, ms of processor time", made);
        figures.add("thumbnails against files", made / sent);
    }
    println!("{figures}");
    platform.stop().await;
    Ok(())
}

/// A server in a process of its own, which ends with this.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn larkive(directory: &Path, platform: &Sandbox) -> anyhow::Result<Self> {
        let address = free_address()?;
        let child = Command::new(env!("CARGO_BIN_EXE_larkive"))
            .arg("serve")
            .current_dir(directory)
            .env_clear()
            .envs([("FEISHU_APP_ID", APP_ID), ("FEISHU_APP_SECRET", "secret"), ("FEISHU_ENCRYPT_KEY", KEY)])
            .envs([("FEISHU_VERIFICATION_TOKEN", KEY), ("FEISHU_BASE_URL", &platform.base_url())])
            .envs([("LARKIVE_LISTEN", address.to_string()), ("LARKIVE_CALL_BUDGET", "off".to_owned())])
            .env("LARKIVE_ADMIN_TOKEN", TOKEN)
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, address })
    }

    fn plain(directory: &Path) -> anyhow::Result<Self> {
        let address = free_address()?;
        let child =
            Command::new(std::env::current_exe()?).arg(PLAIN).arg(address.to_string()).arg(directory).spawn()?;
        Ok(Self { child, address })
    }

    /// Milliseconds of processor time that a page takes, when so many are asked for.
    async fn cost_of(&self, client: &reqwest::Client, urls: &[String], pages: usize) -> anyhow::Result<f64> {
        let before = self.processor_ms()?;
        let all = urls.iter().cycle().take(urls.len() * pages);
        let requests = stream::iter(all).map(|url| get(client, url)).buffer_unordered(CONNECTIONS);
        requests.try_for_each(async |_| Ok(())).await?;
        Ok((self.processor_ms()? - before) / pages as f64)
    }

    /// The processor time that the process has used so far.
    fn processor_ms(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in parentheses may hold anything; user and system time are the 14th and 15th field.
        let (_, fields) = status.rsplit_once(')').context("no name")?;
        let times: Vec<f64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        Ok(times.iter().sum::<f64>() * TICK_MS)
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

async fn get(client: &reqwest::Client, url: &str) -> anyhow::Result<Vec<u8>> {
    let answer = client.get(url).bearer_auth(TOKEN).send().await?.error_for_status()?;
    Ok(answer.bytes().await?.to_vec())
}

/// Sends a page of different pictures through the webhook; returns where their thumbnails are when
/// all are made.
async fn archive_pictures(client: &reqwest::Client, larkive: &Server) -> anyhow::Result<Vec<String>> {
    let base = format!("http://{}", larkive.address);
    wait(async || client.get(format!("{base}/healthz")).send().await.is_ok()).await?;
    let app = SampleApp { app_id: APP_ID.to_owned(), verification_token: Secret::new(KEY) };
    let sender = Sender::new(&format!("{base}/webhook/event"), app, Some(EncryptKey::new(Secret::new(KEY))))?;
    for number in 0..PAGE {
        let message = event::image(&format!("om_{number}"), &Media::Png.key(number as u64));
        let reply = sender.deliver(&message.payload(sender.app(), Clock::system().now())).await?;
        ensure!(reply.status == 200, "{}", reply.body);
    }
    let mut urls = Vec::new();
    wait(async || {
        let listed = get(client, &format!("{base}/api/v1/resources?limit=200&state=stored")).await.unwrap_or_default();
        let page: serde_json::Value = serde_json::from_slice(&listed).unwrap_or_default();
        let ids = page["items"].as_array().into_iter().flatten().filter_map(|item| item["id"].as_str());
        urls = ids.map(|id| format!("{base}/api/v1/resources/{id}/thumbnail")).collect();
        urls.len() == PAGE
    })
    .await?;
    for url in &urls {
        wait(async || get(client, url).await.is_ok()).await?;
    }
    // From here on as a page shows them, which no rate limit holds back.
    Ok(urls.iter().map(|url| url.replace("/api/v1/", "/")).collect())
}

/// A client that has signed in to the pages.
async fn sign_in(larkive: &Server) -> anyhow::Result<reqwest::Client> {
    let plain = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build()?;
    let form = plain.post(format!("http://{}/login", larkive.address)).header("sec-fetch-site", "same-origin");
    let form = form.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(format!("token={TOKEN}&next=/"));
    let answer = form.send().await?;
    let cookie = answer.headers().get(SET_COOKIE).context("signing in brought no cookie")?.clone();
    let headers = HeaderMap::from_iter([(COOKIE, cookie)]);
    Ok(reqwest::Client::builder().no_proxy().default_headers(headers).build()?)
}

/// Writes the thumbnails into files; returns where the plain server has them.
async fn write_files(
    client: &reqwest::Client,
    thumbnails: &[String],
    plain: &Server,
    directory: &Path,
) -> anyhow::Result<Vec<String>> {
    let mut urls = Vec::new();
    for (number, thumbnail) in thumbnails.iter().enumerate() {
        std::fs::write(directory.join(number.to_string()), get(client, thumbnail).await?)?;
        urls.push(format!("http://{}/{number}", plain.address));
    }
    wait(async || get(client, &urls[0]).await.is_ok()).await?;
    Ok(urls)
}

async fn wait(mut is_so: impl AsyncFnMut() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        ensure!(Instant::now() < deadline, "nothing came within {PATIENCE:?}");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

async fn serve_plain_files(address: SocketAddr, directory: PathBuf) -> anyhow::Result<()> {
    let server = HttpServer::new(move || {
        let directory = directory.clone();
        App::new().route(
            "/{name}",
            web::get().to(move |name: web::Path<u32>| {
                let path = directory.join(name.to_string());
                async move {
                    let bytes = tokio::fs::read(path).await?;
                    Ok::<_, std::io::Error>(
                        HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "image/webp")).body(bytes),
                    )
                }
            }),
        )
    });
    Ok(server.bind(address)?.run().await?)
}

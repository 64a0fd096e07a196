//! The way to the platform: a proxy or a certificate authority of one's own had no place to be named.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use larkive::sandbox::samples::{Media, Origin};
use larkive::sandbox::{Sandbox, SandboxOptions};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::program::{Output, Workplace};

/// What the proxy asks for, as it stands in the setting and as it goes over the wire.
const PASSWORD: &str = "s3cr%40t-of-the-proxy";
const CREDENTIALS: &str = "Basic dGVzdDpzM2NyQHQtb2YtdGhlLXByb3h5";

/// A proxy, and the heads of the requests that it saw.
struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let heads = seen.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, heads.clone()));
            }
        });
        Self { address, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    fn url(&self) -> String {
        format!("http://test:{PASSWORD}@{}", self.address)
    }
}

/// Passes on one connection: a tunnel, or one request that names its host.
async fn relay(mut client: TcpStream, seen: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        client.read_buf(&mut bytes).await.ok().filter(|count| *count > 0)?;
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    seen.lock().unwrap().push(head.clone());
    let mut words = head.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    if method == "CONNECT" {
        let mut server = TcpStream::connect(target).await.ok()?;
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
        copy_bidirectional(&mut client, &mut server).await.ok()?;
        return Some(());
    }
    let (host, path) = target.strip_prefix("http://")?.split_once('/')?;
    let mut server = TcpStream::connect(host).await.ok()?;
    let head = head.replacen(&format!("http://{host}/{path}"), &format!("/{path}"), 1);
    let head = head.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    server.write_all(head.as_bytes()).await.ok()?;
    server.write_all(&bytes[end..]).await.ok()?;
    copy_bidirectional(&mut client, &mut server).await.ok()?;
    Some(())
}

/// A door with TLS before a platform, whose certificate an authority of its own has signed.
struct PrivateDoor {
    address: SocketAddr,
    authority: String,
}

impl PrivateDoor {
    async fn before(platform: &Sandbox) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let inside: SocketAddr = platform.base_url().strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut client = acceptor.accept(client).await.ok()?;
                    let mut server = TcpStream::connect(inside).await.ok()?;
                    copy_bidirectional(&mut client, &mut server).await.ok()
                });
            }
        });
        Self { address, authority: authority.pem() }
    }

    fn base_url(&self) -> String {
        format!("https://{}", self.address)
    }
}

async fn platform() -> Sandbox {
    Sandbox::start(SandboxOptions::default()).await.unwrap()
}

/// Fetches something that the app uploaded.
fn fetch(workplace: &Workplace) -> Output {
    fetch_within(workplace, "60s")
}

fn fetch_within(workplace: &Workplace, timeout: &str) -> Output {
    let key = Media::Png.key_from(Origin::Uploaded, 1);
    workplace.run(&["fetch", "image", "--key", &key, "--timeout", timeout])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_named_sees_every_call_and_its_password_is_never_shown() {
    let (platform, proxy) = (platform().await, Proxy::start().await);
    let workplace = Workplace::configured(&platform.base_url()).with("LARKIVE_PROXY", &proxy.url());
    let fetched = fetch(&workplace).ended(0);
    let calls = proxy.seen();
    assert_eq!(calls.len(), platform.journal().len(), "{calls:#?}");
    assert!(!calls.is_empty());
    for head in &calls {
        let lower = head.to_ascii_lowercase();
        assert!(head.contains(&format!(" {}/open-apis/", platform.base_url())), "{head}");
        assert!(lower.contains("proxy-authorization: basic "), "{head}");
        assert!(head.contains(CREDENTIALS), "{head}");
    }
    let shown = workplace.run(&["config", "check"]).ended(0);
    for output in [&fetched, &shown] {
        let all = format!("{}{}", output.stdout, output.stderr);
        assert!(!all.contains(PASSWORD) && !all.contains("s3cr@t"), "{all}");
    }
    assert!(shown.stdout.contains("LARKIVE_PROXY"), "{}", shown.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_leads_to_a_platform_with_tls() {
    let (platform, proxy) = (platform().await, Proxy::start().await);
    let door = PrivateDoor::before(&platform).await;
    let workplace = Workplace::configured(&door.base_url())
        .with("LARKIVE_CALL_BUDGET", "50/s 1000/min")
        .with("LARKIVE_PROXY", &proxy.url())
        .with("LARKIVE_CA_FILE", "authority.pem");
    std::fs::write(workplace.path("authority.pem"), &door.authority).unwrap();
    fetch(&workplace).ended(0);
    let calls = proxy.seen();
    assert!(!calls.is_empty());
    for head in &calls {
        assert!(head.starts_with(&format!("CONNECT {} ", door.address)) && head.contains(CREDENTIALS), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_of_the_environment_have_no_effect() {
    let (platform, proxy) = (platform().await, Proxy::start().await);
    let mut workplace = Workplace::configured(&platform.base_url());
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        workplace = workplace.with(name, &proxy.url());
    }
    fetch(&workplace).ended(0);
    assert_eq!(proxy.seen(), Vec::<String>::new());
    // Nor do exceptions of the environment lead past the one that is named.
    let named = workplace.with("LARKIVE_PROXY", &proxy.url()).with("NO_PROXY", "*").with("no_proxy", "127.0.0.1");
    std::fs::remove_dir_all(named.path("data")).unwrap();
    fetch(&named).ended(0);
    assert!(!proxy.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_believed_only_where_it_is_named() {
    let platform = platform().await;
    let door = PrivateDoor::before(&platform).await;
    let workplace = Workplace::configured(&door.base_url()).with("LARKIVE_CALL_BUDGET", "50/s 1000/min");
    std::fs::write(workplace.path("authority.pem"), &door.authority).unwrap();
    let refused = fetch_within(&workplace, "5s").ended(1);
    let resource = &refused.rows()[0];
    assert_eq!(resource["reason_code"], "upstream_error", "{resource}");
    assert_eq!(platform.journal().len(), 0);

    let workplace = workplace.with("LARKIVE_CA_FILE", "authority.pem");
    let fetched = fetch(&workplace).ended(0);
    assert_eq!(fetched.rows()[0]["state"], "stored");
    assert!(!platform.journal().is_empty());
}

#[tokio::test]
async fn a_way_that_makes_no_sense_is_refused_in_one_line() {
    let base = "http://127.0.0.1:1";
    for (value, why) in [
        ("socks5://127.0.0.1:1080", "http://"),
        ("https://user:hush@proxy.example:3128", "http://"),
        ("proxy.example:3128", "http://"),
        ("http://user:hush@", "host"),
        ("http://user:hush@proxy.example:3128/path", "path"),
        ("http://user:hush@proxy.example:3128?x=1", "path"),
    ] {
        let refused = Workplace::configured(base).with("LARKIVE_PROXY", value).run(&["serve"]).refused("LARKIVE_PROXY");
        assert!(refused.stderr.contains(why), "{value}: {}", refused.stderr);
        assert!(!refused.stderr.contains("hush"), "{}", refused.stderr);
    }
    let workplace = Workplace::configured(base).with("LARKIVE_CA_FILE", "ca.pem");
    workplace.run(&["serve"]).refused("LARKIVE_CA_FILE");
    for nonsense in ["", "no certificates in here", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(workplace.path("ca.pem"), nonsense).unwrap();
        let refused = workplace.run(&["serve"]).refused("LARKIVE_CA_FILE");
        assert!(refused.stderr.contains("ca.pem"), "{}", refused.stderr);
    }
    let toml = Workplace::configured(base).with("LARKIVE_CONFIG", "larkive.toml");
    std::fs::write(toml.path("larkive.toml"), "proxy = \"socks5://127.0.0.1:1\"\n").unwrap();
    toml.run(&["serve"]).refused("proxy");
    std::fs::write(toml.path("larkive.toml"), "ca_file = \"nowhere.pem\"\n").unwrap();
    toml.run(&["serve"]).refused("ca_file");
}

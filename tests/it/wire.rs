//! Raw HTTP: requests byte by byte, and answers byte by byte, where a client library would be too polite.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A whole answer, as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// Everything but the date, which differs between any two answers.
    pub fn without_date(&self) -> Vec<u8> {
        let undated: Vec<&str> =
            self.head.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("date:")).collect();
        [undated.join("\r\n").as_bytes(), b"\r\n\r\n", self.body.as_slice()].concat()
    }
}

/// A POST that asks to close the connection afterwards; `headers` are whole lines.
pub fn post(path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut request = format!("POST {path} HTTP/1.1\r\nHost: larkive\r\nConnection: close\r\n");
    for header in headers {
        request += &format!("{header}\r\n");
    }
    [request.as_bytes(), b"\r\n", body].concat()
}

/// Sends a request and reads until the other side closes. A refusal may come before all is sent.
pub async fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    let request = request.to_owned();
    let writing = tokio::spawn(async move {
        let _ = write.write_all(&request).await;
        write
    });
    let answer = read_answer(&mut read).await;
    writing.abort();
    answer
}

/// Reads one answer: up to the end of its declared body.
pub async fn read_answer(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Answer {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        let read = stream.read_buf(&mut bytes).await.unwrap_or(0);
        assert!(read > 0, "no answer but {:?}", String::from_utf8_lossy(&bytes));
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).unwrap();
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length.unwrap_or(0_usize) {
        assert!(stream.read_buf(&mut body).await.unwrap() > 0, "the body ends early");
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    Answer { status, head, body }
}

//! A web server on a local port that behaves as the path says, and remembers what it was sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Most bytes of a request that are kept.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// The server. It ends with the runtime of the test.
#[derive(Clone)]
pub struct Web {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Web {
    /// Starts one on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let seen = web.seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that goes away is no failure of the server.
                tokio::spawn(serve(stream, seen.clone()));
            }
        });
        web
    }

    /// The URL of a path, under this host name.
    pub fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.address.port())
    }

    /// The origin under this host name.
    pub fn origin(&self, host: &str) -> String {
        self.url(host, "")
    }

    /// Every request so far, as it was sent.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().clone()
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    loop {
        let Some(request) = read(&mut stream).await? else { return Ok(()) };
        seen.lock().push(request.clone());
        let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let (path, argument) = target.split_once('=').unwrap_or((&target, ""));
        answer(&mut stream, path, argument, &request).await?;
    }
}

/// One request: its head, and as much of a body as its `content-length` says. `None` at the end of the connection.
async fn read(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    loop {
        let mut more = [0; 4096];
        let read = stream.read(&mut more).await?;
        if read == 0 || bytes.len() > KEPT_BYTES_MAX {
            return Ok(None);
        }
        bytes.extend_from_slice(&more[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            return Ok(Some(text));
        }
    }
}

async fn answer(stream: &mut TcpStream, path: &str, argument: &str, request: &str) -> std::io::Result<()> {
    let mut out = BufWriter::new(stream);
    let whole = |status: &str, headers: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
    };
    match path {
        "/echo" => out.write_all(whole("200 OK", "", request).as_bytes()).await?,
        "/status?" => out.write_all(whole(argument, "", "").as_bytes()).await?,
        "/to?" => out.write_all(whole("307 Redirect", &format!("location: {argument}\r\n"), "").as_bytes()).await?,
        "/found?" => out.write_all(whole("302 Found", &format!("location: {argument}\r\n"), "").as_bytes()).await?,
        "/packed" => out.write_all(whole("200 OK", "content-encoding: gzip\r\n", "\x1f\x08").as_bytes()).await?,
        "/after?" => {
            sleep(Duration::from_millis(argument.parse().unwrap())).await;
            out.write_all(whole("200 OK", "", "at last").as_bytes()).await?;
        }
        "/silent" => std::future::pending().await,
        "/announced" => out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000000\r\n\r\nx").await?,
        "/endless" => {
            out.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            loop {
                out.write_all(format!("1000\r\n{}\r\n", "x".repeat(0x1000)).as_bytes()).await?;
            }
        }
        "/drip" => {
            out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await?;
            loop {
                out.write_all(b"x").await?;
                out.flush().await?;
                sleep(Duration::from_millis(5)).await;
            }
        }
        "/informing" => loop {
            out.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").await?;
            out.flush().await?;
            sleep(Duration::from_millis(5)).await;
        },
        "/endless-head" => {
            out.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            loop {
                out.write_all(format!("x: {}\r\n", "y".repeat(1000)).as_bytes()).await?;
            }
        }
        "/nonsense" => out.write_all(b"220 smtp.example.com ESMTP\r\n\r\n").await?,
        _ => out.write_all(whole("404 Not Found", "", "").as_bytes()).await?,
    }
    out.flush().await
}

//! From a URL to a connection: resolves the host, removes forbidden addresses, and connects to one of the others.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tower::Service;

use super::address::is_public;
use super::resolve::Resolve;
use tidegate_core::config::Origin;

/// Most addresses of one host that are tried.
const ADDRESSES_MAX: usize = 6;
/// The delay before each further address is tried while the earlier ones have not answered (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

/// Connects to public addresses and to the origins that the operator listed.
#[derive(Clone)]
pub(super) struct Guarded {
    resolver: Arc<dyn Resolve>,
    private_origins: Arc<BTreeSet<Origin>>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// It is not a URL of a web server.
    #[error("it is not a valid `http` or `https` URL")]
    NoOrigin,
    /// The name does not resolve.
    #[error("the host `{0}` does not exist")]
    NoHost(String),
    /// It resolves only to forbidden addresses.
    #[error("the address of `{0}` is private, and `private_origins` in tidegate.yaml does not list its origin")]
    Private(String),
    /// Nobody answered there.
    #[error("`{0}` refuses connections: {1}")]
    Refused(String, io::ErrorKind),
}

impl Guarded {
    pub(super) fn new(resolver: Arc<dyn Resolve>, private_origins: BTreeSet<Origin>) -> Self {
        Self { resolver, private_origins: Arc::new(private_origins) }
    }

    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, ConnectError> {
        let (host, port) = host_and_port(&uri).ok_or(ConnectError::NoOrigin)?;
        let is_listed = origin(&uri).is_some_and(|origin| self.private_origins.contains(&origin));
        let addresses = self.addresses(host, is_listed).await?;
        let stream = first_of(addresses.into_iter().map(|address| SocketAddr::new(address, port))).await;
        let stream = stream.map_err(|error| ConnectError::Refused(host.to_owned(), error.kind()))?;
        // Small requests are not delayed for data that may follow.
        let _ = stream.set_nodelay(true);
        Ok(TokioIo::new(stream))
    }

    /// The addresses to connect to. They are resolved once, so that the checked address is the one that is used.
    async fn addresses(&self, host: &str, is_listed: bool) -> Result<Vec<IpAddr>, ConnectError> {
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let mut addresses = match literal {
            Ok(address) => vec![address],
            Err(_) => self.resolver.resolve(host).await.map_err(|error| {
                tracing::debug!(host, %error, "a host name does not resolve");
                ConnectError::NoHost(host.to_owned())
            })?,
        };
        if addresses.is_empty() {
            return Err(ConnectError::NoHost(host.to_owned()));
        }
        if !is_listed {
            addresses.retain(|address| {
                let judged = is_public(*address);
                if !judged {
                    tracing::debug!(host, %address, "did not connect to a private address");
                }
                judged
            });
        }
        addresses.truncate(ADDRESSES_MAX);
        if addresses.is_empty() { Err(ConnectError::Private(host.to_owned())) } else { Ok(addresses) }
    }
}

/// Connects to the addresses in turn, starts the next one while earlier ones still try, and keeps the first that
/// answers.
async fn first_of(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<TcpStream> {
    let tries = (0_u32..).zip(addresses).map(|(position, address)| async move {
        sleep(STAGGER * position).await;
        TcpStream::connect(address).await
    });
    let mut tries: FuturesUnordered<_> = tries.collect();
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    while let Some(tried) = tries.next().await {
        match tried {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn host_and_port(uri: &Uri) -> Option<(&str, u16)> {
    let own_port = match uri.scheme_str()? {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    Some((uri.host()?, uri.port_u16().unwrap_or(own_port)))
}

fn origin(uri: &Uri) -> Option<Origin> {
    let (host, port) = host_and_port(uri)?;
    format!("{}://{host}:{port}", uri.scheme_str()?).parse().ok()
}

impl Service<Uri> for Guarded {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use parking_lot::Mutex;

    use super::*;

    /// Answers each question with the next of its answers, and keeps count.
    struct Answering(Mutex<Vec<Vec<IpAddr>>>);

    #[async_trait]
    impl Resolve for Answering {
        async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            let mut answers = self.0.lock();
            if answers.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(answers.remove(0)) }
        }
    }

    fn guarded(answers: &[&[&str]], listed: &[&str]) -> Guarded {
        let answers = answers.iter().map(|answer| answer.iter().map(|text| text.parse().unwrap()).collect()).collect();
        let listed = listed.iter().map(|origin| origin.parse().unwrap()).collect();
        Guarded::new(Arc::new(Answering(Mutex::new(answers))), listed)
    }

    #[tokio::test]
    async fn of_the_addresses_of_a_name_only_the_public_ones_are_connected_to() {
        let guarded = guarded(&[&["127.0.0.1", "1.1.1.1", "fd00::1"], &["10.0.0.1"]], &[]);
        assert_eq!(guarded.addresses("a.example.com", false).await.unwrap(), ["1.1.1.1".parse::<IpAddr>().unwrap()]);
        // The name has other addresses now, and these are checked.
        assert!(matches!(guarded.addresses("a.example.com", false).await, Err(ConnectError::Private(_))));
        assert!(matches!(guarded.addresses("a.example.com", false).await, Err(ConnectError::NoHost(_))));
    }

    #[tokio::test]
    async fn an_address_in_the_url_is_judged_as_one_behind_a_name() {
        let guarded = guarded(&[], &[]);
        for private in ["127.0.0.1", "[::1]", "[::ffff:169.254.169.254]", "[fe80::1]"] {
            assert!(matches!(guarded.addresses(private, false).await, Err(ConnectError::Private(_))), "{private}");
        }
        assert_eq!(guarded.addresses("[2606:4700::1]", false).await.unwrap().len(), 1);
    }

    #[test]
    fn an_origin_is_listed_by_scheme_host_and_port() {
        let of = |uri: &'static str| origin(&Uri::from_static(uri)).map(|origin| origin.to_string());
        assert_eq!(of("http://a.example.com/x").as_deref(), Some("http://a.example.com"));
        assert_eq!(of("https://a.example.com:443/x").as_deref(), Some("https://a.example.com"));
        assert_eq!(of("http://[::1]:8080/").as_deref(), Some("http://[::1]:8080"));
        assert_eq!(of("ftp://a.example.com/"), None);
    }
}

//! One `write(2)` a delivery and nothing else: what the system asks for a publication to a websocket. Threads that wait, one
//! for each publisher; a subscriber is never read.
//!
//!     bare [loses|repeats]
//!
//! With an argument it makes a mistake with one delivery in 10,000, which the clients must notice.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tidegate_fanout::SUBSCRIBED;
use tungstenite::handshake::derive_accept_key;

type Subscribers = Arc<Mutex<Vec<TcpStream>>>;

const MISTAKE_EVERY: usize = 10_000;

/// How often each delivery is written: once, but for mistakes that were asked for.
struct Times {
    mistaken: usize,
    deliveries: AtomicUsize,
}

impl Times {
    fn from_argument() -> Self {
        let mistaken = match std::env::args().nth(1).as_deref() {
            Some("loses") => 0,
            Some("repeats") => 2,
            _ => 1,
        };
        Self { mistaken, deliveries: AtomicUsize::new(1) }
    }

    fn next(&self) -> usize {
        let due = self.deliveries.fetch_add(1, Ordering::Relaxed).is_multiple_of(MISTAKE_EVERY);
        if due { self.mistaken } else { 1 }
    }
}

/// The head of a request: the value of `Sec-WebSocket-Key`, if it has one, and the length of its body.
fn head(connection: &mut impl io::BufRead) -> io::Result<Option<(Option<String>, usize)>> {
    let (mut key, mut length, mut begun) = (None, 0, false);
    let mut line = String::new();
    while connection.read_line(&mut line)? > 0 {
        begun = true;
        let (name, value) = line.split_once(':').unwrap_or((line.trim(), ""));
        match name.to_ascii_lowercase().as_str() {
            "" => return Ok(Some((key, length))),
            "sec-websocket-key" => key = Some(value.trim().to_owned()),
            "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
            _ => {}
        }
        line.clear();
    }
    if begun { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(None) }
}

fn text(payload: &[u8]) -> Vec<u8> {
    let mut frame = match u16::try_from(payload.len()).unwrap_or(u16::MAX) {
        short @ 0..126 => vec![0x81, short.to_be_bytes()[1]],
        long => vec![0x81, 126, long.to_be_bytes()[0], long.to_be_bytes()[1]],
    };
    frame.extend_from_slice(payload);
    frame
}

fn serve(socket: TcpStream, subscribers: &Subscribers, times: &Times) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut connection = BufReader::new(socket);
    while let Some((key, length)) = head(&mut connection)? {
        if let Some(key) = key {
            let mut socket = connection.into_inner();
            let accept = derive_accept_key(key.as_bytes());
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            socket.write_all(&[answer.as_bytes(), &text(SUBSCRIBED.as_bytes())].concat())?;
            subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
            return Ok(());
        }
        let mut payload = vec![0; length];
        connection.read_exact(&mut payload)?;
        let frame = text(&payload);
        subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain_mut(|subscriber| (0..times.next()).all(|_| subscriber.write_all(&frame).is_ok()));
        connection.get_mut().write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")?;
    }
    Ok(())
}

fn main() -> io::Result<()> {
    tidegate_fanout::raise_descriptors()?;
    let (subscribers, times) = (Subscribers::default(), Arc::new(Times::from_argument()));
    let listener = TcpListener::bind("127.0.0.1:0")?;
    tidegate_fanout::announce(listener.local_addr()?)?;
    for socket in listener.incoming() {
        let (subscribers, times) = (Arc::clone(&subscribers), Arc::clone(&times));
        let socket = socket?;
        thread::spawn(move || drop(serve(socket, &subscribers, &times)));
    }
    Ok(())
}

//! A request becomes a websocket: a new session on it, or a session that polled goes over to it.
//! <https://socket.io/docs/v4/engine-io-protocol/#upgrade>

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::HeaderValue;
use http::request::Parts;
use tokio::time::timeout;

use crate::Transport;
use crate::carry::{Inbound, ReadEnd};
use crate::handler::{Answer, CloseReason, Handler};
use crate::outbound::{Wire, Writer};
use crate::service::{Mistake, Upgrading};
use crate::session::Session;
use crate::websocket;
use crate::websocket::deflate::agree;
use crate::websocket::handshake::{Unfit, judge, refuse_version, switch};
use crate::websocket::reader::{Incoming, Reader};

impl<H: Handler> Transport<H> {
    /// A new session on a websocket.
    pub(crate) fn begin_websocket(&self, parts: &Parts, upgrading: Upgrading) -> Result<Answer, Box<Answer>> {
        let key = judge(&parts.method, &parts.headers).map_err(refuse)?;
        let session = self.open(parts)?;
        let (compressed_from, extension) = self.compression(parts).unzip();
        tokio::spawn(async move {
            let Ok(Ok(wire)) = timeout(session.shared.settings.upgrade_timeout, upgrading).await else {
                return session.end(CloseReason::TransportClose);
            };
            let (inbound, first, writer) = session.split(wire, compressed_from.is_some());
            let Ok(first) = first else { return session.end(CloseReason::ParseError) };
            session.outbox.open_on(writer, compressed_from, websocket::text(&session.open_packet(true)));
            session.carry(inbound, first).await;
        });
        Ok(switch(key, extension))
    }

    /// From which size on messages are compressed, and the extension that the websocket gets for it, if the application and
    /// the client want that.
    fn compression(&self, parts: &Parts) -> Option<(usize, HeaderValue)> {
        let compressed_from = self.0.settings.compressed_from?;
        Some((compressed_from, agree(&parts.headers)?))
    }

    /// A session that polls wants to go over to a websocket. Whatever happens to that, the polling goes on until the
    /// client says that it goes over.
    pub(crate) fn upgrade(
        &self,
        session: Arc<Session<H>>,
        parts: &Parts,
        upgrading: Upgrading,
    ) -> Result<Answer, Box<Answer>> {
        let key = judge(&parts.method, &parts.headers).map_err(refuse)?;
        if session.outbox.is_websocket() || session.upgrading.swap(true, Ordering::AcqRel) {
            let upgrade_timeout = session.shared.settings.upgrade_timeout;
            tokio::spawn(async move { timeout(upgrade_timeout, session.turn_away(upgrading)).await });
            return Ok(switch(key, None));
        }
        let (compressed_from, extension) = self.compression(parts).unzip();
        tokio::spawn(async move {
            let probing = session.probe(upgrading, compressed_from.is_some());
            let probed = timeout(session.shared.settings.upgrade_timeout, probing).await;
            session.upgrading.store(false, Ordering::Release);
            session.is_probed.store(false, Ordering::Release);
            match probed {
                Ok(Some((inbound, rest, writer))) => {
                    session.outbox.upgrade(writer, compressed_from);
                    session.carry(inbound, rest).await;
                }
                Ok(None) | Err(_) => tracing::debug!("an upgrade to a websocket failed, the client polls on"),
            }
        });
        Ok(switch(key, extension))
    }
}

fn refuse(unfit: Unfit) -> Box<Answer> {
    Box::new(match unfit {
        Unfit::Request => Mistake::BadRequest.answer(),
        Unfit::Version => refuse_version(),
    })
}

impl<H: Handler> Session<H> {
    /// The two sides of a websocket, and the messages that came with its handshake.
    fn split(&self, wire: Wire, inflates: bool) -> (Inbound, Result<Vec<Incoming>, ()>, Writer) {
        let (read, read_ahead, writer) = wire.split();
        let mut reader = Reader::new(self.shared.settings.payload_bytes_max, inflates);
        let mut first = Vec::new();
        let first = reader.feed(&read_ahead, &mut first).map(|()| first).map_err(|_broken| ());
        (Inbound { read, reader }, first, writer)
    }

    /// Waits until the client has probed the websocket and goes over to it. Returns what it sent behind that; `None` if
    /// it does not.
    async fn probe(&self, upgrading: Upgrading, inflates: bool) -> Option<(Inbound, Vec<Incoming>, Writer)> {
        let (mut inbound, first, writer) = self.split(upgrading.await.ok()?, inflates);
        let mut messages = std::collections::VecDeque::from(first.ok()?);
        let mut is_probed = false;
        loop {
            while let Some(message) = messages.pop_front() {
                match message {
                    Incoming::Text(text) if text == "2probe" => {
                        writer.write_whole(&websocket::text("3probe")).await.ok()?;
                        is_probed = true;
                        self.is_probed.store(true, Ordering::Release);
                        // A poll that waits is answered, so that the client can go over.
                        self.outbox.poll.notify_one();
                    }
                    Incoming::Text(text) if text == "5" && is_probed => {
                        return Some((inbound, messages.into(), writer));
                    }
                    Incoming::Ping(payload) => writer.write_whole(&websocket::pong(&payload)).await.ok()?,
                    Incoming::Close(code) => {
                        let _ = writer.write_whole(&websocket::close(code)).await;
                        return None;
                    }
                    Incoming::Text(_) | Incoming::Binary(_) => return None,
                }
            }
            let mut more = Vec::new();
            let read = std::future::poll_fn(|cx| inbound.poll_read(cx, &mut more)).await;
            match read {
                Ok(()) => {}
                Err(ReadEnd::Gone) => return None,
                Err(ReadEnd::Broken(broken)) => {
                    let _ = writer.write_whole(&websocket::close(broken.code())).await;
                    return None;
                }
            }
            messages.extend(more);
        }
    }

    /// Closes a websocket that the session has no use for. A refusal in HTTP would be an error to websocket clients.
    async fn turn_away(&self, upgrading: Upgrading) {
        let Ok(wire) = upgrading.await else { return };
        let (mut inbound, Ok(mut messages), writer) = self.split(wire, false) else { return };
        if writer.write_whole(&websocket::close(1000)).await.is_err() {
            return;
        }
        // What is unread when a connection ends resets it, and the peer might never read the close frame.
        while !messages.iter().any(|message| matches!(message, Incoming::Close(_))) {
            messages.clear();
            if std::future::poll_fn(|cx| inbound.poll_read(cx, &mut messages)).await.is_err() {
                return;
            }
        }
    }
}

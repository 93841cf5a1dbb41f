//! Thousands of subscribers on raw websockets and up to 16 publishers, in one thread that waits in epoll.
//!
//!     clients ADDRESS socket.io|bare TOPIC KEY SUBSCRIBERS
//!
//! Prints `{"subscribed":N}`, and then takes orders from stdin: `measure IN_FLIGHT MILLISECONDS` publishes, and answers with
//! a line of JSON when everything that it published has reached every subscriber. A publication that reaches one of them
//! twice, or not at all, ends the program with an error.

mod frame;
mod publisher;
mod subscriber;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use tokio::time::Instant;

use publisher::{Publisher, SLOTS, slot_and_count};
use subscriber::{Speech, Subscriber};

/// So many handshakes are under way at once.
const CONNECTING_MAX: usize = 128;
/// A publication that moves nowhere for so long is lost.
const PATIENCE: Duration = Duration::from_secs(15);
const BUFFER_BYTES: usize = 256 * 1024;
const EVENTS_MAX: usize = 512;
/// The epoll data of stdin; sockets have their index, publishers come after all subscribers.
const STDIN: u64 = u64::MAX;

/// What is published until the round ends.
struct Round {
    in_flight: usize,
    began: Instant,
    ends: Instant,
    publications: u64,
    deliveries: u64,
}

struct Load {
    address: SocketAddr,
    poll: OwnedFd,
    speech: Speech,
    wanted: usize,
    subscribed: usize,
    subscribers: Vec<Subscriber>,
    publishers: Vec<Publisher>,
    round: Option<Round>,
    moved: Instant,
    buffer: Vec<u8>,
    numbers: Vec<u64>,
    orders: Vec<u8>,
}

impl Load {
    fn new(address: SocketAddr, speech: Speech, key: &str, wanted: usize) -> io::Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let publishers = (0..SLOTS).map(|slot| Publisher::new(address, slot, &speech.topic, key)).collect();
        watch(&poll, io::stdin(), STDIN)?;
        Ok(Self {
            address,
            poll,
            speech,
            wanted,
            subscribed: 0,
            subscribers: Vec::with_capacity(wanted),
            publishers,
            round: None,
            moved: Instant::now(),
            buffer: vec![0; BUFFER_BYTES],
            numbers: Vec::new(),
            orders: Vec::new(),
        })
    }

    fn connect_more(&mut self) -> io::Result<()> {
        while self.subscribers.len() < self.wanted && self.subscribers.len() < self.subscribed + CONNECTING_MAX {
            let subscriber = Subscriber::open(self.address, [0; SLOTS])?;
            watch(&self.poll, &subscriber.socket, self.subscribers.len() as u64)?;
            self.subscribers.push(subscriber);
        }
        Ok(())
    }

    /// Runs until stdin ends.
    fn run(&mut self) -> io::Result<()> {
        self.connect_more()?;
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            events.clear();
            let second = Timespec { tv_sec: 1, tv_nsec: 0 };
            match epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), Some(&second)) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    STDIN => {
                        if !self.take_orders()? {
                            return Ok(());
                        }
                    }
                    index => self.ready(usize::try_from(index).map_err(io::Error::other)?)?,
                }
            }
            self.check_patience()?;
        }
    }

    fn ready(&mut self, index: usize) -> io::Result<()> {
        let Some(slot) = index.checked_sub(self.wanted) else { return self.subscriber_ready(index) };
        self.publishers[slot].receive(&mut self.buffer)?;
        self.go_on(slot)
    }

    fn subscriber_ready(&mut self, index: usize) -> io::Result<()> {
        let mut numbers = std::mem::take(&mut self.numbers);
        if self.subscribers[index].receive(&mut self.buffer, &mut self.speech, &mut numbers)? {
            self.subscribed += 1;
            self.moved = Instant::now();
            self.connect_more()?;
            if self.subscribed == self.wanted {
                say(&format!("{{\"subscribed\":{}}}", self.wanted))?;
            }
        }
        for number in numbers.drain(..) {
            self.delivered(index, number)?;
        }
        self.numbers = numbers;
        Ok(())
    }

    /// Each subscriber receives the publications of a slot one by one, because a slot has one in flight.
    fn delivered(&mut self, index: usize, number: u64) -> io::Result<()> {
        let Some((slot, count)) = slot_and_count(number) else {
            return Err(io::Error::other(format!("a publication {number} that nobody sent")));
        };
        let subscriber = &mut self.subscribers[index];
        let publisher = &mut self.publishers[slot];
        if count <= subscriber.last[slot] {
            return Err(io::Error::other(format!("subscriber {index} received publication {number} twice")));
        }
        if count != publisher.count || self.round.is_none() {
            return Err(io::Error::other(format!(
                "subscriber {index} received publication {number}, which is not in flight"
            )));
        }
        subscriber.last[slot] = count;
        publisher.missing -= 1;
        if let Some(round) = &mut self.round {
            round.deliveries += 1;
        }
        if publisher.missing == 0 { self.go_on(slot) } else { Ok(()) }
    }

    /// Publishes again when the slot's publication is over, or ends the round.
    fn go_on(&mut self, slot: usize) -> io::Result<()> {
        self.moved = Instant::now();
        let Some(round) = &mut self.round else { return Ok(()) };
        if !self.publishers[slot].is_idle() {
            return Ok(());
        }
        if self.moved < round.ends {
            round.publications += 1;
            return self.publishers[slot].publish(self.subscribers.len());
        }
        if self.publishers[..round.in_flight].iter().all(Publisher::is_idle) {
            let seconds = (self.moved - round.began).as_secs_f64();
            let Round { publications, deliveries, .. } = *round;
            self.round = None;
            self.publishers.iter_mut().for_each(Publisher::close);
            say(&format!("{{\"publications\":{publications},\"deliveries\":{deliveries},\"seconds\":{seconds}}}"))?;
        }
        Ok(())
    }

    fn begin(&mut self, in_flight: usize, lasts: Duration) -> io::Result<()> {
        for (slot, publisher) in self.publishers[..in_flight].iter_mut().enumerate() {
            watch(&self.poll, publisher.open(self.address)?, (self.wanted + slot) as u64)?;
        }
        let now = Instant::now();
        let (began, ends) = (now, now + lasts);
        self.round = Some(Round { in_flight, began, ends, publications: 0, deliveries: 0 });
        for slot in 0..in_flight {
            self.go_on(slot)?;
        }
        Ok(())
    }

    /// Answers whether there may be more.
    fn take_orders(&mut self) -> io::Result<bool> {
        let read = rustix::io::read(io::stdin(), &mut self.buffer)?;
        self.orders.extend_from_slice(&self.buffer[..read]);
        while let Some(end) = self.orders.iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.orders[..end]).into_owned();
            self.orders.drain(..=end);
            let words: Vec<&str> = line.split(' ').collect();
            let (in_flight, lasts_ms) = match words[..] {
                ["measure", in_flight, lasts_ms] => (in_flight.parse().ok(), lasts_ms.parse().ok()),
                _ => (None, None),
            };
            match (in_flight, lasts_ms) {
                (Some(in_flight @ 1..=SLOTS), Some(lasts_ms)) => {
                    self.begin(in_flight, Duration::from_millis(lasts_ms))?
                }
                _ => return Err(io::Error::other(format!("`{line}` is not a valid order"))),
            }
        }
        Ok(read > 0)
    }

    fn check_patience(&self) -> io::Result<()> {
        if self.moved.elapsed() < PATIENCE {
            return Ok(());
        }
        if self.subscribed < self.wanted {
            return Err(io::Error::other(format!(
                "{} of {} are subscribed, and no more",
                self.subscribed, self.wanted
            )));
        }
        match self.publishers.iter().find(|publisher| self.round.is_some() && !publisher.is_idle()) {
            Some(slow) if slow.missing > 0 => {
                Err(io::Error::other(format!("{} of {} subscribers miss a publication", slow.missing, self.wanted)))
            }
            Some(_) => Err(io::Error::other("a publication was not answered")),
            None => Ok(()),
        }
    }
}

fn watch(poll: &OwnedFd, what: impl AsFd, index: u64) -> io::Result<()> {
    Ok(epoll::add(poll, what, epoll::EventData::new_u64(index), epoll::EventFlags::IN)?)
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn main() -> ExitCode {
    let outcome = || -> io::Result<()> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let [address, speaks, topic, key, subscribers] = &arguments[..] else {
            return Err(io::Error::other("usage: clients ADDRESS socket.io|bare TOPIC KEY SUBSCRIBERS"));
        };
        tidegate_fanout::raise_descriptors()?;
        let speech = Speech::new(speaks == "socket.io", topic.clone());
        let address = address.parse().map_err(io::Error::other)?;
        Load::new(address, speech, key, subscribers.parse().map_err(io::Error::other)?)?.run()
    };
    match outcome() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: clients: {error}");
            ExitCode::FAILURE
        }
    }
}

//! The output of a serving process to its standard streams. A reader that is slow or gone costs lines, but never blocks
//! a task. The only home of `tracing-appender`.
//!
//! Lines wait in a bounded queue for a thread of their own, which is the only one that may block. A line is dropped if
//! the queue is full, or if the system does not accept it; both are counted, and the log says how many there were.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;

use super::{events, metrics};

/// How long the end of the process waits for a reader to read the last lines.
const LAST_LINES_TIMEOUT: Duration = Duration::from_secs(2);
/// How often it checks whether they were read, and how often a writer checks whether a non-blocking stream accepts
/// bytes again.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// The shortest time between two log messages about dropped lines.
const TOLD_EVERY: Duration = Duration::from_secs(1);

static STREAMS: OnceLock<Streams> = OnceLock::new();

/// Both standard streams.
struct Streams {
    out: Output,
    err: Output,
    /// Never dropped, like everything static: if its queue is full, the guard itself prints to standard output.
    _guards: [WorkerGuard; 2],
}

/// Writes to standard output: through the queue once logging was started, before that directly. Never fails: a missing
/// reader is not an error of this process.
pub fn say(text: &str) {
    match STREAMS.get() {
        Some(streams) => streams.out.offer(text.as_bytes()),
        None => drop(io::stdout().lock().write_all(text.as_bytes())),
    }
}

/// Writes to standard error, like [`say`] to standard output.
pub fn complain(text: &str) {
    match STREAMS.get() {
        Some(streams) => streams.err.offer(text.as_bytes()),
        None => drop(io::stderr().lock().write_all(text.as_bytes())),
    }
}

/// Waits for a limited time until the lines of both streams are written. The last step of a process.
pub fn finish_output() {
    let Some(streams) = STREAMS.get() else { return };
    let deadline = Instant::now() + LAST_LINES_TIMEOUT;
    while (streams.out.is_behind() || streams.err.is_behind()) && Instant::now() < deadline {
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Puts a queue of `lines_max` lines in front of each standard stream, and returns that of standard error. A second
/// call changes nothing.
pub(super) fn start(lines_max: usize) -> Output {
    let streams = STREAMS.get_or_init(|| {
        metrics::log_lines_dropped(0);
        let (out, of_out) = Output::new(writable(io::stdout()), lines_max, "stdout");
        let (err, of_err) = Output::new(writable(io::stderr()), lines_max, "stderr");
        Streams { out, err, _guards: [of_out, of_err] }
    });
    streams.err.clone()
}

/// A separate descriptor: the one of the standard library holds a lock for as long as a write blocks.
fn writable(stream: impl AsFd + Write + Send + 'static) -> Box<dyn Write + Send> {
    match stream.as_fd().try_clone_to_owned() {
        Ok(descriptor) => Box::new(File::from(descriptor)),
        Err(_) => Box::new(stream),
    }
}

/// One standard stream with its own writing thread. A clone writes to the same stream.
#[derive(Clone)]
pub(super) struct Output {
    queue: NonBlocking,
    account: Arc<Account>,
}

/// The account of one stream's lines.
#[derive(Default)]
struct Account {
    /// Passed to the queue, which may have dropped them.
    offered: AtomicU64,
    /// Taken out of the queue, whether written or not.
    done: AtomicU64,
    /// Those of them that the system did not accept.
    failed: AtomicU64,
    /// Dropped lines that the metric has counted.
    counted: AtomicU64,
}

impl Output {
    fn new(stream: impl Write + Send + 'static, lines_max: usize, thread: &str) -> (Self, WorkerGuard) {
        let account = Arc::new(Account::default());
        let writer = Writer { stream, account: account.clone(), told: 0, told_at: None };
        let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(lines_max).thread_name(thread);
        let (queue, guard) = builder.finish(writer);
        (Self { queue, account }, guard)
    }

    fn offer(&self, line: &[u8]) {
        if line.is_empty() {
            // Nobody would ever write it.
            return;
        }
        self.account.offered.fetch_add(1, Ordering::Relaxed);
        // A queue that loses lines never fails.
        let _ = self.queue.clone().write(line);
        self.count_dropped();
    }

    /// Whether lines wait or are being written.
    fn is_behind(&self) -> bool {
        let settled = self.account.done.load(Ordering::Acquire) + self.refused();
        settled < self.account.offered.load(Ordering::Relaxed)
    }

    /// Lines that found the queue full.
    fn refused(&self) -> u64 {
        self.queue.error_counter().dropped_lines() as u64
    }

    /// Counts each lost line once, whoever calls first.
    fn count_dropped(&self) {
        let lost = self.refused() + self.account.failed.load(Ordering::Relaxed);
        if lost > self.account.counted.load(Ordering::Relaxed) {
            let before = self.account.counted.fetch_max(lost, Ordering::Relaxed);
            metrics::log_lines_dropped(lost.saturating_sub(before));
        }
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Output {
    /// Takes a whole line, or drops it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.offer(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread's side: writes line by line, and continues whatever the stream does.
struct Writer<W> {
    stream: W,
    account: Arc<Account>,
    /// Lost lines that the log has reported, and when it last did.
    told: u64,
    told_at: Option<Instant>,
}

impl<W: Write> Writer<W> {
    fn write_line(&mut self, mut line: &[u8]) -> io::Result<()> {
        while !line.is_empty() {
            match self.stream.write(line) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => line = &line[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Another process has made the stream non-blocking.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(LOOK_INTERVAL),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reports in the log itself that lines are missing, now that somebody reads.
    fn tell_dropped(&mut self) {
        let lost = self.account.counted.load(Ordering::Relaxed);
        let is_due = self.told_at.is_none_or(|last| last.elapsed() >= TOLD_EVERY);
        if lost > self.told && is_due {
            events::log_lines_dropped(lost - self.told);
            self.told = lost;
            self.told_at = Some(Instant::now());
        }
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = self.write_line(line);
        if written.is_err() {
            self.account.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.account.done.fetch_add(1, Ordering::Release);
        if written.is_ok() {
            self.tell_dropped();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// Takes a line when the test reads one.
    struct Pipe {
        begins: SyncSender<()>,
        lines: SyncSender<String>,
    }

    impl Write for Pipe {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.begins.try_send(());
            let sent = self.lines.send(String::from_utf8_lossy(line).into_owned());
            sent.map(|()| line.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The output, when its thread begins to write, and what it wrote.
    fn pipe(lines_max: usize) -> (Output, WorkerGuard, Receiver<()>, Receiver<String>) {
        let ((begins, begun), (lines, reads)) = (sync_channel(1), sync_channel(0));
        let (output, guard) = Output::new(Pipe { begins, lines }, lines_max, "test");
        (output, guard, begun, reads)
    }

    fn settle(output: &Output) {
        while output.is_behind() {
            thread::yield_now();
        }
    }

    #[test]
    fn a_reader_that_pauses_loses_the_lines_that_find_the_queue_full_and_gets_the_others_in_order() {
        let (output, guard, begun, reads) = pipe(3);
        output.offer(b"0");
        begun.recv().unwrap();
        for line in [b"1", b"2", b"3", b"4", b"5"] {
            output.offer(line);
        }
        assert!(output.is_behind(), "nobody has read");
        assert_eq!(output.account.counted.load(Ordering::Relaxed), 2);
        let read = thread::spawn(move || reads.iter().collect::<Vec<_>>());
        settle(&output);
        drop((output, guard));
        assert_eq!(read.join().unwrap(), ["0", "1", "2", "3"]);
    }

    #[test]
    fn a_reader_that_is_gone_stops_nothing_and_its_lines_are_counted() {
        let (mut output, _guard, _begun, reads) = pipe(64);
        drop(reads);
        for _ in 0..10 {
            output.write_all(b"line").unwrap();
        }
        settle(&output);
        output.count_dropped();
        assert_eq!(output.account.counted.load(Ordering::Relaxed), 10);
    }

    #[test]
    fn nothing_to_say_is_nothing_to_wait_for() {
        let (output, _guard, _begun, _reads) = pipe(1);
        output.offer(b"");
        assert!(!output.is_behind());
    }

    #[test]
    fn a_stream_that_does_not_block_is_waited_for() {
        /// Takes a byte every other time.
        struct Halting(bool, SyncSender<u8>);

        impl Write for Halting {
            fn write(&mut self, line: &[u8]) -> io::Result<usize> {
                self.0 = !self.0;
                if self.0 {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                self.1.send(line[0]).unwrap();
                Ok(1)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (writes, reads) = sync_channel(0);
        let (output, _guard) = Output::new(Halting(false, writes), 4, "test");
        output.offer(b"line");
        assert_eq!(reads.iter().take(4).collect::<Vec<_>>(), b"line");
        settle(&output);
        assert_eq!(output.account.failed.load(Ordering::Relaxed), 0);
    }
}

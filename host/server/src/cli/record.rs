//! `tidegate record`: has a running server record the next calls of a plugin, and writes them into a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::ask::{Ask, Asked, escaped};
use super::failure::Failure;
use super::load::Load;
use super::{Answer, Format, complain};
use tidegate_core::flow::ports::{Clock as _, SystemClock};

/// The time between two looks for new calls.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub(super) struct Record {
    /// The plugin
    #[arg(long, value_name = "NAME")]
    plugin: String,
    /// So many calls
    #[arg(long, value_name = "N", default_value_t = 1000)]
    calls: u64,
    /// The file to write, which must not exist
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A JSON Pointer to what no line shows, such as /payload/email; repeat the option for more
    #[arg(long, value_name = "POINTER")]
    redact: Vec<String>,
    #[command(flatten)]
    ask: Ask,
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    load: Load,
}

/// A page of the server's answer. Calls stay as they were written.
#[derive(Deserialize)]
struct Page {
    calls: Vec<Box<RawValue>>,
    next: usize,
    ended: Option<Value>,
}

impl Record {
    pub(super) async fn run(self) -> Result<Answer, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                stopped.store(true, Ordering::Relaxed);
            }
        });
        let recorded = tokio::task::spawn_blocking(move || self.record(&stop)).await;
        recorded.map_err(|error| Failure::Io(io::Error::other(error)))?
    }

    fn record(self, stop: &AtomicBool) -> Result<Answer, Failure> {
        let Self { plugin, calls, out, redact, ask, format, load } = self;
        let server = ask.server(&load);
        server.key()?;
        let path = format!("/v1/recordings/{}", escaped(&plugin));
        let mut file = Recorded::create(&out)?;
        let head = server.post(&path, &json!({ "calls": calls, "redact": redact }));
        let head = head.inspect_err(|_| file.remove())?;
        file.line(&head)?;
        if format == Format::Text {
            complain(&format!("recording {calls} calls of {plugin}; Ctrl-C ends it with what there is\n"));
        }
        let end = file.follow(&server, &path, stop);
        // The server would keep the calls for ten minutes more.
        let _ = server.delete_any(&path);
        let end = end?;
        file.line(&json!({ "end": end }).to_string())?;
        let reason = end["reason"].as_str().unwrap_or_default();
        Ok(match format {
            Format::Json => Answer::json(&json!({ "file": out, "end": end })),
            Format::Text => Answer::ok(format!("{} calls in {} ({reason})\n", file.calls, out.display())),
        })
    }
}

/// The file that is written.
struct Recorded<'a> {
    path: &'a Path,
    file: File,
    calls: usize,
}

impl<'a> Recorded<'a> {
    /// Only its owner may read it.
    fn create(path: &'a Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = file.map_err(|source| Failure::File { path: path.display().to_string(), source })?;
        Ok(Self { path, file, calls: 0 })
    }

    /// Takes the file away again: nothing was recorded.
    fn remove(&self) {
        let _ = std::fs::remove_file(self.path);
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        let written = self.file.write_all(format!("{text}\n").as_bytes());
        written.map_err(|source| Failure::File { path: self.path.display().to_string(), source })
    }

    /// Writes the calls until the recording ends, and gives its end. A server that goes away ends it, too.
    fn follow(&mut self, server: &Asked, path: &str, stop: &AtomicBool) -> Result<Value, Failure> {
        let mut after = 0;
        loop {
            let is_last = stop.load(Ordering::Relaxed);
            let page = match server.get_text(&format!("{path}?after={after}")) {
                Ok(text) => serde_json::from_str::<Page>(&text).map_err(|error| Failure::Io(error.into()))?,
                Err(Failure::NoServer { .. } | Failure::Refused { status: 404 | 502 | 503 | 504, .. }) => {
                    complain("warning: the server, or its recording, is gone\n");
                    return Ok(self.cut("server"));
                }
                Err(failure) => return Err(failure),
            };
            for call in &page.calls {
                self.line(call.get())?;
            }
            self.calls += page.calls.len();
            let is_waiting = page.calls.is_empty();
            after = page.next;
            match page.ended {
                Some(end) => return Ok(with_time(end)),
                None if is_last && is_waiting => return Ok(self.cut("stopped")),
                None if is_waiting => std::thread::sleep(LOOK_INTERVAL),
                None => {}
            }
        }
    }

    fn cut(&self, reason: &str) -> Value {
        with_time(json!({ "reason": reason, "calls": self.calls }))
    }
}

fn with_time(mut end: Value) -> Value {
    end["at_ms"] = SystemClock.now_unix_ms().into();
    end
}

//! The file of `--ready-file`: tells a program that waits where the server is and how to talk to it, or why there is
//! none. It is written in one step, readable by this user only, and goes with the server.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process;

use serde_json::{Map, Value, json};

use super::super::failure::Failure;
use super::access::{Access, url};

/// Only this user may read the tokens.
const MODE: u32 = 0o600;

/// The file that this process writes, once it serves or does not.
#[derive(Debug, Clone)]
pub(super) struct ReadyFile {
    path: PathBuf,
}

impl ReadyFile {
    /// Takes the file that an earlier run left away, so that nobody takes it for this run's, and makes sure that one can
    /// be written there. An empty file, as `mktemp` makes it, is taken away, too.
    ///
    /// # Errors
    /// [`Failure::New`] if something else is there, [`Failure::File`] if nothing can be written there.
    pub(super) fn claim(path: &Path) -> Result<Self, Failure> {
        let this = Self { path: path.to_path_buf() };
        let there = match fs::symlink_metadata(path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(source) => return Err(this.failed(source)),
        };
        if let Some(found) = there {
            if !found.is_file() || (found.len() > 0 && pid_in(path).is_none()) {
                return Err(Failure::New {
                    what: format!("`{}` exists already, and is no file of `--ready-file`", path.display()),
                    hint: "name another file: `dev` would replace this one".to_owned(),
                });
            }
            fs::remove_file(path).map_err(|source| this.failed(source))?;
        }
        // Whoever cannot write there should hear of it before plugins are built.
        let aside = this.write_aside("").map_err(|source| this.failed(source))?;
        fs::remove_file(aside).map_err(|source| this.failed(source))?;
        Ok(this)
    }

    /// Says that clients can connect, and how.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub(super) fn tell(&self, access: &Access, address: SocketAddr) -> Result<(), Failure> {
        let of_users = access.tokens.iter().map(|token| (token.user.clone(), Value::from(token.token.clone())));
        let keys = access.api_keys.iter().map(|(name, key)| (name.clone(), Value::from(key.clone())));
        let ready = json!({
            "pid": process::id(),
            "address": address.to_string(),
            "url": url(address),
            "tokens": of_users.collect::<Map<_, _>>(),
            "api_keys": keys.collect::<Map<_, _>>(),
        });
        self.write(&ready).map_err(|source| self.failed(source))
    }

    /// Says that there is no server and why, for a program that waits for the file and does not watch this process.
    pub(super) fn tell_failure(&self, failure: &Failure, exit_code: u8) {
        let told = json!({ "pid": process::id(), "error": failure.render(), "exit_code": exit_code });
        // The exit code and stderr say the same.
        let _ = self.write(&told);
    }

    /// Takes the file away, unless another process has replaced it.
    pub(super) fn remove(&self) {
        if pid_in(&self.path) == Some(u64::from(process::id())) {
            // Nobody is left to tell.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// In one step: who reads the file while it is written finds all of it or nothing.
    fn write(&self, told: &Value) -> io::Result<()> {
        let aside = self.write_aside(&format!("{told:#}\n"))?;
        fs::rename(&aside, &self.path).inspect_err(|_| {
            let _ = fs::remove_file(&aside);
        })
    }

    fn write_aside(&self, text: &str) -> io::Result<PathBuf> {
        let name = self.path.file_name().ok_or_else(|| io::Error::from(ErrorKind::IsADirectory))?;
        let aside = self.path.with_file_name(format!(".{}.{}", name.to_string_lossy(), process::id()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&aside)?;
        file.write_all(text.as_bytes())?;
        Ok(aside)
    }

    fn failed(&self, source: io::Error) -> Failure {
        Failure::File { path: self.path.display().to_string(), source }
    }
}

/// The process that a ready file is of; `None` if it is none.
fn pid_in(path: &Path) -> Option<u64> {
    let told: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    told.get("pid")?.as_u64()
}

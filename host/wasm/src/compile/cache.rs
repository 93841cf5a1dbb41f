//! The cache of compiled components, which outlives the server. A `.cwasm` file is native code: whoever writes such a
//! file runs code as this server. So only this user may write to the directory, each entry carries a MAC with a key of
//! this directory, and the server uses an entry only for the same component, settings and exact engine.
//!
//! ```text
//! <cache>/mac.key                    32 random bytes, made at first use
//! <cache>/<key>/component.cwasm      the native code
//! <cache>/<key>/mac                  HMAC-SHA256 of the key and of every byte; its time is that of the last use
//! <cache>/work-<random>/             a compilation under way; renamed to <key> as a whole
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash as _, Hasher};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;

use super::Effort;
use super::engine::WASMTIME_VERSION;
use crate::version::Digest;
use tidegate_core::telemetry;

/// The native code of an entry.
pub(super) const NATIVE: &str = "component.cwasm";
const MAC: &str = "mac";
const KEY_FILE: &str = "mac.key";
const KEY_BYTES: usize = 32;
/// The beginning of the names of work directories.
const WORK: &str = "work-";
/// A work directory older than this belongs to a server that ended during the compilation.
const WORK_AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// The layout of this directory. A new number makes the server ignore all older entries.
const LAYOUT: &str = "tidegate cache 1";

/// A directory of compiled components.
#[derive(Debug)]
pub(super) struct Cache {
    directory: PathBuf,
    bytes_max: u64,
    key: [u8; KEY_BYTES],
    /// A digest of the engine and of everything else that native code depends on.
    engine: [u8; 32],
}

/// Makes a directory that only this user may enter.
///
/// # Errors
/// The operating system's.
pub(super) fn make_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(directory)
}

impl Cache {
    /// Opens or makes the directory.
    ///
    /// # Errors
    /// When the directory cannot be made, or another user may write to it.
    pub(super) fn open(directory: &Path, bytes_max: u64, engine: &Engine) -> io::Result<Self> {
        if let Some(parent) = directory.parent() {
            fs::create_dir_all(parent)?;
        }
        match make_private(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let metadata = fs::metadata(directory)?;
        if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
            let why = "other users may write to it, and the server runs the code in it: allow only the server's user (`chmod 700`)";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        let cache = Self {
            directory: directory.to_owned(),
            bytes_max,
            key: read_key(directory)?,
            engine: engine_digest(engine),
        };
        cache.remove_abandoned();
        Ok(cache)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Finds the native code of a component, and verifies that it is unchanged.
    pub(super) fn find(&self, component: &Digest, effort: Effort) -> Option<PathBuf> {
        let (name, entry) = self.entry(component, effort);
        let native = entry.join(NATIVE);
        let kept = fs::read(entry.join(MAC)).ok();
        if kept.is_none() && !entry.exists() {
            return None;
        }
        let verified =
            kept.is_some_and(|kept| self.mac(&name, &native).is_ok_and(|mac| mac.verify_slice(&kept).is_ok()));
        if !verified {
            self.reject(component, effort, "it failed verification");
            return None;
        }
        // The time of the last use: the entry with the oldest time goes first when the cache is full.
        let touched = File::options().append(true).open(entry.join(MAC));
        let _ = touched.and_then(|mac| mac.set_modified(SystemTime::now()));
        Some(native)
    }

    /// Removes an entry that cannot be used; the server compiles the component again.
    pub(super) fn reject(&self, component: &Digest, effort: Effort, why: &str) {
        telemetry::plugin_cache_rejected(component.short(), why);
        let _ = fs::remove_dir_all(self.entry(component, effort).1);
    }

    /// Turns a work directory that holds native code into the entry of a component, and makes room.
    ///
    /// # Errors
    /// The operating system's; then there is no entry.
    pub(super) fn keep(&self, component: &Digest, effort: Effort, work: &Path) -> io::Result<()> {
        let (name, entry) = self.entry(component, effort);
        let mac = self.mac(&name, &work.join(NATIVE))?.finalize().into_bytes();
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(work.join(MAC))?.write_all(&mac)?;
        if entry.exists() {
            let old = self.directory.join(format!("{WORK}{}", uuid::Uuid::new_v4().simple()));
            fs::rename(&entry, &old)?;
            let _ = fs::remove_dir_all(old);
        }
        fs::rename(work, &entry)?;
        self.make_room();
        Ok(())
    }

    /// The name and the path of a component's entry.
    fn entry(&self, component: &Digest, effort: Effort) -> (String, PathBuf) {
        let mut hash = Sha256::new();
        let quick: &[&[u8]] = if effort == Effort::Quick { &[b"quick"] } else { &[] };
        let parts = [LAYOUT.as_bytes(), component.as_str().as_bytes(), WASMTIME_VERSION.as_bytes(), &self.engine];
        for part in parts.iter().chain(quick) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let name = Digest::hexadecimal(&hash.finalize());
        let path = self.directory.join(&name);
        (name, path)
    }

    fn mac(&self, name: &str, native: &Path) -> io::Result<Hmac<Sha256>> {
        // HMAC takes a key of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).map_err(io::Error::other)?;
        mac.update(name.as_bytes());
        let mut file = File::open(native)?;
        let mut chunk = vec![0; 64 << 10];
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(mac),
                bytes => mac.update(&chunk[..bytes]),
            }
        }
    }

    /// Removes the entries that were not used for the longest time, until the rest fits.
    fn make_room(&self) {
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in self.entries().filter(|entry| !is_work(entry)) {
            let (Ok(native), Ok(mac)) = (fs::metadata(entry.join(NATIVE)), fs::metadata(entry.join(MAC))) else {
                continue;
            };
            entries.push((mac.modified().unwrap_or(SystemTime::UNIX_EPOCH), native.len(), entry));
        }
        entries.sort();
        let mut bytes: u64 = entries.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, size, entry) in entries {
            if bytes <= self.bytes_max {
                return;
            }
            bytes -= size;
            // A loaded component keeps its pages: the file stays on the disk until nobody maps it.
            let _ = fs::remove_dir_all(entry);
        }
    }

    fn remove_abandoned(&self) {
        for work in self.entries().filter(|entry| is_work(entry)) {
            let begun = fs::metadata(&work).and_then(|metadata| metadata.modified());
            if begun.is_ok_and(|begun| begun.elapsed().is_ok_and(|age| age > WORK_AGE_MAX)) {
                let _ = fs::remove_dir_all(work);
            }
        }
    }

    fn entries(&self) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir())
    }
}

fn is_work(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(WORK))
}

/// Reads the key, or makes it. Two servers that start at the same time use the same key.
fn read_key(directory: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let path = directory.join(KEY_FILE);
    if !path.exists() {
        let fresh = directory.join(format!("{KEY_FILE}.{}", uuid::Uuid::new_v4().simple()));
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?.write_all(&key)?;
        // A hard link never replaces an existing key.
        let linked = fs::hard_link(&fresh, &path);
        let _ = fs::remove_file(&fresh);
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let key = fs::read(&path)?;
    key.try_into()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("`{}` is damaged, remove it", path.display())))
}

/// A digest of everything that native code depends on, besides the version of the engine.
fn engine_digest(engine: &Engine) -> [u8; 32] {
    struct Feed(Sha256);
    impl Hasher for Feed {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        fn finish(&self) -> u64 {
            // Unused: the caller takes the whole digest.
            0
        }
    }
    let mut feed = Feed(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut feed);
    feed.0.finalize().into()
}

//! Components compiled in a child process under limits, and kept.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidegate_wasm::{CompilePlace, CompileSettings, Effort, HostSettings, Plugin, PluginHost};
use tokio::time::Instant;

use crate::kit::{BAD_MANIFEST, bad, bytes, order, reply, shipped};

/// What a process that compiles may have in these tests: little, so that they are soon over.
const MEMORY_BYTES: u64 = 512 << 20;

fn in_child(cache: Option<&Path>) -> CompileSettings {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_tidegate"));
    let cache = cache.map(Path::to_owned);
    CompileSettings { place: CompilePlace::Child(program), cache, ..CompileSettings::default() }
}

/// A server that begins: nothing is remembered but what lies in the cache.
fn host(settings: CompileSettings) -> PluginHost {
    PluginHost::new(HostSettings { instances_max: 2, ..HostSettings::default() }).unwrap().compiling(settings)
}

async fn load_bad(settings: CompileSettings) -> Arc<Plugin> {
    host(settings).load(bad(BAD_MANIFEST)).await.unwrap_or_else(|diagnostics| panic!("{diagnostics:#?}"))
}

/// The directories of the entries.
fn entries(cache: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_dir()).collect()
}

fn only_entry(cache: &Path) -> PathBuf {
    let entries = entries(cache);
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries.into_iter().next().unwrap()
}

#[tokio::test]
async fn a_component_compiled_in_a_child_serves() {
    let plugin = load_bad(in_child(None)).await;
    assert_eq!(reply(order(&plugin, "well").await), "\"well\"");
}

#[tokio::test]
async fn what_was_compiled_quickly_serves_nobody_but_authors_and_they_take_what_is_better() {
    let (cache, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let quick = |cache: &Path| CompileSettings { effort: Effort::Quick, ..in_child(Some(cache)) };
    let plugin = load_bad(quick(cache.path())).await;
    assert_eq!(reply(order(&plugin, "well").await), "\"well\"");
    assert!(load_bad(quick(cache.path())).await.cached());
    assert!(!load_bad(in_child(Some(cache.path()))).await.cached(), "a server compiles it well");
    assert_eq!(entries(cache.path()).len(), 2);
    assert!(!load_bad(in_child(Some(other.path()))).await.cached());
    assert!(load_bad(quick(other.path())).await.cached());
    assert_eq!(entries(other.path()).len(), 1);
}

#[tokio::test]
async fn a_second_start_with_the_same_component_does_not_compile() {
    let cache = tempfile::tempdir().unwrap();
    assert!(!load_bad(in_child(Some(cache.path()))).await.cached());
    // No program to compile with: it can only come from the cache.
    let nothing = CompilePlace::Child("/nowhere/tidegate".into());
    let settings = CompileSettings { place: nothing, ..in_child(Some(cache.path())) };
    let plugin = load_bad(settings.clone()).await;
    assert!(plugin.cached());
    assert_eq!(reply(order(&plugin, "well").await), "\"well\"");
    // And another component does not.
    let mistakes = host(settings).load(shipped("ping")).await.unwrap_err();
    assert!(mistakes[0].message.contains("`/nowhere/tidegate` does not start"), "{}", mistakes[0].message);
}

#[tokio::test]
async fn a_damaged_entry_is_compiled_anew_and_never_run() {
    let cache = tempfile::tempdir().unwrap();
    let settings = in_child(Some(cache.path()));
    load_bad(settings.clone()).await;
    let native = only_entry(cache.path()).join("component.cwasm");
    let whole = fs::read(&native).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&whole[..whole.len() / 2], &[][..], &flipped] {
        // Written anew: the one that is mapped must not change.
        fs::remove_file(&native).unwrap();
        fs::write(&native, damaged).unwrap();
        assert!(!load_bad(settings.clone()).await.cached());
        assert!(load_bad(settings.clone()).await.cached());
    }
    fs::remove_file(only_entry(cache.path()).join("mac")).unwrap();
    assert!(!load_bad(settings.clone()).await.cached());
}

#[tokio::test]
async fn native_code_of_one_component_is_not_taken_for_another() {
    let cache = tempfile::tempdir().unwrap();
    let settings = in_child(Some(cache.path()));
    load_bad(settings.clone()).await;
    let of_bad = only_entry(cache.path());
    host(settings.clone()).load(shipped("ping")).await.unwrap();
    let of_ping = entries(cache.path()).into_iter().find(|entry| *entry != of_bad).unwrap();
    fs::remove_dir_all(&of_bad).unwrap();
    fs::rename(of_ping, &of_bad).unwrap();
    assert!(!load_bad(settings).await.cached());
}

#[tokio::test]
async fn native_code_from_another_machine_is_not_taken() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    load_bad(in_child(Some(there.path()))).await;
    load_bad(in_child(Some(here.path()))).await;
    let (ours, theirs) = (only_entry(here.path()), only_entry(there.path()));
    fs::remove_dir_all(&ours).unwrap();
    fs::rename(theirs, &ours).unwrap();
    assert!(!load_bad(in_child(Some(here.path()))).await.cached());
}

#[tokio::test]
async fn a_directory_others_may_write_to_is_no_cache() {
    let cache = tempfile::tempdir().unwrap();
    load_bad(in_child(Some(cache.path()))).await;
    fs::set_permissions(cache.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(!load_bad(in_child(Some(cache.path()))).await.cached());
}

#[tokio::test]
async fn only_the_user_of_the_server_may_read_what_is_kept() {
    let parent = tempfile::tempdir().unwrap();
    let cache = parent.path().join("deep/cache");
    load_bad(in_child(Some(&cache))).await;
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(cache.clone()), 0o700);
    assert_eq!(mode(cache.join("mac.key")), 0o600);
    assert_eq!(mode(only_entry(&cache)), 0o700);
}

#[tokio::test]
async fn the_cache_keeps_no_more_than_it_may() {
    let cache = tempfile::tempdir().unwrap();
    load_bad(in_child(Some(cache.path()))).await;
    let settings = CompileSettings { cache_bytes_max: 1, ..in_child(Some(cache.path())) };
    // Larger than all the room there is, it serves and is not kept.
    let ping = host(settings).load(shipped("ping")).await.unwrap();
    assert!(!ping.cached());
    assert_eq!(entries(cache.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_component_that_takes_minutes_to_compile_costs_its_time_and_nothing_else() {
    let settings = CompileSettings { wall_max: Duration::from_secs(8), ..in_child(None) };
    let host = host(settings);
    let plugin = host.load(bad(BAD_MANIFEST)).await.unwrap();
    let started = Instant::now();
    let mistakes = host.load(bytes(slow_to_compile(64))).await.unwrap_err();
    assert_eq!(mistakes[0].message, "component `x.wasm`: takes longer to compile than 8 s");
    assert!(mistakes[0].hint.as_ref().unwrap().contains("limits.plugin_compile_time"));
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    assert_eq!(reply(order(&plugin, "well").await), "\"well\"");
}

#[tokio::test]
async fn a_component_that_eats_memory_to_compile_is_refused_within_the_limit() {
    let settings = CompileSettings { memory_bytes_max: MEMORY_BYTES, ..in_child(None) };
    let mistakes = host(settings).load(bytes(slow_to_compile(64))).await.unwrap_err();
    assert_eq!(mistakes[0].message, "component `x.wasm`: needs more than 512MiB of memory to compile");
    assert!(mistakes[0].hint.as_ref().unwrap().contains("limits.plugin_compile_memory"));
}

#[tokio::test]
async fn a_component_that_does_not_compile_says_why_from_the_child() {
    let mut half = shipped("ping");
    half.component.truncate(half.component.len() / 2);
    let mistakes = host(in_child(None)).load(half).await.unwrap_err();
    let message = &mistakes[0].message;
    assert!(message.starts_with("component `ping.wasm`: does not compile: "), "{message}");
}

/// A component of so many functions of 700 KB, each one long chain of dependent arithmetic: tens of seconds of
/// compiler and gigabytes of memory in all.
fn slow_to_compile(functions: usize) -> Vec<u8> {
    // local.get 0, i32.const 7, i32.mul, local.get 0, i32.xor, local.set 0
    const STEP: [u8; 10] = [0x20, 0, 0x41, 7, 0x6c, 0x20, 0, 0x73, 0x21, 0];
    let mut body = vec![0];
    for _ in 0..70_000 {
        body.extend_from_slice(&STEP);
    }
    body.extend_from_slice(&[0x20, 0, 0x0b]);
    let mut code = leb(functions);
    for _ in 0..functions {
        code.extend(leb(body.len()));
        code.extend_from_slice(&body);
    }
    let mut declared = leb(functions);
    declared.extend(std::iter::repeat_n(0, functions));
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    // One type, (i32) -> i32.
    section(&mut module, 1, &[1, 0x60, 1, 0x7f, 1, 0x7f]);
    section(&mut module, 3, &declared);
    section(&mut module, 10, &code);
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    section(&mut component, 1, &module);
    component
}

fn section(out: &mut Vec<u8>, id: u8, content: &[u8]) {
    out.push(id);
    out.extend(leb(content.len()));
    out.extend_from_slice(content);
}

fn leb(mut number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            out.push(low);
            return out;
        }
        out.push(low | 0x80);
    }
}

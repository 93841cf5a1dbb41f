//! `tidegate plugin call --http`: the one way in which a plugin reaches a server outside a server of ours, over real TLS.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::project::Project;

/// The certificate and the key of `localhost`, for tests and for nothing else.
fn tls(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/tls").join(file)
}

/// A web server over TLS that answers every request with `hello`. Its port.
fn secure() -> u16 {
    let certificate = CertificateDer::from_pem_file(tls("localhost.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(tls("localhost.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream.unwrap());
            // A client that does not trust us says so and goes away.
            if stream.read(&mut [0; 4096]).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
            }
        }
    });
    port
}

fn project(origin: &str) -> Project {
    let build = "cargo build --release --target wasm32-wasip2";
    let rest = format!("grants: {{ http: ['{origin}'] }}\nlimits: {{ wall: 20s }}");
    let manifest = format!("component: fetch.wasm\nbuild: {build}\n{rest}\n");
    Project::new().with_guest("fetch", &manifest).write("get.json", &format!("\"GET {origin}/\""))
}

/// What the plugin told of its request, and what the command did.
fn called(project: &Project, arguments: &[&str]) -> (String, Value) {
    let call = ["plugin", "call", "fetch", "handler", "--topic", "t", "--input", "get.json", "--format", "json"];
    let output = project.run(&[&call, arguments].concat());
    let told: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{}", output.shown()));
    (told["answer"]["reply"].as_str().unwrap().to_owned(), told["http"][0].clone())
}

#[test]
fn plugin_call_sends_requests_to_the_origins_it_is_told_and_shows_them() {
    let origin = format!("https://localhost:{}", secure());
    let project = project(&origin);
    let (told, http) = called(&project, &[]);
    assert!(told.contains("--http ORIGIN"), "{told}");
    assert_eq!(http["status"], Value::Null);
    let (told, _) = called(&project, &["--http", "https://api.example.com"]);
    assert!(told.contains(&format!("add `--http {origin}`")), "{told}");
    let project = project.env("SSL_CERT_FILE", tls("localhost.crt").to_str().unwrap());
    let (told, http) = called(&project, &["--http", &origin]);
    assert!(told.starts_with("200\n") && told.ends_with("hello"), "{told}");
    assert_eq!((http["status"].as_u64(), http["url"].as_str()), (Some(200), Some(format!("{origin}/").as_str())));
}

#[test]
fn a_server_whose_certificate_nobody_vouches_for_is_unreachable() {
    let port = secure();
    let origin = format!("https://localhost:{port}");
    let none = project(&origin).env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/dev/null");
    let (told, _) = called(&none, &["--http", &origin]);
    assert!(told.contains("Unreachable") && told.contains("TLS: invalid peer certificate"), "{told}");
    // The right certificate, for another name.
    let origin = format!("https://127.0.0.1:{port}");
    let other = project(&origin).env("SSL_CERT_FILE", tls("localhost.crt").to_str().unwrap());
    let (told, _) = called(&other, &["--http", &origin]);
    assert!(told.contains("Unreachable") && told.contains("TLS: invalid peer certificate"), "{told}");
}

#[test]
fn a_proxy_of_the_environment_is_not_asked() {
    let origin = format!("https://localhost:{}", secure());
    let project = project(&origin).env("SSL_CERT_FILE", tls("localhost.crt").to_str().unwrap());
    let nobody = "http://127.0.0.1:1";
    let project = project.env("HTTPS_PROXY", nobody).env("https_proxy", nobody).env("ALL_PROXY", nobody);
    assert!(called(&project, &["--http", &origin]).0.starts_with("200\n"));
}

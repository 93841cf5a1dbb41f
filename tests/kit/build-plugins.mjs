// Builds the shipped plugins, and the other versions of `ping` that the reload tests swap in: one that answers `n + 1000`,
// one that faults. And an authorizer whose members are gone after the first question.

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { components, repository, target } from "./paths.mjs";

const cargo = process.env.CARGO ?? "cargo";

function build(directory, targetDirectory) {
  execFileSync(cargo, ["build", "--release", "--locked", "--target", "wasm32-wasip2"], {
    cwd: directory,
    env: { ...process.env, CARGO_TARGET_DIR: targetDirectory },
    stdio: "inherit",
  });
}

build(join(repository, "plugins"), components.shipped.target);

// Another version of a plugin: same source, one change, so it cannot fall behind the contract.
function variant(plugin, from, into, built) {
  const copy = join(target, "e2e-source");
  mkdirSync(copy, { recursive: true });
  for (const part of ["plugins", "wit", "rust-toolchain.toml"]) {
    cpSync(join(repository, part), join(copy, part), {
      recursive: true,
      preserveTimestamps: true,
      filter: (path) => !/\.wasm$|plugins.(target|sdk.javascript)/.test(path.slice(repository.length)),
    });
  }
  const source = join(copy, `plugins/${plugin}/src/lib.rs`);
  const shipped = readFileSync(source, "utf8");
  const changed = shipped.replace(from, into);
  if (changed === shipped) throw new Error(`${source}: nothing to change`);
  writeFileSync(source, changed);
  build(join(copy, "plugins", plugin), built.target);
}

variant("ping", "pong: ping.n }", "pong: ping.n + 1000 }", components.second);
// Panics at every other ping.
variant("ping", "pong: ping.n }", "pong: ping.n / (ping.n % 2) }", components.faulty);
// Says yes once, for a second and a half, and no from then on.
const FICKLE = `static ASKED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let is_member = ASKED.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        let _ = &members;
        Ok(if is_member {
            Decision::Allow(tidegate_plugin::Grant { ttl_ms: 1500, user: None })`;
const ASKS = /let is_member = [^;]*;\n\s*Ok\(if is_member \{\n\s*Decision::allow\(\)/;
variant("vault-members", ASKS, FICKLE, components.fickle);

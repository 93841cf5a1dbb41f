// Builds the shipped plugins, and the other versions of `ping` that the reload tests swap in: one that answers `n + 1000`,
// one that faults.

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

// Another version of `ping`: same source, one change, so it cannot fall behind the contract.
function variant(from, into, built) {
  const copy = join(target, "e2e-source");
  mkdirSync(copy, { recursive: true });
  for (const part of ["plugins", "wit", "rust-toolchain.toml"]) {
    cpSync(join(repository, part), join(copy, part), {
      recursive: true,
      preserveTimestamps: true,
      filter: (path) => !/\.wasm$|plugins.(target|sdk.javascript)/.test(path.slice(repository.length)),
    });
  }
  const source = join(copy, "plugins/ping/src/lib.rs");
  const shipped = readFileSync(source, "utf8");
  const changed = shipped.replace(from, into);
  if (changed === shipped) throw new Error(`${source}: nothing to change`);
  writeFileSync(source, changed);
  build(join(copy, "plugins/ping"), built.target);
}

variant("pong: ping.n }", "pong: ping.n + 1000 }", components.second);
// Panics at every other ping.
variant("pong: ping.n }", "pong: ping.n / (ping.n % 2) }", components.faulty);

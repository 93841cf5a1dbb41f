// Builds the shipped plugins, and a second version of `ping` that the reload tests swap in.

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

// Version 2 answers a ping of `n` with `n + 1000`. Same source, one change, so it cannot fall behind the contract.
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
const first = readFileSync(source, "utf8");
const second = first.replace("pong: ping.n }", "pong: ping.n + 1000 }");
if (second === first) throw new Error(`${source}: nothing to change for version 2`);
writeFileSync(source, second);
build(join(copy, "plugins/ping"), components.second.target);

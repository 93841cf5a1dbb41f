#!/usr/bin/env node
// Stands in for cargo where maturin asks it to build the program, which is built already: answers what cargo answers of a
// program that is fresh. Everything else cargo does.

import { execFileSync } from "node:child_process";

const { FILES, REAL_CARGO } = process.env;
const asked = process.argv.slice(2);
if (asked[0] !== "rustc" && asked[0] !== "build") {
  try {
    execFileSync(REAL_CARGO, asked, { stdio: "inherit" });
  } catch (error) {
    process.exit(error.status ?? 1);
  }
  process.exit(0);
}

const manifest = asked[asked.indexOf("--manifest-path") + 1];
const metadata = JSON.parse(
  execFileSync(REAL_CARGO, ["metadata", "--locked", "--no-deps", "--format-version", "1", "--manifest-path", manifest], { encoding: "utf8" }),
);
const { id, manifest_path, targets } = metadata.packages.find(({ name }) => name === "tidegate");
const program = `${FILES}/tidegate`;
const profile = { opt_level: "3", debuginfo: 0, debug_assertions: false, overflow_checks: false, test: false };
const artifact = {
  reason: "compiler-artifact",
  package_id: id,
  manifest_path,
  target: targets.find(({ kind }) => kind.includes("bin")),
  profile,
  features: [],
  filenames: [program],
  executable: program,
  fresh: true,
};
console.log(JSON.stringify(artifact));
console.log(JSON.stringify({ reason: "build-finished", success: true }));

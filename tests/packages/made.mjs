// The packages under test, and a clean place to install one in.

import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { repository, target } from "@tidegate/kit/paths.mjs";

export const made = join(target, "packages-under-test");

/** The file of a package, as `make.mjs` made it. */
export function packageFile(pattern) {
  const files = readdirSync(made).filter((file) => pattern.test(file));
  if (files.length !== 1) throw new Error(`one file like ${pattern} was expected in ${made}: ${readdirSync(made).join(", ")}`);
  return join(made, files[0]);
}

export const version = /^\[workspace\.package\]\nversion = "(.*)"$/m.exec(readFileSync(join(repository, "Cargo.toml"), "utf8"))[1];

/** A new directory, and what a person has on a machine without this repository. */
export class Place {
  constructor(t) {
    this.directory = mkdtempSync(join(tmpdir(), "tidegate-package-"));
    t.after(() => rmSync(this.directory, { recursive: true, force: true }));
    this.env = { PATH: process.env.PATH, HOME: this.directory, LANG: "C.UTF-8", RUST_LOG: "error" };
  }

  path(...parts) {
    return join(this.directory, ...parts);
  }

  /** Runs a program to its end: its exit code, and what it says. */
  async run([program, ...args], { cwd = this.directory } = {}) {
    try {
      const { stdout, stderr } = await promisify(execFile)(program, args, { cwd, env: this.env, maxBuffer: 1 << 26 });
      return { code: 0, stdout, stderr };
    } catch (error) {
      if (typeof error.code === "string") throw error;
      return { code: error.code, signal: error.signal, stdout: error.stdout, stderr: error.stderr };
    }
  }

  /** Runs a program that must succeed; what it prints. */
  async done(command, options) {
    const { code, stdout, stderr } = await this.run(command, options);
    if (code !== 0) throw new Error(`\`${command.join(" ")}\` ended with ${code}:\n${stdout}${stderr}`);
    return stdout;
  }
}

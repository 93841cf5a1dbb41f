// Packages of Python for tests, installed once below the target directory.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

import { target } from "./paths.mjs";

/** The directory, for `PYTHONPATH`, with the packages of a file of requirements, which names all that they need. */
export function pythonPackages(requirements) {
  const version = execFileSync("python3", ["--version"], { encoding: "utf8" });
  const name = createHash("sha256").update(version).update(readFileSync(requirements)).digest("hex").slice(0, 16);
  const packages = join(target, `e2e-python-${name}`);
  if (existsSync(packages)) return packages;
  mkdirSync(target, { recursive: true });
  const aside = mkdtempSync(join(target, "e2e-python-"));
  const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target", aside];
  execFileSync("python3", [...install, "--requirement", requirements], {
    env: { ...process.env, PIP_ROOT_USER_ACTION: "ignore" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    renameSync(aside, packages);
  } catch (error) {
    // Another run was first.
    if (!existsSync(packages)) throw error;
    rmSync(aside, { recursive: true });
  }
  return packages;
}

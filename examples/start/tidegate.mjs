// The tidegate binary, found or built, and `tidegate dev` on an example's own configuration.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("../..", import.meta.url));

// The first start builds the plugins, whose toolchains may have to be fetched.
const START_TIMEOUT_MS = 300_000;

/** The path of the binary: TIDEGATE_BIN, else on the PATH, else built from this checkout (some minutes, once). */
export function tidegateBinary() {
  if (process.env.TIDEGATE_BIN) return process.env.TIDEGATE_BIN;
  for (const folder of process.env.PATH.split(delimiter)) {
    try {
      accessSync(join(folder, "tidegate"), constants.X_OK);
      return join(folder, "tidegate");
    } catch {
      // Not in this folder.
    }
  }
  console.error("tidegate is not on the PATH: cargo builds it");
  try {
    execFileSync("cargo", ["build", "--release", "--locked"], { cwd: repository, stdio: "inherit" });
  } catch (error) {
    if (error.code === "ENOENT") throw new Error("neither `tidegate` nor `cargo` is installed\nhint: https://rustup.rs, or set TIDEGATE_BIN to the binary");
    throw new Error("cargo could not build tidegate");
  }
  return join(process.env.CARGO_TARGET_DIR ?? join(repository, "target"), "release", "tidegate");
}

/** What a command of tidegate prints. */
export const tidegate = (...args) => execFileSync(tidegateBinary(), args, { encoding: "utf8" });

/**
 * Runs `tidegate dev`: it builds the plugins, and reloads what is saved. Resolves to `{ url, child, stop }` once it serves.
 * Its log goes to standard error, or with `stderr: "pipe"` to the child's.
 */
export async function startTidegate({ config, listen, env = {}, stderr = "inherit" }) {
  const args = ["dev", "--config", config, "--listen", listen];
  const child = spawn(tidegateBinary(), args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", stderr], detached: true });
  const ended = once(child, "exit");
  const forget = () => child.kill();
  process.once("exit", forget);
  let late;
  const serves = new Promise((resolve, reject) => {
    ended.then(([code]) => reject(new Error(`tidegate ended with ${code}`)));
    late = setTimeout(() => reject(new Error("tidegate did not start")), START_TIMEOUT_MS);
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [, url] = /listens on (http:\/\/[^\s]+?)\.?(\s|$)/.exec(line) ?? [];
      if (url) resolve(url);
    });
  });
  const stop = async () => {
    process.off("exit", forget);
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    await ended;
  };
  try {
    return { url: await serves, child, stop };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    clearTimeout(late);
  }
}

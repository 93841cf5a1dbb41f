// A small Debian with systemd as its first process, in namespaces of its own: it has its own processes, files, network and
// services. Needs root.

import { execFile, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

import { until } from "@tidegate/kit/harness.mjs";
import { target } from "@tidegate/kit/paths.mjs";

const BOOT_PATIENCE_MS = 120_000;

// Debian's essential packages and systemd, fetched once below the target directory.
function debian() {
  const codename = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync("/etc/os-release", "utf8"))[1];
  const file = join(target, `packages-debian-${codename}.tar`);
  if (!existsSync(file)) {
    mkdirSync(dirname(file), { recursive: true });
    const half = `${file}.${process.pid}.tar`;
    execFileSync("mmdebstrap", ["--quiet", "--variant=essential", "--include=systemd", codename, half], { stdio: ["ignore", "ignore", "inherit"] });
    renameSync(half, file);
  }
  return file;
}

export class Machine {
  /** A directory with a fresh Debian. */
  constructor() {
    this.root = mkdtempSync(join(tmpdir(), "tidegate-debian-"));
    execFileSync("tar", ["xf", debian(), "-C", this.root]);
  }

  path(path) {
    return join(this.root, path);
  }

  read(path) {
    return readFileSync(this.path(path), "utf8");
  }

  /** Runs a program there: before the boot in the directory alone, then beside the first process. */
  async run(...command) {
    const place = this.init ? ["nsenter", "-t", this.init, "-m", "-p", "-u", "-i", "-n", "-C"] : ["chroot", this.root];
    return await this.#run([...place, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", ...command]);
  }

  /** Runs a program of this side in the network of the machine. */
  async runBeside(...command) {
    return await this.#run(["nsenter", "-t", this.init, "-n", ...command]);
  }

  async #run([program, ...args]) {
    try {
      const { stdout, stderr } = await promisify(execFile)(program, args, { maxBuffer: 1 << 26 });
      return { code: 0, stdout, stderr };
    } catch (error) {
      if (typeof error.code !== "number") throw error;
      return { code: error.code, stdout: error.stdout, stderr: error.stderr };
    }
  }

  /** Starts systemd, and what is enabled. */
  async boot() {
    const namespaces = ["--mount", "--pid", "--fork", "--cgroup", "--ipc", "--uts", "--net", "--kill-child"];
    const boot = [...namespaces, join(import.meta.dirname, "boot.sh"), this.root];
    this.unshare = spawn("unshare", boot, { stdio: ["ignore", "ignore", "inherit"] });
    const children = `/proc/${this.unshare.pid}/task/${this.unshare.pid}/children`;
    const init = () => {
      const child = readFileSync(children, "utf8").trim();
      return child && readFileSync(`/proc/${child}/comm`, "utf8").trim() === "systemd" && child;
    };
    this.init = await until("systemd", init, BOOT_PATIENCE_MS);
    await until("the end of the boot", async () => /running|degraded/.test((await this.run("systemctl", "is-system-running")).stdout), BOOT_PATIENCE_MS);
  }

  remove() {
    this.unshare?.kill("SIGKILL");
    rmSync(this.root, { recursive: true, force: true });
  }
}

// A small Debian with systemd as its first process, and with processes, files, a network and services of its own. Needs root.

import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
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

// Where the control groups of this side are.
function cgroups() {
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n").map((line) => line.split(" "));
  return mounts.find(([, , type]) => type === "cgroup2")[1];
}

// Removes a control group with those below it, once they have no processes.
function rmCgroup(cgroup) {
  try {
    for (const entry of readdirSync(cgroup, { withFileTypes: true })) {
      if (entry.isDirectory()) rmCgroup(join(cgroup, entry.name));
    }
    rmdirSync(cgroup);
    return true;
  } catch (error) {
    if (error.code !== "EBUSY") throw error;
    return false;
  }
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
    this.cgroup = join(cgroups(), `tidegate-test-${process.pid}-${basename(this.root)}`);
    this.first = spawn(join(import.meta.dirname, "boot.sh"), [this.root, this.cgroup], { stdio: ["ignore", "ignore", "inherit"] });
    this.exited = once(this.first, "exit");
    const children = `/proc/${this.first.pid}/task/${this.first.pid}/children`;
    const init = () => {
      if (this.first.exitCode !== null) throw new Error("systemd did not start here");
      const child = readFileSync(children, "utf8").trim();
      return child && readFileSync(`/proc/${child}/comm`, "utf8").trim() === "systemd" && child;
    };
    this.init = await until("systemd", init, BOOT_PATIENCE_MS);
    await until("the end of the boot", async () => /running|degraded/.test((await this.run("systemctl", "is-system-running")).stdout), BOOT_PATIENCE_MS);
  }

  /** Ends it, and removes what it was. */
  async remove() {
    if (this.first) {
      this.first.kill("SIGKILL");
      await this.exited;
      await until("the end of its processes", () => rmCgroup(this.cgroup), BOOT_PATIENCE_MS);
    }
    rmSync(this.root, { recursive: true, force: true });
  }
}

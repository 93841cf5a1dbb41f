// One pod of a Deployment, without a cluster: what a kubelet and a container runtime make of a manifest, as far as files,
// environment, user and probes go. The root is read-only, and holds the program, the libraries that it is linked with, and
// what else its image has. It needs Linux.

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";

import { parseAllDocuments } from "yaml";

import { until, within } from "./harness.mjs";
import { binary } from "./paths.mjs";

const isRoot = process.getuid?.() === 0;
/** Where Containerfile has the program. */
const PROGRAM = "/usr/local/bin/tidegate";
/** What the image has from its base, where this machine has it, too. */
const AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt";

/** The objects of a manifest's text, by kind and name. */
export function objects(...texts) {
  const all = texts.flatMap((text) => parseAllDocuments(text)).map((document) => document.toJS());
  return new Map(all.filter(Boolean).map((object) => [`${object.kind}/${object.metadata.name}`, object]));
}

/** The libraries that the program is linked with. */
export const libraries = () =>
  [...execFileSync("ldd", [binary()], { encoding: "utf8" }).matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, path]) => path);

/** A ConfigMap or Secret as a directory: as a kubelet's atomic writer keeps it. */
export class Volume {
  #version = 0;
  #names = new Set();

  constructor(directory, files, nested = []) {
    this.directory = directory;
    mkdirSync(directory, { recursive: true });
    // Where other volumes are mounted below this one.
    for (const name of nested) mkdirSync(join(directory, name));
    this.swap(files);
  }

  /** Puts these files in place of those of before: the data in one step, then the links of new names, then those of old ones go. */
  swap(files) {
    const at = (...path) => join(this.directory, ...path);
    const before = this.#version ? `..2026_11_30_12_00_00.${this.#version}` : undefined;
    const data = `..2026_11_30_12_00_00.${(this.#version += 1)}`;
    mkdirSync(at(data));
    for (const [name, text] of Object.entries(files)) writeFileSync(at(data, name), text);
    symlinkSync(data, at("..data_tmp"));
    renameSync(at("..data_tmp"), at("..data"));
    const names = new Set(Object.keys(files));
    for (const name of names) if (!this.#names.has(name)) symlinkSync(join("..data", name), at(name));
    for (const name of this.#names) if (!names.has(name)) unlinkSync(at(name));
    this.#names = names;
    if (before) rmSync(at(before), { recursive: true });
  }
}

const MOUNT = `
root=$1 owner=$2
shift 2
mount --bind "$root/image" "$root/image"
mount --rbind /dev "$root/image/dev"
mount --rbind /proc "$root/image/proc"
while read -r from to access; do
  mount --bind "$from" "$root/image$to"
  [ "$access" = rw ] || mount -o remount,bind,ro "$root/image$to"
done <"$root/mounts"
mount -o remount,bind,ro "$root/image"
exec setpriv --no-new-privs chroot $owner "$root/image" "$@"
`;

export class Pod {
  volumes = {};
  lines = [];

  // `image` are the directories and files that its image has, by path, each a copy of a path here or `null` for an empty
  // directory.
  constructor(all, deployment, image = {}) {
    this.all = all;
    this.spec = all.get(`Deployment/${deployment}`).spec.template.spec;
    [this.container] = this.spec.containers;
    this.directory = mkdtempSync(join(tmpdir(), "tidegate-pod-"));
    this.root = join(this.directory, "image");
    chmodSync(this.directory, 0o755);
    for (const path of ["dev", "proc"]) mkdirSync(join(this.root, path), { recursive: true });
    const base = [...libraries(), AUTHORITIES].filter((path) => existsSync(path));
    const laid = { ...Object.fromEntries(base.map((path) => [path, path])), [PROGRAM]: binary(), ...image };
    for (const [path, from] of Object.entries(laid)) this.#lay(path, from);
    this.#mount();
  }

  #lay(path, from) {
    const to = join(this.root, path);
    mkdirSync(from === null ? to : dirname(to), { recursive: true });
    if (from !== null) cpSync(from, to, { recursive: true, dereference: true });
  }

  // The volumes, each beside the root and mounted into it, outer ones first.
  #mount() {
    const { volumes, securityContext } = this.spec;
    const mounts = [...this.container.volumeMounts].sort((one, other) => one.mountPath.length - other.mountPath.length);
    const lines = mounts.map(({ name, mountPath, readOnly }) => {
      const directory = join(this.directory, "volumes", name);
      const { configMap, emptyDir } = volumes.find((volume) => volume.name === name);
      const outer = mounts.find((mount) => mount.mountPath === dirname(mountPath));
      if (!outer) mkdirSync(join(this.root, mountPath), { recursive: true });
      if (configMap) {
        const nested = mounts.filter((mount) => dirname(mount.mountPath) === mountPath).map((mount) => basename(mount.mountPath));
        this.volumes[name] = new Volume(directory, this.all.get(`ConfigMap/${configMap.name}`).data, nested);
      } else if (emptyDir) {
        mkdirSync(directory, { recursive: true });
        if (isRoot) chownSync(directory, 0, securityContext.fsGroup);
        chmodSync(directory, 0o2777);
      } else {
        throw new Error(`no volume of the kind of \`${name}\``);
      }
      return `${directory} ${mountPath} ${readOnly || configMap ? "ro" : "rw"}\n`;
    });
    writeFileSync(join(this.directory, "mounts"), lines.join(""));
  }

  #environment() {
    const secrets = (this.container.envFrom ?? []).map(({ secretRef }) => this.all.get(`Secret/${secretRef.name}`));
    return Object.assign({ PATH: "/usr/local/bin", HOSTNAME: "pod-1" }, ...secrets.map(({ stringData }) => stringData));
  }

  /** Starts its container. */
  start() {
    const { runAsUser, runAsGroup, fsGroup } = this.spec.securityContext;
    // A user without rights has one user in a namespace of its own.
    const owner = isRoot ? `--userspec=${runAsUser}:${runAsGroup} --groups=${fsGroup}` : "";
    const namespace = ["--mount", ...(isRoot ? [] : ["--map-root-user"])];
    const { PATH } = process.env;
    this.process = spawn(
      "unshare", [...namespace, "sh", "-euc", MOUNT, "sh", this.directory, owner, PROGRAM, ...this.container.args],
      { env: { ...this.#environment(), PATH: `${PATH}:/usr/sbin:/sbin` }, stdio: ["ignore", "ignore", "pipe"] },
    );
    createInterface({ input: this.process.stderr }).on("line", (line) => this.lines.push(line));
    this.exited = once(this.process, "exit").then(([code]) => code);
  }

  /** The line of the log with an event that is `wanted`, written already or yet to come. */
  async logged(event, wanted = () => true) {
    const found = () => this.lines.map(parsed).find((fields) => fields?.event === event && wanted(fields));
    return await until(`log event \`${event}\``, found).catch((error) => {
      throw new Error(`${error.message}\n${this.lines.slice(-20).join("\n")}`);
    });
  }

  /** Asks as often as a probe says until it is a yes. */
  async passes(probe, url) {
    const { httpGet: { path }, periodSeconds, failureThreshold } = this.container[probe];
    const asked = () => {
      if (this.process.exitCode !== null) throw new Error(`the pod ended with ${this.process.exitCode}:\n${this.lines.join("\n")}`);
      return fetch(url + path).then(({ ok }) => ok, () => false);
    };
    await until(probe, asked, periodSeconds * failureThreshold * 1000);
  }

  /** What a command prints that runs inside, as a health check does; fails when it does. */
  run(...command) {
    const into = ["--target", String(this.process.pid), "--mount", "--root", ...(isRoot ? [] : ["--user", "--preserve-credentials"])];
    const env = { ...this.#environment(), PATH: process.env.PATH };
    return execFileSync("nsenter", [...into, ...command], { encoding: "utf8", env });
  }

  /** Ends it as a kubelet does, and resolves to its exit code, or fails when its grace is over. */
  async terminate() {
    const { terminationGracePeriodSeconds } = this.spec;
    const { seconds } = this.container.lifecycle.preStop.sleep;
    this.process.kill("SIGTERM");
    return await within("the end of the pod", this.exited, (terminationGracePeriodSeconds - seconds) * 1000);
  }

  async stop() {
    if (this.process && this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill("SIGKILL");
      await this.exited;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function parsed(line) {
  try {
    const entry = JSON.parse(line);
    return entry.fields ?? entry;
  } catch {
    return undefined;
  }
}

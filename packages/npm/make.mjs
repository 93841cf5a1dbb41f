// The npm packages: the one with the program for its machine, and the launcher, which names it as an optional dependency.

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const { FILES, LIBC, MACHINE, OUT, VERSION, WORK } = process.env;
const CPUS = { x86_64: "x64", aarch64: "arm64" };
const LIBCS = { gnu: ["glibc"], musl: ["musl"], none: undefined };
const SHARED = { version: VERSION, license: "Apache-2.0", engines: { node: ">=20" } };

function pack(name, describe, fill) {
  const folder = join(WORK, "npm", name);
  mkdirSync(folder, { recursive: true });
  fill(folder);
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(describe, null, 2)}\n`);
  execFileSync("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", OUT], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
}

const platform = `linux-${CPUS[MACHINE]}`;
pack(
  `server-${platform}`,
  {
    name: `@tidegate/server-${platform}`,
    description: `The program of the package tidegate, for Linux on ${CPUS[MACHINE]}`,
    ...SHARED,
    os: ["linux"],
    cpu: [CPUS[MACHINE]],
    libc: LIBCS[LIBC],
    preferUnplugged: true,
  },
  (folder) => {
    cpSync(FILES, folder, { recursive: true });
    mkdirSync(join(folder, "bin"));
    renameSync(join(folder, "tidegate"), join(folder, "bin/tidegate"));
  },
);

// Every machine for which the directory has a package of this version: build there for each of them, one after the other.
const built = /^tidegate-server-(.*)-[^-]*\.tgz$/;
const platforms = readdirSync(OUT).filter((file) => file.endsWith(`-${VERSION}.tgz`)).map((file) => built.exec(file)?.[1]).filter(Boolean);
pack(
  "tidegate",
  {
    name: "tidegate",
    description: "A realtime server: stock Socket.IO clients, channels in YAML, logic in WebAssembly components",
    ...SHARED,
    type: "module",
    bin: { tidegate: "bin/tidegate.mjs" },
    files: ["bin"],
    optionalDependencies: Object.fromEntries(platforms.sort().map((each) => [`@tidegate/server-${each}`, VERSION])),
  },
  (folder) => {
    cpSync(join(import.meta.dirname, "launcher"), folder, { recursive: true });
    cpSync(join(FILES, "LICENSE"), join(folder, "LICENSE"));
  },
);

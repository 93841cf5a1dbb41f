// Prints the licences of the libraries that the program contains: those that cargo links, and those of the page.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";

const root = dirname(import.meta.dirname);
const LICENCE_FILE = /^(licen[cs]e|copying|copyright|notice|unlicense|patents)([-._].*)?$/i;

// Every crate that is linked into the program, without those that only build it.
function crates() {
  const host = /^host: (.*)$/m.exec(execFileSync("rustc", ["-vV"], { cwd: root, encoding: "utf8" }))[1];
  const asked = ["metadata", "--locked", "--format-version", "1", "--filter-platform", host];
  const { packages, resolve, workspace_members } = JSON.parse(
    execFileSync(process.env.CARGO ?? "cargo", asked, { cwd: root, encoding: "utf8", maxBuffer: 1 << 28 }),
  );
  const byId = new Map(packages.map((described) => [described.id, described]));
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]));
  const isMacro = (id) => byId.get(id).targets.some(({ kind }) => kind.includes("proc-macro"));
  const linked = new Set();
  const waiting = [packages.find(({ name, id }) => name === "tidegate" && workspace_members.includes(id)).id];
  while (waiting.length) {
    const id = waiting.pop();
    if (linked.has(id)) continue;
    linked.add(id);
    for (const dependency of nodes.get(id).deps) {
      const isLinked = dependency.dep_kinds.some(({ kind }) => kind === null);
      if (isLinked && !isMacro(dependency.pkg)) waiting.push(dependency.pkg);
    }
  }
  const foreign = [...linked].filter((id) => !workspace_members.includes(id)).map((id) => byId.get(id));
  return foreign.map(({ name, version, license, license_file, manifest_path }) => {
    return { name, version, licence: license ?? `see ${license_file}`, folder: dirname(manifest_path) };
  });
}

const licenceFiles = (folder) => readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile() && LICENCE_FILE.test(entry.name));

const libraries = crates().sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.version < b.version ? -1 : 1));
// Many libraries have the same text to the letter.
const texts = new Map();
for (const library of libraries) {
  for (const file of licenceFiles(library.folder)) {
    const text = readFileSync(join(library.folder, file.name), "utf8").replaceAll("\r\n", "\n").trim();
    texts.set(text, [...(texts.get(text) ?? []), `${library.name} ${library.version}`]);
  }
}

// Vite writes the licences of what is in the page.
function page() {
  const licences = join(root, "host/dashboard/dist/licenses.md");
  return existsSync(licences) ? readFileSync(licences, "utf8").trim() : undefined;
}

const rule = "=".repeat(100);
const section = (title, text) => console.log(`\n${rule}\n${title}\n${rule}\n\n${text}`);
const named = new Set([...texts.values()].flat());
const without = libraries.filter(({ name, version }) => !named.has(`${name} ${version}`));

console.log("Tidegate contains these libraries. Below the list are the texts of their licences, as they come with them.\n");
for (const { name, version, licence } of libraries) console.log(`${name} ${version}: ${licence}`);
console.log("\nThese come without a text; that of their licence stands below, with other libraries:\n");
for (const { name, version } of without) console.log(`${name} ${version}`);
for (const [text, names] of texts) section(names.join(", "), text);
if (page()) section("The dashboard's page", page());

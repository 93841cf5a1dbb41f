// The channels as the manifests declare them: names, and what each says about a payload.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { parse } from "yaml";

import { matches } from "./topics.js";

// The base of references between schema files. A file's path is its name.
const BASE = "tidegate:///";

/** Reads every manifest of a directory. */
export function readChannels(directory) {
  const schemas = new Schemas(directory);
  const channels = new Map();
  for (const file of manifestsOf(directory)) {
    const declared = parse(readFileSync(join(directory, file), "utf8"))?.channels ?? {};
    for (const [name, { payload }] of Object.entries(declared)) {
      channels.set(name, { name, violations: schemas.compile(payload, `${file}, channel \`${name}\``) });
    }
  }
  const find = (topic) => channels.get(topic) ?? [...channels.values()].find(({ name }) => matches(name, topic));
  return { directory, find: (topic) => (topic.includes("{") ? undefined : find(topic)) };
}

function manifestsOf(directory) {
  const files = existsSync(directory) ? readdirSync(directory).filter((file) => /\.ya?ml$/.test(file)) : [];
  if (files.length === 0) throw new Error(`no channel manifests in \`${directory}\`: name their directory, recordingPublisher({ channels: "../channels" })`);
  return files.sort();
}

class Schemas {
  // As near to the server as ajv comes; the manual lists the rest.
  #ajv = addFormats(new Ajv({ strict: false, allErrors: true, ownProperties: true, multipleOfPrecision: 9, logger: false }));
  #known = new Set();

  constructor(directory) {
    this.directory = directory;
  }

  /** What judges a payload: to violations. */
  compile(schema, place) {
    try {
      const document = typeof schema === "object" ? { ...schema, $id: `${BASE}-${this.#known.size}` } : schema;
      this.#reach(document, BASE);
      const validate = this.#ajv.compile(document);
      this.#known.add(document);
      return (payload) => (validate(payload) ? [] : validate.errors.map(({ instancePath, message, params }) => {
        const name = params.additionalProperty ?? params.unevaluatedProperty;
        return { path: instancePath, message: name === undefined ? message : `${message}: '${name}'` };
      }));
    } catch (error) {
      throw new Error(`${this.directory}/${place}: ${error.message}; what does \`tidegate check\` say?`, { cause: error });
    }
  }

  // Adds the files that a schema refers to.
  #reach(value, base) {
    if (Array.isArray(value)) value.forEach((one) => this.#reach(one, base));
    if (typeof value !== "object" || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      if (key === "$ref" && typeof inner === "string" && !inner.startsWith("#")) this.#add(new URL(inner, base));
      else this.#reach(inner, base);
    }
  }

  #add(url) {
    url.hash = "";
    const path = decodeURIComponent(url.href.slice(BASE.length));
    const file = join(this.directory, path);
    if (this.#known.has(url.href) || !existsSync(file)) return;
    this.#known.add(url.href);
    const document = JSON.parse(readFileSync(file, "utf8"));
    this.#reach(document, url.href);
    this.#ajv.addSchema({ ...document, $id: url.href });
  }
}

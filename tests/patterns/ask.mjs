// Asks this Node what ECMA-262 says of each pattern of ecma262.json: `node ask.mjs` prints the file anew, `node ask.mjs --write` renews it.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const file = new URL("ecma262.json", import.meta.url);

/** For each pattern the texts it finds something in, as a row of 0 and 1; null where it is not a pattern. */
export function ask({ texts, patterns }) {
  const answer = (pattern) => {
    let read;
    try {
      read = new RegExp(pattern, "u");
    } catch {
      return null;
    }
    return texts.map((text) => (read.test(text) ? 1 : 0)).join("");
  };
  return Object.fromEntries(Object.keys(patterns).map((pattern) => [pattern, answer(pattern)]));
}

/** JSON of letters that every editor shows and keeps. */
const ascii = (value) => JSON.stringify(value).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

export const asked = () => JSON.parse(readFileSync(file, "utf8"));

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { texts, patterns } = asked();
  const lines = Object.entries(ask({ texts, patterns })).map(([pattern, row]) => `    ${ascii(pattern)}: ${ascii(row)}`);
  const text = `{\n  "texts": ${ascii(texts)},\n  "patterns": {\n${lines.join(",\n")}\n  }\n}\n`;
  if (process.argv.includes("--write")) writeFileSync(file, text);
  else process.stdout.write(text);
}

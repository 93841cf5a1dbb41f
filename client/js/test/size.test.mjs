// What the package costs a page, without the stock client.

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const GZIPPED_BYTES_MAX = 4096;

test("it is at most 4 KiB, minified and gzipped, and imports nothing but the stock client", async () => {
  const { metafile, outputFiles } = await build({
    entryPoints: [fileURLToPath(import.meta.resolve("@tidegate/client"))],
    bundle: true, minify: true, format: "esm", target: "es2022", external: ["socket.io-client"], write: false, metafile: true,
  });
  const [{ imports }] = Object.values(metafile.outputs);
  assert.deepEqual(imports.map(({ path }) => path), ["socket.io-client"]);
  const { length } = gzipSync(outputFiles[0].contents, { level: 9 });
  assert.ok(length <= GZIPPED_BYTES_MAX, `${length} bytes`);
});

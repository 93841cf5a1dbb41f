// How the page is built, and how it is served while somebody works on it.

import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { defineConfig, type Plugin } from "vite";

// The server that `npm run dev` passes requests on to.
const SERVER = process.env.TIDEGATE_URL ?? "http://127.0.0.1:3000";

/** Writes `FILE.gz` beside each file of the build, so that the server that embeds them needs no compressor. */
function compressed(): Plugin {
  let into = "";
  return {
    name: "compressed",
    apply: "build",
    configResolved(config) {
      into = join(config.root, config.build.outDir);
    },
    closeBundle() {
      for (const name of readdirSync(into, { recursive: true, encoding: "utf8" })) {
        const path = join(into, name);
        if (statSync(path).isFile()) writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  base: "/dashboard/",
  plugins: [compressed()],
  build: {
    target: "es2022",
    // The licences of the packages in the page. Who gives the page on, gives them on too.
    license: { fileName: "licenses.md" },
    // The Content-Security-Policy allows no inline code, and an asset in the text of another could not be cached.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    proxy: {
      "/v1": SERVER,
      "/openapi.json": SERVER,
      "/dashboard/live/": { target: SERVER, ws: true },
    },
  },
});

// What the manual tells a newcomer to type does what the manual says.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";

import { within } from "@tidegate/kit/harness.mjs";
import { binary, repository } from "@tidegate/kit/paths.mjs";

// Longer than building the shipped plugins from nothing takes on a small machine.
const BUILD_PATIENCE_MS = 300_000;

// Every command line of the manual, and what runs it. One that is not here is a command that nobody has tried.
const COMMANDS = {
  [`curl -X DELETE -H "authorization: Bearer $TIDEGATE_API_KEY" -G --data-urlencode 'key="7"' http://127.0.0.1:3000/v1/channels/telemetry.event.e1/retained`]: "tests/e2e/retained.test.mjs, with curl",
  "cargo run --release -- dev": "the first minute, below, with the binary of the tests",
  "cd examples/realtime-ping": "the first minute, below",
  "npm install": "the first minute, below",
  "TOKEN=… npm start": "the first minute, below",
  "cd examples/newsroom": "examples/newsroom/test.mjs",
  "npm run unit": "examples/newsroom/test.mjs",
  "tidegate new channel comments 'comments.article.{articleId}' authenticated": "examples/newsroom/test.mjs",
  "tidegate new plugin comments --lang typescript --handler 'comments.article.{articleId}'": "examples/newsroom/test.mjs",
  "npm run page": "examples/realtime-ping/test.mjs",
  "cd examples/team-messaging": "examples/team-messaging/test.mjs",
  "npm start": "examples/*/test.mjs, each with its start program",
  "tidegate init app --lang ts": "tests/e2e/project.test.mjs",
  "cd app": "tests/e2e/project.test.mjs",
  "tidegate dev": "tests/e2e/project.test.mjs, with a ready file",
  "tidegate new channel chat 'chat.{room}' authenticated": "tests/e2e/project.test.mjs",
  "tidegate new plugin echo --lang ts --handler 'chat.{room}'": "tests/e2e/project.test.mjs, as the project's README has it",
  "tidegate plugin test echo --build": "tests/e2e/project.test.mjs",
  "tidegate diff main .": "tests/cli/diff.rs, in a repository of its own",
  "tidegate diff v1.2:apps/live HEAD:apps/live --format json": "tests/cli/diff.rs, in a repository of its own",
  "tidegate check --build": "tests/e2e/project.test.mjs",
  "tidegate dev --listen 127.0.0.1:0 --ready-file FILE": "tests/e2e/project.test.mjs",
  "tidegate record --plugin ping --calls 1000 --out ping.ndjson": "tests/e2e/proof.test.mjs, of fewer calls",
  "tidegate plugin replay ping.ndjson --component next/ping.wasm": "tests/e2e/proof.test.mjs",
  "tidegate new plugin hello --lang python --kind handler": "tests/e2e/new-plugin.test.mjs, in every language",
  "tidegate plugin build hello": "tests/e2e/new-plugin.test.mjs, in every language",
  "tidegate plugin test hello": "tests/e2e/new-plugin.test.mjs, in every language",
  "redis-cli -u \"$REDIS_URL\" xadd telemetry maxlen '~' 100000 '*' device d1 position '{\"lat\": 52.5, \"lon\": 13.4}'":
    "tests/e2e/buses.test.mjs",
  "tidegate schema outbox --server tidegate --application shop | psql …": "tests/e2e/buses.test.mjs, of another table and server's role",
  "curl -X POST http://127.0.0.1:3000/v1/channels/blog.article.feed/publish -H \"authorization: Bearer $TIDEGATE_API_KEY\" -H 'idempotency-key: \"article-7-v2\"' -d '{ \"id\": \"7\", \"title\": \"Second edition\" }'":
    "tests/http/idempotency.rs, of another key and payload",
  "curl -N http://127.0.0.1:3000/v1/channels/blog.article.feed/history -H 'accept: text/event-stream'": "the first minute, below",
  'psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -v password="$REALTIME_PASSWORD" -f sql/role.sql': "tests/e2e/authjs.test.mjs",
  'tidegate schema outbox --server realtime --application app | psql "$DATABASE_URL" -v ON_ERROR_STOP=1': "tests/e2e/authjs.test.mjs",
  'psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f sql/triggers.sql': "tests/e2e/authjs.test.mjs",
  "tidegate new plugin members --lang typescript --kind authorizer": "tests/e2e/authjs.test.mjs",
  "rm plugins/members/plugin.test.ts": "tests/e2e/authjs.test.mjs",
  "tidegate plugin build members": "tests/e2e/authjs.test.mjs",
  "tidegate check": "tests/e2e/authjs.test.mjs",
  "tidegate dev": "tests/e2e/authjs.test.mjs",
  "curl http://127.0.0.1:3000/openapi.json": "tests/e2e/openapi.test.mjs",
  "tidegate asyncapi --out asyncapi.json": "tests/e2e/asyncapi.test.mjs, with another file",
  "tidegate asyncapi --url https://rt.example.com --out asyncapi.json": "tests/e2e/asyncapi.test.mjs, with another file",
  "tidegate asyncapi --channel 'vault.{vaultId}'": "tests/e2e/asyncapi.test.mjs, of another channel",
  "npm ci": "tests/run.sh",
  "npm run build -w host/dashboard": "tests/run.sh",
  "npm run dev -w host/dashboard": "tests/e2e/dashboard-dev.test.mjs, with another port",
  "kubectl create configmap tidegate-channels --from-file=channels --dry-run=client -o yaml": "tests/e2e/kubernetes.test.mjs, of another name",
  "kubectl create configmap tidegate-schemas --from-file=channels/schemas --dry-run=client -o yaml": "tests/e2e/kubernetes.test.mjs, of another name",
  "packages/build.sh --binary target/release/tidegate": "tests/packages, with the binary of the tests",
  "packages/build.sh deb npm": "tests/packages, with the binary of the tests",
  "pip install tidegate-*.whl": "tests/packages/wheel.test.mjs",
  "npm install tidegate-*.tgz": "tests/packages/npm.test.mjs",
  "npx tidegate dev": "tests/packages/npm.test.mjs",
  "dpkg -i tidegate_*.deb": "tests/packages/deb.test.mjs",
  "systemctl reload tidegate": "tests/packages/deb.test.mjs",
  "tests/run.sh": ".ci/run",
  "tests/run.sh rust": ".ci/run, with the other stages",
  "tidegate new channel shop 'shop.cart.{userId}' user:userId": "tests/cli/new.rs",
  "tidegate types --lang ts --out client/channels.ts": "tests/cli/types.rs, with other files",
  "tidegate types --lang rust --channel 'vault.{vaultId}'": "tests/cli/types.rs, of another channel",
};

// Pages whose commands measure or show something and are no test.
const MEASURES = ["tests/load/", "findings/"];

// The pages of the manual, by their paths: every `*.md` of the top level, of a folder, and of an example.
function pagesOfTheManual() {
  const folders = ["", "host", "host/dashboard", "wit", "plugins", "channels", "config", "config/deploy", "tests", "tests/load", "examples"];
  folders.push("packages", "findings", "client", ...subfoldersOf("client"), ...subfoldersOf("examples"));
  const pages = folders.flatMap((folder) => readdirSync(join(repository, folder)).map((name) => join(folder, name)));
  return new Map(pages.filter((page) => page.endsWith(".md")).map((page) => [page, readFileSync(join(repository, page), "utf8")]));
}

function subfoldersOf(folder) {
  const entries = readdirSync(join(repository, folder), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name));
}

function commandsOfTheManual() {
  const judged = [...pagesOfTheManual()].filter(([page]) => !MEASURES.some((folder) => page.startsWith(folder)));
  const blocks = judged.flatMap(([, text]) => [...text.matchAll(/```sh\n(.*?)```/gs)]);
  // A line that ends with a backslash goes on.
  const lines = blocks.flatMap(([, block]) => block.replace(/ \\\n\s*/g, " ").split("\n"));
  return new Set(lines.map((line) => line.replace(/\s+# .*$/, "").trim()).filter((line) => line && !line.startsWith("#")));
}

test("every command of the manual is run by a test", () => {
  assert.deepEqual([...commandsOfTheManual()].sort(), Object.keys(COMMANDS).sort());
});

// Where links may lead in a page: its headings, as GitHub names them.
function anchors(text) {
  const headings = text.replace(/```.*?```/gs, "").matchAll(/^#+ (.*)$/gm);
  return new Set([...headings].map(([, heading]) => heading.toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-")));
}

test("every link of the manual leads to a file and a heading that are there", () => {
  const pages = pagesOfTheManual();
  const broken = [];
  for (const [page, text] of pages) {
    for (const [, target] of text.replace(/```.*?```/gs, "").matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [path, anchor] = target.split("#");
      const file = path ? join(dirname(page), path) : page;
      const isThere = existsSync(join(repository, file)) && (!anchor || (pages.has(file) && anchors(pages.get(file)).has(anchor)));
      if (!isThere) broken.push(`${page}: ${target}`);
    }
  }
  assert.deepEqual(broken, []);
});

describe("the first minute", () => {
  let dev;
  let printed;
  before(async () => {
    dev = spawn(binary(), ["dev", "--listen", "127.0.0.1:0"], { cwd: repository, stdio: ["ignore", "pipe", "inherit"] });
    printed = await within("`dev` prints what to try", guide(dev.stdout), BUILD_PATIENCE_MS);
  }, { timeout: BUILD_PATIENCE_MS });
  after(async () => {
    dev.kill("SIGINT");
    const code = await new Promise((resolve) => dev.once("exit", resolve));
    assert.equal(code, 0, "Ctrl-C ends it well");
  });

  // What `dev` prints, up to the end of the last command.
  async function guide(stdout) {
    const lines = [];
    for await (const line of createInterface({ input: stdout })) {
      lines.push(line);
      if (line.trimStart().startsWith("-d '")) return lines.join("\n");
    }
    throw new Error(`\`dev\` ended:\n${lines.join("\n")}`);
  }

  // Runs a command as it was printed, until `wanted` shows in what it says.
  async function shell(command, wanted) {
    const shell = spawn("bash", ["-c", command], { cwd: repository, stdio: ["ignore", "pipe", "inherit"], detached: true });
    let said = "";
    try {
      return await within(
        `\`${command}\` says ${wanted}`,
        (async () => {
          for await (const chunk of shell.stdout) {
            said += chunk;
            if (wanted.test(said)) return said;
          }
          throw new Error(`it said:\n${said}`);
        })(),
        60_000,
      );
    } finally {
      try {
        process.kill(-shell.pid);
      } catch {
        // It is over already.
      }
    }
  }

  test("the client that it says to try pings and hears the pong", async () => {
    const [command] = /cd examples\/realtime-ping && npm install .* npm start/.exec(printed);
    await shell(command, /pong 2/);
  });

  test("the stream that the manual says to read begins as the manual says", async () => {
    const [command] = [...commandsOfTheManual()].filter((line) => line.includes("text/event-stream"));
    const [, url] = /listens on http:\/\/([\d.:]+)\./.exec(printed);
    const said = await shell(command.replace("127.0.0.1:3000", url), /subscribed/);
    assert.match(said, /^: tidegate\n\nretry: \d+\nevent: tidegate\ndata: \{"type":"subscribed","channel":"blog.article.feed"/);
  });

  test("the event that it says to publish is accepted", async () => {
    const [command] = /curl -i [^]*?-d '[^']*'/.exec(printed);
    assert.match(await shell(command, /HTTP\/1.1 \d+/), /HTTP\/1.1 202 Accepted/);
  });

  test("each token that it prints lets its user in", async () => {
    const tokens = [...printed.matchAll(/^ {2}(\w+)(?: \(\w+\))?\n {2}(ey\S+)$/gm)];
    assert.deepEqual(tokens.map(([, user]) => user), ["alice", "bob", "erin"]);
    const [, url] = /listens on (http:\/\/[\d.:]+)\./.exec(printed);
    for (const [, , token] of tokens) {
      await shell(`cd examples/realtime-ping && URL=${url} TOKEN=${token} npm start`, /pong 1/);
    }
  });
});

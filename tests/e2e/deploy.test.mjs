// What is installed, before anything is built: the Containerfile, and the dependencies that go into the program.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { parse, parseAllDocuments } from "yaml";

import { repository } from "@tidegate/kit/paths.mjs";
import { pythonPackages } from "@tidegate/kit/python.mjs";

const packages = pythonPackages(join(repository, "tests/kit/requirements-deploy.txt"));
const file = (path) => readFileSync(join(repository, path), "utf8");

/** What a program of the packages says, and its exit code. */
function judged(name, ...args) {
  try {
    const said = execFileSync(join(packages, "bin", name), args, { cwd: repository, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
    return { code: 0, said };
  } catch ({ status, stdout, stderr }) {
    return { code: status, said: stdout + stderr };
  }
}

let directory;
before(() => {
  directory = mkdtempSync(join(tmpdir(), "tidegate-deploy-"));
});
after(() => rmSync(directory, { recursive: true }));

// A changed copy of a file, which a judge has to find fault with.
function changed(path, from, to) {
  assert.ok(file(path).includes(from), `${path} has \`${from}\``);
  const copy = join(directory, path.split("/").at(-1));
  writeFileSync(copy, file(path).replace(from, to));
  return copy;
}

describe("the Containerfile", () => {
  const containerfile = file("config/deploy/Containerfile");
  const of = (pattern) => pattern.exec(containerfile)[1];

  test("has nothing that hadolint knows better", () => {
    assert.deepEqual(judged("hadolint", "config/deploy/Containerfile"), { code: 0, said: "" });
    const asRoot = changed("config/deploy/Containerfile", "USER 65532:65532", "USER root");
    const { code, said } = judged("hadolint", asRoot);
    assert.equal(code, 1);
    assert.match(said, /DL3002/);
  });

  test("builds with the toolchain, the profile and the Node that the repository asks for", () => {
    const toolchain = /^channel = "(.*)"$/m.exec(file("rust-toolchain.toml"))[1];
    assert.equal(of(/^ARG RUST=.*:([\d.]+)-/m), toolchain);
    assert.equal(of(/RUSTUP_TOOLCHAIN=(\S+)/), toolchain);
    assert.match(file("Cargo.toml"), new RegExp(`^\\[profile\\.${of(/--profile (\S+)/)}\\]$`, "m"));
    const workspace = of(/npm run build --workspace (\S+)/);
    const { engines, scripts } = JSON.parse(file(join(workspace, "package.json")));
    assert.ok(scripts.build);
    const node = of(/^ARG NODE=.*:(\d+)\./m);
    assert.ok(Number(node) >= Number(/(\d+)/.exec(engines.node)[1]));
  });

  test("runs what the Deployment says, as the same user, in the same places", () => {
    const [deployment] = parseAllDocuments(file("config/deploy/kubernetes/deployment.yaml")).map((one) => one.toJS());
    const { securityContext, containers: [container] } = deployment.spec.template.spec;
    assert.deepEqual(JSON.parse(of(/^CMD (.*)$/m)), container.args);
    assert.equal(of(/^USER (.*)$/m), `${securityContext.runAsUser}:${securityContext.runAsGroup}`);
    assert.equal(Number(of(/^EXPOSE (.*)$/m)), container.ports[0].containerPort);
    const state = container.volumeMounts.find(({ name }) => name === "state").mountPath;
    assert.ok(containerfile.includes(`/image${state}`), state);
  });
});

describe("the balancers", () => {
  const { transport, limits } = parse(file("config/tidegate.yaml"));
  const UNITS = { ms: 0.001, s: 1, m: 60, h: 3600 };
  const seconds = (text) => {
    const [, number, unit] = /^(\d+)(ms|s|m|h)$/.exec(text);
    return Number(number) * UNITS[unit];
  };
  // The values of a directive, which has to be there.
  const values = (path, directive) => {
    const found = [...file(`config/deploy/${path}`).matchAll(new RegExp(`^\\s*${directive} (\\w+);?$`, "gm"))].map(([, value]) => value);
    assert.ok(found.length > 0, `${path} has no ${directive}`);
    return found;
  };
  const PROXY = "nginx/tidegate-proxy.conf";
  const HAPROXY = "haproxy/tidegate.cfg";

  test("wait longer for a silent client than the server does", () => {
    const heartbeat = seconds(transport.ping_interval) + seconds(transport.ping_timeout);
    const waits = [
      ...values(PROXY, "proxy_read_timeout"), ...values(PROXY, "proxy_send_timeout"),
      ...["client", "server", "tunnel"].flatMap((what) => values(HAPROXY, `timeout ${what}`)),
    ];
    for (const wait of waits) assert.ok(seconds(wait) > heartbeat, wait);
  });

  test("close idle connections to a node before the node does", () => {
    const [, purged] = / pool-purge-delay (\w+)$/m.exec(file(`config/deploy/${HAPROXY}`));
    for (const time of [...values("nginx/tidegate.conf", "keepalive_timeout"), purged]) {
      assert.ok(seconds(time) < seconds(limits.idle_timeout), time);
    }
  });

  test("take the largest body that the server takes, and not much more", () => {
    assert.equal(limits.batch, "4MiB");
    assert.deepEqual(values(PROXY, "client_max_body_size"), ["4m"]);
  });
});

describe("the dependencies", () => {
  const check = (config, manifest = "Cargo.toml") =>
    judged("cargo-deny", "--locked", "--manifest-path", manifest, "--config", config, "check", "licenses", "bans", "sources");

  for (const manifest of ["Cargo.toml", "plugins/Cargo.toml"]) {
    test(`of ${manifest} have the licences, the sources and none of the crates that deny.toml says`, () => {
      const { code, said } = check("deny.toml", manifest);
      assert.equal(code, 0, said);
    });
  }

  test("with a licence that nobody allowed are refused", () => {
    const { code, said } = check(changed("deny.toml", '  "MIT",\n', ""));
    assert.notEqual(code, 0);
    assert.match(said, /rejected/);
  });
});

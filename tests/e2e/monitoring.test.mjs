// What operators install to look at Tidegate: the alert rules, by Prometheus's own tool, and the board's queries, which that
// tool reads, too. That every query names a metric that exists is a test beside the metrics (`telemetry/board.rs`).

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { repository } from "@tidegate/kit/paths.mjs";

const RULES = join(repository, "config/deploy/alerts.yaml");
const BOARD = JSON.parse(readFileSync(join(repository, "config/deploy/grafana.json"), "utf8"));

describe("monitoring", () => {
  let scratch;
  before(() => {
    scratch = mkdtempSync(join(tmpdir(), "tidegate-monitoring-"));
  });
  after(() => rmSync(scratch, { recursive: true, force: true }));

  const promtool = (...args) => execFileSync("promtool", args, { cwd: scratch, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

  test("the alert rules are well-formed", () => {
    assert.match(promtool("check", "rules", RULES), /SUCCESS: \d+ rules found/);
  });

  test("each alert rule fires when it should, and is quiet over a node that does well", () => {
    const tests = readFileSync(join(repository, "tests/e2e/alerts.test.yaml"), "utf8");
    const rules = [...readFileSync(RULES, "utf8").matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
    assert.deepEqual(rules.filter((name) => !tests.includes(name)), [], "rules without a test");
    writeFileSync(join(scratch, "alerts.test.yaml"), tests.replace("[RULES]", `[${RULES}]`));
    assert.match(promtool("test", "rules", "alerts.test.yaml"), /SUCCESS/);
  });

  test("the board's panels have their own places, and queries that Prometheus understands", () => {
    const panels = BOARD.panels;
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    const cells = new Set();
    for (const { gridPos: { x, y, w, h }, title } of panels) {
      assert.ok(x + w <= 24, title);
      for (let column = x; column < x + w; column += 1) {
        for (let line = y; line < y + h; line += 1) {
          assert.ok(!cells.has(`${column} ${line}`), `${title} lies on another panel`);
          cells.add(`${column} ${line}`);
        }
      }
    }
    const variables = { $__rate_interval: "1m", $__interval: "1m", $instance: "a" };
    const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    assert.ok(queries.length > 30);
    queries.push(...BOARD.annotations.list.map(({ expr }) => expr));
    const rules = queries.map((query, index) => ({
      record: `query:${index}`,
      expr: Object.entries(variables).reduce((text, [name, value]) => text.replaceAll(name, value), query),
    }));
    // JSON is YAML.
    writeFileSync(join(scratch, "board.yaml"), JSON.stringify({ groups: [{ name: "board", rules }] }));
    assert.match(promtool("check", "rules", "board.yaml"), new RegExp(`SUCCESS: ${rules.length} rules found`));
  });
});

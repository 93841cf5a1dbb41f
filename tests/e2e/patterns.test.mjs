// The answers that `tests/manifests/patterns.rs` compares the server with are those of this Node.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ask, asked } from "../patterns/ask.mjs";

test("the committed answers to patterns are what ECMA-262 says", () => {
  const committed = asked();
  assert.deepEqual(ask(committed), committed.patterns);
});

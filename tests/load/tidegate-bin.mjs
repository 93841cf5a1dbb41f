// Import this before `@tidegate/kit/harness.mjs`: load is measured with the release build, unless `TIDEGATE_BIN` names another.

import { existsSync } from "node:fs";
import { join } from "node:path";

import { target } from "@tidegate/kit/paths.mjs";

process.env.TIDEGATE_BIN ??= join(target, "release", "tidegate");

// Ends this program where there is no binary.
export function requireTidegate() {
  if (existsSync(process.env.TIDEGATE_BIN)) return;
  console.error(`error: \`${process.env.TIDEGATE_BIN}\` is missing\nhint: cargo build --release, or set TIDEGATE_BIN`);
  process.exit(1);
}

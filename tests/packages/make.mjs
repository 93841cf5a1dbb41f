// Makes every package of the binary under test, once for all tests.

import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";

import { binary, repository } from "@tidegate/kit/paths.mjs";
import { made } from "./made.mjs";

rmSync(made, { recursive: true, force: true });
execFileSync(join(repository, "packages/build.sh"), ["--binary", binary(), "--out", made], { stdio: ["ignore", "ignore", "inherit"] });

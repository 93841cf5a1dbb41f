// A plugin in Rust, built from source with its SDK and served by the real binary.

import { copyFileSync } from "node:fs";
import { join } from "node:path";

import { cargoBuild, contract } from "@tidegate/kit/guest.mjs";
import { repository } from "@tidegate/kit/paths.mjs";

contract({
  language: "Rust",
  source: join(repository, "plugins/sdk/rust/test/src/lib.rs"),
  crash: 'panic!("as it was told")',
  unwritable: "a value is no JSON: a number is not finite",
  build: (component) => copyFileSync(cargoBuild(join(repository, "plugins/sdk/rust/test"), "guest"), component),
});

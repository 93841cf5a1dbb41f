// A plugin in C, built from source with its SDK and served by the real binary.

import { execFileSync } from "node:child_process";
import { join } from "node:path";

import { contract } from "@tidegate/kit/guest.mjs";
import { repository } from "@tidegate/kit/paths.mjs";

const sdk = join(repository, "plugins/sdk/c");

const build = (source, component, ...kinds) =>
  execFileSync(process.execPath, [join(sdk, "build.mjs"), source, component, ...kinds], { stdio: ["ignore", "ignore", "inherit"] });

contract({
  language: "C",
  source: join(sdk, "test/guest.c"),
  crash: "nowhere->next",
  unwritable: "the reply has no JSON: a number is not finite",
  build: (component) =>
    build(join(sdk, "test/guest.c"), component, "handler", "authorizer", "snapshot", "transform", "connection"),
});

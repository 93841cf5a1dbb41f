// A plugin in Go, built from source with its SDK and served by the real binary.

import { execFileSync } from "node:child_process";
import { join } from "node:path";

import { contract } from "@tidegate/kit/guest.mjs";
import { repository } from "@tidegate/kit/paths.mjs";

const sdk = join(repository, "plugins/sdk/go");

const build = (directory, component, ...kinds) =>
  execFileSync(process.execPath, [join(sdk, "build.mjs"), directory, component, ...kinds], { stdio: ["ignore", "ignore", "inherit"] });

contract({
  language: "Go",
  source: join(sdk, "test/guest.go"),
  crash: "nowhere.Pong = 1",
  unwritable: "the reply has no JSON: ",
  build: (component) => build(join(sdk, "test"), component, "handler", "authorizer", "snapshot", "transform", "connection"),
});

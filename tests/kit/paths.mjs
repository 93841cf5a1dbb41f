// Where things are.

import { fileURLToPath } from "node:url";
import { join } from "node:path";

export const repository = fileURLToPath(new URL("../..", import.meta.url));
export const target = process.env.CARGO_TARGET_DIR ?? join(repository, "target");
/** Asked when a server starts, not when this module loads: the load test chooses the release build. */
export const binary = () => process.env.TIDEGATE_BIN ?? join(target, "debug", "tidegate");

/** Compiled plugins: shared by the servers of a run and of the next, and not the cache of whoever runs the tests. */
export const pluginCache = join(target, "e2e-plugin-cache");

const built = (name) => ({
  target: join(target, name),
  directory: join(target, name, "wasm32-wasip2", "release"),
});

// `shipped` is what `plugins/` holds, `second` and `faulty` other versions of its `ping`, `fickle` one of its `vault-members`.
export const components = { shipped: built("plugins"), second: built("e2e-plugins"), faulty: built("e2e-faulty"), fickle: built("e2e-fickle") };

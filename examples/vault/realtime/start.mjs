// Tidegate on the configuration beside this file.

import { fileURLToPath } from "node:url";

import { startTidegate } from "@tidegate/example-start/tidegate.mjs";

/** `database` is the address of the role that only reads; pages of the application's port may connect. */
export const startRealtime = ({ database, appPort, listen, stderr }) =>
  startTidegate({
    config: fileURLToPath(new URL("config/tidegate.yaml", import.meta.url)),
    listen,
    stderr,
    env: {
      VAULT_REALTIME_DATABASE: database,
      VAULT_PAGE_ORIGIN: `http://localhost:${appPort}`,
      VAULT_PAGE_ORIGIN_OF_OTHERS: `http://*.localhost:${appPort}`,
    },
  });

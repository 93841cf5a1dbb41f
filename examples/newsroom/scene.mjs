// The parts of the newsroom, for the start program and for the test.

import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";

import { startTidegate } from "@tidegate/example-start/tidegate.mjs";
import { publisher } from "@tidegate/publisher";

import { startBackend } from "./backend/dist/server.js";

/** What the backend and Tidegate both know. */
export const secrets = () => ({ jwt: randomBytes(48).toString("hex"), key: randomBytes(24).toString("hex") });

/** Tidegate on a directory with `config`, `channels` and `plugins`: this one, or a copy. Pages come from `origin`. */
export const startRealtime = ({ directory = fileURLToPath(new URL(".", import.meta.url)), listen, origin, secrets, ...options }) =>
  startTidegate({
    config: `${directory}/config/tidegate.yaml`,
    listen,
    env: { TIDEGATE_JWT_SECRET: secrets.jwt, TIDEGATE_API_KEY: secrets.key, NEWSROOM_ORIGIN: origin },
    ...options,
  });

/** The backend; `realtime()` is the address of Tidegate. */
export const startNewsroom = ({ database, port, secrets, realtime }) =>
  startBackend({
    database, port, realtime, secret: secrets.jwt,
    // What is not told within two seconds is told later: see `announceWaiting`.
    tidegate: publisher({ url: realtime(), key: secrets.key, source: "/newsroom", deadlineMs: 2000 }),
  });

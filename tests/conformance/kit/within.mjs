// A promise that is not kept in time fails with the name of what was awaited.

import { within as inTime } from "@tidegate/kit/within.mjs";

const PATIENCE_MS = 10_000;

export const within = (what, promise, ms = PATIENCE_MS) => inTime(what, promise, ms);

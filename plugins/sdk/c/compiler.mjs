// The compiler, and the part of the SDK that needs no host, which is tested on the machine itself.
import { join } from 'node:path';

import { fromPip } from '../componentize/index.mjs';

/** The program `zig`; fetched where it is missing. */
export const zig = () => join(fromPip('ziglang==0.17.0'), 'ziglang/zig');

/** Memory and JSON. */
export const LAYER = ['memory.c', 'json.c', 'json_read.c', 'json_write.c'];

// Is served by the server at the URL, as a client of its own process: in the network of a machine.

import { isServed } from "./used.mjs";

await isServed(process.argv[2]);

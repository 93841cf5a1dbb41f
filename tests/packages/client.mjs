// What clients of the server at the URL get: client.mjs URL TOPIC SENT HEARD [TOKEN]. A process of its own, for the network of
// a machine.

import { hears } from "./used.mjs";

const [url, topic, sent, heard, token] = process.argv.slice(2);
await hears(url, topic, JSON.parse(sent), JSON.parse(heard), token);

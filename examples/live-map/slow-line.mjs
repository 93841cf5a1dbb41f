// A slow line: what the server sends passes at so many bytes a second, what the client sends passes at once.
//
//   PORT, TARGET_PORT, BYTES_PER_SECOND

import { connect, createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

const bytesPerSecond = Number(process.env.BYTES_PER_SECOND);
// So much is read at once, and then nothing until it has passed.
const CHUNK_BYTES = 4096;

const line = createServer({ noDelay: true }, (client) => {
  const callback = (count, buffer) => {
    client.write(Buffer.from(buffer.subarray(0, count)));
    pause((count / bytesPerSecond) * 1000).then(() => server.resume());
    return false;
  };
  const onread = { buffer: Buffer.alloc(CHUNK_BYTES), callback };
  const server = connect({ port: Number(process.env.TARGET_PORT), host: "127.0.0.1", noDelay: true, onread });
  client.pipe(server);
  server.on("end", () => client.end());
  for (const [one, other] of [[client, server], [server, client]]) {
    one.on("error", () => {});
    one.on("close", () => other.destroy());
  }
});
line.listen(Number(process.env.PORT), "127.0.0.1", () => console.log(`ready: ${bytesPerSecond / 1000} KB/s`));

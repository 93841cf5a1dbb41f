// A cable to a server that a test can interrupt: connections through it end, and what is on its way is lost.

import { once } from "node:events";
import { connect, createServer } from "node:net";

export class Cable {
  #sockets = new Set();

  // To a port of this machine.
  static async to(port) {
    const cable = new Cable();
    cable.#server = createServer((near) => {
      const far = connect(port, "127.0.0.1");
      for (const [one, other] of [[near, far], [far, near]]) {
        cable.#sockets.add(one);
        one.pipe(other);
        one.on("error", () => other.destroy());
        one.on("close", () => {
          cable.#sockets.delete(one);
          other.destroy();
        });
      }
    });
    cable.#server.listen(0, "127.0.0.1");
    await once(cable.#server, "listening");
    return cable;
  }

  #server;

  get port() {
    return this.#server.address().port;
  }

  // Ends every connection. Those that come later are as good as before.
  interrupt() {
    for (const socket of this.#sockets) socket.destroy();
  }

  stop() {
    this.#server.close();
    this.interrupt();
  }
}

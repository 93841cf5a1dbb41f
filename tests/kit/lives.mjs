// The life of a client, whoever wrote it: it brings a forged token and is refused, brings a good one and is let in,
// subscribes to a topic, speaks on it, and listens. Whenever it is let in again it does the same. It tells everything.

import { execFileSync, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { within } from "./harness.mjs";
import { repository, target } from "./paths.mjs";
import { pythonPackages } from "./python.mjs";

const here = join(repository, "tests/kit");

/** What a client tells, in the order in which it happened. */
class Life {
  #told = [];
  #more = new EventEmitter().setMaxListeners(0);
  // Ends the client.
  end = () => {};

  tell(what, value) {
    this.#told.push({ what, value });
    this.#more.emit("more");
  }

  /** The `nth` of what it tells under this word, told already or yet to come. */
  async hears(what, nth = 1) {
    const all = () => this.#told.filter((one) => one.what === what);
    const enough = async () => {
      while (all().length < nth) {
        if (this.count("ended") > 0) throw new Error(`\`${what}\` never came for the ${nth}. time: the client ended`);
        await once(this.#more, "more");
      }
      return all()[nth - 1].value;
    };
    return await within(`\`${what}\` for the ${nth}. time`, enough()).catch((error) => {
      throw new Error(`${error.message}; it told ${JSON.stringify(this.#told)}`);
    });
  }

  count(what) {
    return this.#told.filter((one) => one.what === what).length;
  }
}

/** A client in JavaScript: `io` is the function of a version of the stock client. */
export const inJavaScript = (io) => (url, topic, token, transports) => {
  const life = new Life();
  const options = { forceNew: true, transports, reconnectionDelay: 50, reconnectionDelayMax: 200 };

  const refused = io(url, { ...options, reconnection: false, auth: { token: "forged" } });
  refused.on("connect_error", ({ message, data }) => {
    life.tell("refused", { message, data });
    refused.close();
  });

  const socket = io(url, { ...options, auth: { token } });
  socket.on("disconnect", (reason) => life.tell("gone", reason));
  socket.on(topic, ({ n }) => life.tell("received", n));
  socket.on("connect", () => {
    const { engine } = socket.io;
    if (engine.transport.name === transports.at(-1)) life.tell("connected", engine.transport.name);
    else engine.once("upgrade", () => life.tell("connected", engine.transport.name));
    socket.emit("subscribe", { channel: topic }, (ack) => {
      life.tell("subscribed", ack);
      socket.emit(topic, { n: 1 }, (ack) => life.tell("acked", ack));
    });
  });
  life.end = () => {
    refused.close();
    socket.close();
  };
  return life;
};

// What the program of a client tells, a line of JSON at a time.
function hear(child, life) {
  createInterface({ input: child.stdout }).on("line", (line) => {
    const { what, value } = JSON.parse(line);
    life.tell(what, value);
  });
}

/** A client in Python: `make` is `sync` or `asyncio`, `wishes` may be `recover`. */
export function inPython(make, ...wishes) {
  const env = { ...process.env, PYTHONPATH: pythonPackages(join(here, "requirements.txt")), PYTHONDONTWRITEBYTECODE: "1" };
  return (url, topic, token, transports) => {
    const life = new Life();
    const program = [join(here, "client.py"), make, url, topic, token, transports.join(","), ...wishes];
    const child = spawn("python3", program, { env, stdio: ["ignore", "pipe", "inherit"] });
    hear(child, life);
    child.once("exit", (code, signal) => life.tell("ended", code ?? signal));
    life.end = () => child.kill("SIGKILL");
    return life;
  };
}

/** A client in Rust: `make` is `sync` or `async`. */
export function inRust(make) {
  const program = rustClient();
  return (url, topic, token, transports) => {
    const life = new Life();
    const children = ["forged", token].map((token) => {
      const child = spawn(program, [make, url, topic, token, transports.join(",")], { stdio: ["ignore", "pipe", "inherit"] });
      hear(child, life);
      return child;
    });
    children[1].once("exit", (code, signal) => life.tell("ended", code ?? signal));
    life.end = () => children.forEach((child) => child.kill("SIGKILL"));
    return life;
  };
}

// The program of client-rust/, built below the target directory.
function rustClient() {
  const targetDirectory = join(target, "e2e-rust");
  const manifest = join(here, "client-rust/Cargo.toml");
  execFileSync(process.env.CARGO ?? "cargo", ["build", "--locked", "--quiet", "--manifest-path", manifest], {
    env: { ...process.env, CARGO_TARGET_DIR: targetDirectory },
    stdio: ["ignore", "ignore", "inherit"],
  });
  return join(targetDirectory, "debug", "tidegate-e2e-client");
}

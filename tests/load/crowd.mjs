// A process of readers, and what is asked of it.

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export class Crowd {
  #process;

  // Resolves when all of them are subscribed.
  static async gather(setting) {
    const crowd = new Crowd();
    crowd.#process = fork(fileURLToPath(new URL("readers.mjs", import.meta.url)), [JSON.stringify(setting)], { serialization: "advanced" });
    const died = once(crowd.#process, "exit").then(() => Promise.reject(new Error("the readers ended")));
    died.catch(() => {});
    await Promise.race([once(crowd.#process, "message"), died]);
    return crowd;
  }

  stall() {
    this.#process.send("stall");
  }

  reset() {
    this.#process.send("reset");
  }

  // What each has received.
  async report() {
    const answer = once(this.#process, "message");
    this.#process.send("report");
    return (await answer)[0];
  }

  end() {
    this.#process.disconnect();
  }
}

export const percentile = (figures, share) => {
  const sorted = Float64Array.from(figures).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
};

// Prints each aim with the figure, and answers whether all are met.
export function judge(aims) {
  const line = (...cells) => console.log(`| ${cells.join(" | ")} |`);
  line("", "measured", "aim", "");
  line("---", "---", "---", "---");
  for (const { what, measured, aim, met } of aims) line(what, measured, aim, met ? "met" : "**missed**");
  return aims.every(({ met }) => met);
}

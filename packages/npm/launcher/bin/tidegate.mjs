#!/usr/bin/env node
// Runs the program that the package of this machine brings, and ends as it ends.

import { spawn } from "node:child_process";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"];

function program() {
  const name = `@tidegate/server-${process.platform}-${process.arch}`;
  try {
    return fileURLToPath(import.meta.resolve(`${name}/bin/tidegate`));
  } catch {
    const { version } = process;
    console.error(`error: the package \`${name}\` with the program is not installed`);
    console.error("  caused by: npm installs it as an optional dependency, where there is one for the machine");
    console.error(`hint: install without \`--omit=optional\`; this is ${process.platform} on ${process.arch}, Node ${version}`);
    process.exit(69);
  }
}

const child = spawn(program(), process.argv.slice(2), { stdio: "inherit" });
for (const signal of FORWARDED) process.on(signal, () => child.kill(signal));

child.on("error", (error) => {
  console.error(`error: failed to run the program: ${error.message}`);
  process.exit(69);
});
child.on("exit", (code, signal) => {
  if (signal === null) process.exit(code);
  // A shell reads of a program that a signal ended from this process, not from the program.
  for (const forwarded of FORWARDED) process.removeAllListeners(forwarded);
  process.kill(process.pid, signal);
  // A signal that ends nobody here.
  process.exitCode = 128 + constants.signals[signal];
});

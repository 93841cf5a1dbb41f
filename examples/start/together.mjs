// Runs the parts of an example: one after the other, and on Ctrl-C in the opposite order to their end.

/**
 * `start(add)` starts the parts; each goes through `add`, which returns it. A part has `stop()`. An error ends what runs,
 * and the process with 1.
 */
export async function together(start) {
  const parts = [];
  const add = (part) => {
    parts.push(part);
    return part;
  };
  let stopping;
  const stop = () => (stopping ??= (async () => {
    for (const part of parts.reverse()) await part.stop();
  })());
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stop().then(() => process.exit(0)));
  try {
    await start(add);
  } catch (error) {
    if (stopping) return;
    console.error(`error: ${error.message}`);
    await stop();
    process.exit(1);
  }
}

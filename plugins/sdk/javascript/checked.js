// What crosses to the server must be of the contract's types: the engine traps on any other.

/** The text it should be. */
export const words = (name, value) => {
  if (typeof value === 'string') return value.toWellFormed?.() ?? value;
  throw new TypeError(`\`${name}\`: expected a text, found ${value === null ? 'null' : typeof value}`);
};

// Types of JavaScript hold only where they are checked.

const KINDS = {
  string: ['a text', (value) => typeof value === 'string'],
  number: ['a number', (value) => typeof value === 'number'],
  boolean: ['true or false', (value) => typeof value === 'boolean'],
  array: ['a list', Array.isArray],
  object: ['an object', (value) => typeof value === 'object' && value !== null && !Array.isArray(value)],
};

const named = (value) => {
  if (value === null) return 'null';
  return Object.values(KINDS).find(([, is]) => is(value))?.[0] ?? typeof value;
};

/** Why a member of an object is not of this kind; undefined where it is. */
export function wrong(object, name, kind) {
  if (named(object) !== 'an object') return `expected an object, found ${named(object)}`;
  if (!Object.hasOwn(object, name)) return `\`${name}\` is missing`;
  const [expected, is] = KINDS[kind];
  return is(object[name]) ? undefined : `\`${name}\`: expected ${expected}, found ${named(object[name])}`;
}

/** The text that crosses to the server: the engine traps on any other type than the contract's. */
export const words = (name, value) => {
  if (typeof value === 'string') return value.toWellFormed?.() ?? value;
  throw new TypeError(`\`${name}\`: expected a text, found ${value === null ? 'null' : typeof value}`);
};

// JSON as the contract means it: what JavaScript would change is refused.

// The digits of a whole number that may be another one as a number of JavaScript.
const MANY_DIGITS = /\d{16}/;
const TEXTS = /"(?:[^"\\]|\\.)*"/g;
const NUMBERS = /-?\d[\d.eE+-]*/g;

/** The value of a JSON text. A whole number that would come back as another one is refused, never rounded. */
export function read(json) {
  if (MANY_DIGITS.test(json)) json.replace(TEXTS, '""').match(NUMBERS)?.forEach(check);
  return JSON.parse(json);
}

function check(number) {
  if (/^-?\d{16,}$/.test(number) && String(Number(number)) !== number) {
    throw new RangeError(`${number} is larger than JavaScript holds exactly: have it sent as a text`);
  }
}

/** The JSON text of a value. */
export function text(value) {
  const json = JSON.stringify(value);
  // `undefined` and functions have no JSON: the answer is undefined, which the host could not read.
  if (json === undefined) throw new TypeError(`${typeof value} has no JSON`);
  // `null` may stand for a number that has no JSON.
  if (json.includes('null')) JSON.stringify(value, finite);
  return json;
}

function finite(key, value) {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new TypeError(`${key === '' ? '' : `\`${key}\`: `}${value} has no JSON`);
  }
  return value;
}

// Names: channels are templates, `vault.{vaultId}`; topics are concrete, `vault.v1`.

// What the server takes as the value of a param: one segment, nothing invisible in it.
const VALUE = /^[^\s\p{Cc}.{}\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]+$/u;
const BYTES_MAX = 255;

/** @type {typeof import("./index.js").topic} */
export function topic(channel, params) {
  const topic = channel.replace(/\{(\w+)\}/g, (_, name) => {
    const value = params?.[name];
    if (!isValue(value)) throw new TypeError(`\`${name}\` of \`${channel}\` must be one segment of a topic: not empty, no dot, space or brace; found ${JSON.stringify(value)}`);
    return value;
  });
  if (new TextEncoder().encode(topic).length > BYTES_MAX) throw new TypeError(`the topic of \`${channel}\` is longer than ${BYTES_MAX} bytes`);
  return topic;
}

const isValue = (value) => typeof value === "string" && VALUE.test(value);

/** Whether a topic is one of the channel with this template. */
export function matches(channel, topic) {
  const [expected, found] = [channel.split("."), topic.split(".")];
  const takes = (segment, place) => (segment.startsWith("{") ? isValue(found[place]) : segment === found[place]);
  return expected.length === found.length && topic.length <= BYTES_MAX && expected.every(takes);
}

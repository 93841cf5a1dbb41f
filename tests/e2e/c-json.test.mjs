// The C SDK's JSON, compiled for this machine, against what RFC 8259 says and JavaScript's own reader.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { LAYER, zig } from "../../plugins/sdk/c/compiler.mjs";
import { repository } from "@tidegate/kit/paths.mjs";

const sdk = join(repository, "plugins/sdk/c");
const DEPTH_MAX = 128;
const FOX = "🦊";

describe("JSON in C", () => {
  let scratch;
  before(() => {
    scratch = mkdtempSync(join(tmpdir(), "tidegate-c-json-"));
    const sources = [...LAYER, "test/json.c"].map((file) => join(sdk, file));
    // Undefined behaviour ends the program.
    const flags = ["-std=gnu17", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all", "-Wall", "-Wextra", "-Werror"];
    execFileSync(zig(), ["cc", ...flags, "-I", sdk, ...sources, "-lm", "-o", join(scratch, "json")], { stdio: "inherit" });
  });
  after(() => rmSync(scratch, { recursive: true, force: true }));

  // What the program says of each text; the last lines are about values that have no JSON.
  function told(texts) {
    const input = Buffer.concat(texts.flatMap((text) => {
      const bytes = Buffer.from(text);
      const size = Buffer.alloc(4);
      size.writeUInt32LE(bytes.length);
      return [size, bytes];
    }));
    const lines = execFileSync(join(scratch, "json"), { input, maxBuffer: 1 << 28, encoding: "utf8" }).split("\n");
    const answers = lines.slice(0, texts.length).map((line) => {
      const [verdict, printed, whole, double, text, rebuilt] = line.split("\t");
      return verdict === "right" ? { printed, whole, double, text, rebuilt } : { why: printed };
    });
    return { answers, unwritable: lines.slice(texts.length, -1) };
  }
  const one = (text) => told([text]).answers[0];

  test("what is JSON is read, and comes back as it was", () => {
    const texts = [
      "null", "true", "false", " \t\r\n[ ]\n", "{}", '""', "0", "-0", "-0.0", "12", "1.5e+3", "1E-7", "[[],{},[{}]]",
      '{"a":{"b":[1,2,{"c":null}]},"":0}', '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83e\\udd8a"', `"é ${FOX} \u2028 \u007f"`,
      '"\\u0000"', '{"\\u0000":1}', `["${"x".repeat(100_000)}"]`, "[".repeat(DEPTH_MAX) + "]".repeat(DEPTH_MAX),
      JSON.stringify(Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`key ${(n * 7919) % 1000}`, n]))),
    ];
    told(texts).answers.forEach(({ why, printed }, at) => {
      assert.equal(why, undefined, texts[at]);
      assert.deepEqual(JSON.parse(printed), JSON.parse(texts[at]));
    });
  });

  test("what is no JSON is refused, with the place", () => {
    const wrong = [
      "", " ", "nul", "True", "NaN", "Infinity", "+1", "01", "-", "-a", "1.", ".5", "1e", "1e+", "0x1", "1 2", "[1,]", "[,1]", "[1",
      "]", "{", '{"a"}', '{"a":}', '{"a":1,}', "{a:1}", "{1:1}", "'a'", '"a', '"\\x"', '"\\u12"', '"\\u12g4"', '"\\ud83e"',
      '"\\ud83ex"', '"\\ud83e\\n"', '"\\ud83e\\u0041"', '"\\udd8a"', '"\n"', '"\u0000"', "\ufeff1", "[1]x", "1/**/", "\u00a01", "\u0000",
    ];
    told(wrong).answers.forEach(({ why, printed }, at) => {
      assert.equal(printed, undefined, wrong[at]);
      assert.match(why, /^byte \d+: ./);
    });
    assert.equal(one("[1 2]").why, "byte 3: expected `,` or `]`");
  });

  test("text that is no UTF-8 is refused", () => {
    for (const bytes of [[0xff], [0x80], [0xc0, 0x80], [0xc3], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xf0, 0x80, 0x80, 0x80],
      [0xf4, 0x90, 0x80, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xe2, 0x82]]) {
      assert.match(one(Buffer.from([0x22, ...bytes, 0x22])).why, /no UTF-8/, `${bytes}`);
    }
  });

  test("a name that stands twice is refused, however it is written and in however large an object", () => {
    const many = (last) => `{${Array.from({ length: 50 }, (_, n) => `"k${n}":${n}`).join()},"${last}":0}`;
    for (const text of ['{"a":1,"a":1}', '{"a":1,"b":2,"\\u0061":1}', '[{"":0,"":0}]', many("k7")]) {
      assert.match(one(text).why, /has a name twice/, text);
    }
    assert.equal(one(many("k50")).why, undefined);
    assert.equal(one('{"a":{"a":1},"A":1}').why, undefined);
  });

  test("deeper than the limit is refused, and does not use up the stack", () => {
    for (const [open, close] of [["[", "]"], ['{"a":', "}"]]) {
      const nested = (depth) => open.repeat(depth) + "1" + close.repeat(depth);
      assert.equal(one(nested(DEPTH_MAX)).why, undefined);
      assert.match(one(nested(DEPTH_MAX + 1)).why, /nested too deep/);
      assert.match(one(open.repeat(200_000)).why, /nested too deep/);
    }
  });

  test("whole numbers of 64 bits are exact, and no number changes on its way through", () => {
    for (const [text, whole, double] of [
      ["9223372036854775807", "9223372036854775807", 9223372036854775807],
      ["-9223372036854775808", "-9223372036854775808", -9223372036854775808],
      ["9223372036854775808", "-", 9223372036854775808],
      ["9007199254740993", "9007199254740993", 9007199254740992],
      ["1.0", "1", 1], ["1e2", "100", 100], ["-0", "0", -0], ["1.5", "-", 1.5], ["1e300", "-", 1e300], ["1e-400", "0", 0],
      ["0.1", "-", 0.1], ["5e-324", "-", 5e-324], ["1.7976931348623157e308", "-", 1.7976931348623157e308],
      ["123456789012345678901234567890", "-", 123456789012345678901234567890],
    ]) {
      const told = one(text);
      assert.deepEqual([told.printed, told.whole, Number(told.double)], [text, whole, double], text);
      assert.equal(Number(told.rebuilt), double, "a double is written so that it is read as the same");
    }
    assert.deepEqual([one("1e400").printed, one("1e400").double], ["1e400", "-"]);
  });

  test("a string with a NUL is no C string", () => {
    assert.equal(one('"a\\u0000b"').text, "no text");
    assert.equal(one('"a b"').text, "text");
  });

  test("what has no JSON is not written", () => {
    const infinite = "a number is not finite";
    const [text, deep] = ["a text is no UTF-8", "it is nested too deep"];
    assert.deepEqual(told([]).unwritable, [infinite, infinite, text, text, deep, deep, "null"]);
  });

  test("it agrees with JavaScript on thousands of damaged texts", () => {
    const seeds = [
      '{"a":[1,-2.5e3,true,null,{"b":"\\u00e9\\ud83e\\udd8a\\n"}],"c":"text","d":{"e":0,"f":[]}}', '[[["x"],1e5],{"k":"v","l":-0.5}]',
      `{"${FOX}":"é","n":12345678901,"t":[false,"\\\\"]}`,
    ];
    let state = 4711;
    const random = (below) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return (state >>> 8) % below;
    };
    const alphabet = [...'{}[]",:\\ue0123456789.-+Etrufalsn \t'];
    const texts = Array.from({ length: 20_000 }, (_, at) => {
      const chars = [...seeds[at % seeds.length]];
      for (let edits = 1 + random(3); edits > 0; edits -= 1) chars.splice(random(chars.length), random(3), alphabet[random(alphabet.length)]);
      return chars.join("");
    });
    let right = 0;
    told(texts).answers.forEach(({ why, printed, rebuilt }, at) => {
      const value = parsed(texts[at]);
      // Where JavaScript is less strict.
      if (/has a name twice|half of a surrogate pair/.test(why)) return;
      assert.equal(why === undefined, value !== undefined, `${texts[at]}: ${why}`);
      if (value === undefined) return;
      right += 1;
      assert.deepEqual(JSON.parse(printed), value.it);
      if (!/e\d{3}/i.test(texts[at])) assert.deepEqual(JSON.parse(rebuilt), value.it);
    });
    assert.ok(right > 1000, `${right} were JSON`);
  });
});

function parsed(text) {
  try {
    return { it: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

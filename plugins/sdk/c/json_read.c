/* Reads JSON text. Strings are unescaped where they stand, in a copy of the text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "json_value.h"
#include "memory.h"

/* An object with more members gets them sorted: to find one, and a name that stands twice, quickly, whatever a client sends. */
enum { PLAIN_MAX = 8 };
static const char TWINS[] = "the object before has a name twice";

typedef struct {
  char *begin, *at, *end;
  unsigned depth;
  const char *error;
} reader;

static bool read_value(reader *reader, tg_json *value);

static bool fail(reader *reader, const char *error) {
  if (!reader->error) reader->error = error;
  return false;
}

static void skip_space(reader *reader) {
  while (reader->at < reader->end && strchr(" \t\n\r", *reader->at) && *reader->at) reader->at++;
}

static char peek(const reader *reader) { return reader->at < reader->end ? *reader->at : 0; }

static bool take(reader *reader, char wanted) {
  if (peek(reader) != wanted || reader->at == reader->end) return false;
  reader->at++;
  return true;
}

/* ---- Strings. ---- */

static bool read_hex(reader *reader, unsigned *unit) {
  if (reader->end - reader->at < 4) return fail(reader, "an escape that is cut short");
  *unit = 0;
  for (int i = 0; i < 4; i++, reader->at++) {
    char c = *reader->at;
    unsigned digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
    if (digit == 16) return fail(reader, "an escape that is no `\\u` with four digits");
    *unit = *unit * 16 + digit;
  }
  return true;
}

static char *put_utf8(char *to, unsigned point) {
  if (point < 0x80) {
    *to++ = (char)point;
  } else if (point < 0x800) {
    *to++ = (char)(0xc0 | point >> 6);
    *to++ = (char)(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    *to++ = (char)(0xe0 | point >> 12);
    *to++ = (char)(0x80 | (point >> 6 & 0x3f));
    *to++ = (char)(0x80 | (point & 0x3f));
  } else {
    *to++ = (char)(0xf0 | point >> 18);
    *to++ = (char)(0x80 | (point >> 12 & 0x3f));
    *to++ = (char)(0x80 | (point >> 6 & 0x3f));
    *to++ = (char)(0x80 | (point & 0x3f));
  }
  return to;
}

/* After `\u`. What it stands for is never longer than how it was written. */
static char *read_unicode(reader *reader, char *to) {
  unsigned point, low;
  if (!read_hex(reader, &point)) return NULL;
  if (point >= 0xdc00 && point <= 0xdfff) return fail(reader, "half of a surrogate pair"), NULL;
  if (point >= 0xd800 && point <= 0xdbff) {
    if (!take(reader, '\\') || !take(reader, 'u')) return fail(reader, "half of a surrogate pair"), NULL;
    if (!read_hex(reader, &low)) return NULL;
    if (low < 0xdc00 || low > 0xdfff) return fail(reader, "half of a surrogate pair"), NULL;
    point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
  }
  return put_utf8(to, point);
}

static char *read_escape(reader *reader, char *to) {
  static const char escapes[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
  char c = peek(reader);
  if (take(reader, 'u')) return read_unicode(reader, to);
  const char *escape = c ? strchr(escapes, c) : NULL;
  if (!escape) return fail(reader, "an escape that JSON does not have"), NULL;
  reader->at++;
  *to = meanings[escape - escapes];
  return to + 1;
}

/* After the opening quote. The string gets a NUL where its closing quote or its escapes stood. */
static bool read_string(reader *reader, const char **bytes, size_t *len) {
  char *begin = reader->at, *to = begin;
  while (reader->at < reader->end) {
    unsigned char c = (unsigned char)*reader->at;
    if (c == '"') {
      reader->at++;
      *to = 0;
      *bytes = begin;
      *len = (size_t)(to - begin);
      return true;
    }
    if (c < 0x20) return fail(reader, "a control character that is not escaped");
    if (c == '\\') {
      reader->at++;
      to = read_escape(reader, to);
      if (!to) return false;
      continue;
    }
    size_t wide = tg_json_utf8((const unsigned char *)reader->at, (size_t)(reader->end - reader->at));
    if (!wide) return fail(reader, "text that is no UTF-8");
    memmove(to, reader->at, wide);
    to += wide;
    reader->at += wide;
  }
  return fail(reader, "a string without its end");
}

/* ---- Numbers and words. ---- */

static bool skip_digits(reader *reader) {
  char *begin = reader->at;
  while (peek(reader) >= '0' && peek(reader) <= '9') reader->at++;
  return reader->at > begin || fail(reader, "a number without its digits");
}

static bool read_number(reader *reader, tg_json *value) {
  char *begin = reader->at;
  take(reader, '-');
  if (take(reader, '0')) {
    if (peek(reader) >= '0' && peek(reader) <= '9') return fail(reader, "a number that begins with 0");
  } else if (!skip_digits(reader)) {
    return false;
  }
  if (take(reader, '.') && !skip_digits(reader)) return false;
  if (take(reader, 'e') || take(reader, 'E')) {
    if (!take(reader, '+')) take(reader, '-');
    if (!skip_digits(reader)) return false;
  }
  *value = (tg_json){.type = TG_NUMBER, .text = {begin, (size_t)(reader->at - begin)}};
  return true;
}

static bool read_word(reader *reader, const char *word, tg_json *value, tg_json meant) {
  size_t len = strlen(word);
  if ((size_t)(reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0) return fail(reader, "no value");
  reader->at += len;
  *value = meant;
  return true;
}

/* ---- Arrays and objects. ---- */

/* A member with its value, in one piece. */
typedef struct {
  tg_member member;
  tg_json value;
} pair;

static bool read_items(reader *reader, tg_json *value) {
  *value = (tg_json){.type = TG_ARRAY};
  skip_space(reader);
  if (take(reader, ']')) return true;
  do {
    pair *item = tg_alloc(sizeof *item);
    if (!read_value(reader, &item->value)) return false;
    tg_json_append(value, &item->member, NULL, 0, &item->value);
    skip_space(reader);
  } while (take(reader, ','));
  return take(reader, ']') || fail(reader, "expected `,` or `]`");
}

static int by_key(const void *left, const void *right) {
  const tg_member *l = *(tg_member *const *)left, *r = *(tg_member *const *)right;
  return tg_json_order(l->key, l->key_len, r->key, r->key_len);
}

static bool has_twins(const tg_json *object) {
  tg_each (left, object)
    for (const tg_item *right = left->next; right; right = right->next)
      if (by_key(&(const tg_item *){left}, &(const tg_item *){right}) == 0) return true;
  return false;
}

/* Sorts the members of a large object. A name must not stand twice. */
static bool settle(reader *reader, tg_json *object) {
  size_t count = object->items.count, i = 0;
  if (count <= PLAIN_MAX) return !has_twins(object) || fail(reader, TWINS);
  tg_member **sorted = tg_alloc_many(count, sizeof *sorted);
  tg_each (item, object) sorted[i++] = (tg_member *)item;
  qsort(sorted, count, sizeof *sorted, by_key);
  for (i = 1; i < count; i++)
    if (by_key(&sorted[i - 1], &sorted[i]) == 0) return fail(reader, TWINS);
  object->items.sorted = sorted;
  return true;
}

static bool read_members(reader *reader, tg_json *value) {
  *value = (tg_json){.type = TG_OBJECT};
  skip_space(reader);
  if (take(reader, '}')) return true;
  do {
    const char *key;
    size_t key_len;
    pair *member = tg_alloc(sizeof *member);
    skip_space(reader);
    if (!take(reader, '"')) return fail(reader, "expected a name in quotes");
    if (!read_string(reader, &key, &key_len)) return false;
    skip_space(reader);
    if (!take(reader, ':')) return fail(reader, "expected `:`");
    if (!read_value(reader, &member->value)) return false;
    tg_json_append(value, &member->member, key, key_len, &member->value);
    skip_space(reader);
  } while (take(reader, ','));
  if (!take(reader, '}')) return fail(reader, "expected `,` or `}`");
  return settle(reader, value);
}

static bool read_container(reader *reader, tg_json *value) {
  if (reader->depth == TG_JSON_DEPTH_MAX) return fail(reader, "nested too deep");
  reader->depth++;
  bool is_array = *reader->at++ == '[';
  bool read = is_array ? read_items(reader, value) : read_members(reader, value);
  reader->depth--;
  return read;
}

static bool read_value(reader *reader, tg_json *value) {
  skip_space(reader);
  switch (peek(reader)) {
    case '{':
    case '[':
      return read_container(reader, value);
    case '"':
      reader->at++;
      *value = (tg_json){.type = TG_STRING};
      return read_string(reader, &value->text.bytes, &value->text.len);
    case 't':
      return read_word(reader, "true", value, (tg_json){.type = TG_BOOL, .truth = true});
    case 'f':
      return read_word(reader, "false", value, (tg_json){.type = TG_BOOL});
    case 'n':
      return read_word(reader, "null", value, (tg_json){.type = TG_NULL});
    case '-':
    case '0' ... '9':
      return read_number(reader, value);
    default:
      return fail(reader, "no value");
  }
}

const tg_json *tg_parse(const char *text, size_t len, const char **why) {
  char *copy = tg_alloc(len + 1);
  if (len) memcpy(copy, text, len);
  copy[len] = 0;
  reader reader = {.begin = copy, .at = copy, .end = copy + len};
  tg_json *value = tg_alloc(sizeof *value);
  if (read_value(&reader, value)) {
    skip_space(&reader);
    if (reader.at == reader.end) return value;
    fail(&reader, "more than one value");
  }
  if (why) {
    static const size_t room = 128;
    char *sentence = tg_alloc(room);
    snprintf(sentence, room, "byte %zu: %s", (size_t)(reader.at - reader.begin), reader.error);
    *why = sentence;
  }
  return NULL;
}

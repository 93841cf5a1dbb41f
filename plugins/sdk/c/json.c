/* JSON values: looking into them and making them. */
#include "json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_value.h"
#include "memory.h"

/* Doubles hold every whole number up to here. */
static const double EXACT_MAX = 9007199254740992.0;

size_t tg_json_utf8(const unsigned char *text, size_t len) {
  unsigned char first = text[0];
  if (first < 0x80) return 1;
  size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
  if (first < 0xc2 || first > 0xf4 || len <= more) return 0;
  for (size_t i = 1; i <= more; i++)
    if ((text[i] & 0xc0) != 0x80) return 0;
  /* Longer than it need be, half of a surrogate pair, or beyond the last character. */
  if (first == 0xe0 && text[1] < 0xa0) return 0;
  if (first == 0xed && text[1] > 0x9f) return 0;
  if (first == 0xf0 && text[1] < 0x90) return 0;
  if (first == 0xf4 && text[1] > 0x8f) return 0;
  return more + 1;
}

int tg_json_order(const char *left, size_t left_len, const char *right, size_t right_len) {
  size_t shorter = left_len < right_len ? left_len : right_len;
  int order = shorter ? memcmp(left, right, shorter) : 0;
  return order ? order : (left_len > right_len) - (left_len < right_len);
}

void tg_json_append(tg_json *container, tg_member *member, const char *key, size_t key_len, const tg_json *value) {
  const char *c_key = key && !memchr(key, 0, key_len) ? key : NULL;
  *member = (tg_member){.item = {.key = c_key, .value = value}, .key = key, .key_len = key_len};
  if (container->items.last)
    container->items.last->item.next = &member->item;
  else
    container->items.first = member;
  container->items.last = member;
  container->items.count++;
}

/* ---- Reading. ---- */

bool tg_is(const tg_json *value, tg_type type) { return value && value->type == type; }

static bool holds_items(const tg_json *value) { return tg_is(value, TG_ARRAY) || tg_is(value, TG_OBJECT); }

const tg_item *tg_first(const tg_json *container) {
  return holds_items(container) && container->items.first ? &container->items.first->item : NULL;
}

size_t tg_count(const tg_json *value) { return holds_items(value) ? value->items.count : 0; }

static const tg_member *searched(const tg_json *object, const char *key, size_t len) {
  size_t low = 0, high = object->items.count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const tg_member *member = object->items.sorted[middle];
    int order = tg_json_order(key, len, member->key, member->key_len);
    if (order == 0) return member;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

static const tg_member *found(const tg_json *object, const char *key) {
  if (!tg_is(object, TG_OBJECT) || !key) return NULL;
  size_t len = strlen(key);
  if (object->items.sorted) return searched(object, key, len);
  /* An item is the beginning of its member. */
  tg_each (item, object) {
    const tg_member *member = (const tg_member *)item;
    if (tg_json_order(key, len, member->key, member->key_len) == 0) return member;
  }
  return NULL;
}

const tg_json *tg_get(const tg_json *object, const char *key) {
  const tg_member *member = found(object, key);
  return member ? member->item.value : NULL;
}

const tg_json *tg_at(const tg_json *array, size_t index) {
  if (!tg_is(array, TG_ARRAY)) return NULL;
  tg_each (item, array)
    if (index-- == 0) return item->value;
  return NULL;
}

const char *tg_text_len(const tg_json *value, size_t *len) {
  if (!tg_is(value, TG_STRING)) return NULL;
  *len = value->text.len;
  return value->text.bytes;
}

const char *tg_text(const tg_json *value) {
  size_t len;
  const char *text = tg_text_len(value, &len);
  return text && !memchr(text, 0, len) ? text : NULL;
}

bool tg_to_double(const tg_json *value, double *number) {
  if (!tg_is(value, TG_NUMBER) || !value->text.bytes) return false;
  /* It ends where the number does, at a delimiter of JSON or the NUL after the text. */
  double read = strtod(value->text.bytes, NULL);
  if (!isfinite(read)) return false;
  *number = read;
  return true;
}

static bool has_fraction(const tg_json *number) {
  for (size_t i = 0; i < number->text.len; i++)
    if (strchr(".eE", number->text.bytes[i])) return true;
  return false;
}

bool tg_to_int(const tg_json *value, int64_t *number) {
  if (!tg_is(value, TG_NUMBER) || !value->text.bytes) return false;
  if (has_fraction(value)) {
    double read;
    if (!tg_to_double(value, &read) || fabs(read) > EXACT_MAX || read != trunc(read)) return false;
    *number = (int64_t)read;
    return true;
  }
  errno = 0;
  long long read = strtoll(value->text.bytes, NULL, 10);
  if (errno) return false;
  *number = read;
  return true;
}

bool tg_to_bool(const tg_json *value, bool *truth) {
  if (!tg_is(value, TG_BOOL)) return false;
  *truth = value->truth;
  return true;
}

const char *tg_get_text(const tg_json *object, const char *key) { return tg_text(tg_get(object, key)); }
bool tg_get_int(const tg_json *object, const char *key, int64_t *number) { return tg_to_int(tg_get(object, key), number); }
bool tg_get_double(const tg_json *object, const char *key, double *number) {
  return tg_to_double(tg_get(object, key), number);
}
bool tg_get_bool(const tg_json *object, const char *key, bool *truth) { return tg_to_bool(tg_get(object, key), truth); }

/* ---- Making. ---- */

static tg_json *made(tg_type type) {
  tg_json *value = tg_alloc(sizeof *value);
  *value = (tg_json){.type = type};
  return value;
}

static const char *copied(const char *text, size_t len) {
  char *copy = tg_alloc(len + 1);
  if (len) memcpy(copy, text, len);
  copy[len] = 0;
  return copy;
}

tg_json *tg_null(void) { return made(TG_NULL); }

tg_json *tg_bool(bool truth) {
  tg_json *value = made(TG_BOOL);
  value->truth = truth;
  return value;
}

static tg_json *number(const char *literal) {
  tg_json *value = made(TG_NUMBER);
  value->text.len = strlen(literal);
  value->text.bytes = copied(literal, value->text.len);
  return value;
}

tg_json *tg_int(int64_t of) {
  char literal[24];
  snprintf(literal, sizeof literal, "%lld", (long long)of);
  return number(literal);
}

tg_json *tg_double(double of) {
  if (!isfinite(of)) return made(TG_NUMBER);
  char literal[32];
  /* The fewest digits that are read as the same number; 17 always are. */
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(literal, sizeof literal, "%.*g", digits, of);
    if (strtod(literal, NULL) == of) break;
  }
  return number(literal);
}

tg_json *tg_string_len(const char *text, size_t len) {
  tg_json *value = made(TG_STRING);
  value->text.bytes = copied(text, len);
  value->text.len = len;
  return value;
}

tg_json *tg_string(const char *text) { return text ? tg_string_len(text, strlen(text)) : tg_null(); }
tg_json *tg_array(void) { return made(TG_ARRAY); }
tg_json *tg_object(void) { return made(TG_OBJECT); }

tg_json *tg_push(tg_json *array, const tg_json *value) {
  if (!tg_is(array, TG_ARRAY)) tg_panic("tg_push: this is no array");
  tg_json_append(array, tg_alloc(sizeof(tg_member)), NULL, 0, value ? value : tg_null());
  return array;
}

tg_json *tg_set(tg_json *object, const char *key, const tg_json *value) {
  if (!tg_is(object, TG_OBJECT) || !key) tg_panic("tg_set: this is no object, or no key");
  if (!value) value = tg_null();
  tg_member *member = (tg_member *)found(object, key);
  if (member) {
    member->item.value = value;
    return object;
  }
  size_t len = strlen(key);
  object->items.sorted = NULL;
  tg_json_append(object, tg_alloc(sizeof *member), copied(key, len), len, value);
  return object;
}

tg_json *tg_set_text(tg_json *object, const char *key, const char *text) { return tg_set(object, key, tg_string(text)); }
tg_json *tg_set_int(tg_json *object, const char *key, int64_t of) { return tg_set(object, key, tg_int(of)); }
tg_json *tg_set_double(tg_json *object, const char *key, double of) { return tg_set(object, key, tg_double(of)); }
tg_json *tg_set_bool(tg_json *object, const char *key, bool truth) { return tg_set(object, key, tg_bool(truth)); }

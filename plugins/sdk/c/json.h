/* JSON as RFC 8259 has it, to the letter. A value lives until the call ends and must not be freed or kept; it may stand
 * in several others. Whatever reads takes NULL, which is what is not there: `tg_get(tg_get(payload, "a"), "b")`. */
#ifndef TIDEGATE_JSON_H
#define TIDEGATE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As deep as arrays and objects may stand in one another, as in the host's own reader. */
#define TG_JSON_DEPTH_MAX 128

typedef struct tg_json tg_json;
typedef enum { TG_NULL, TG_BOOL, TG_NUMBER, TG_STRING, TG_ARRAY, TG_OBJECT } tg_type;

/* ---- Reading. ---- */

/* The value of a text of `len` bytes, or NULL, and then `*why` (which may be NULL) says what is wrong and where. A name
 * that an object has twice is wrong, as is text without UTF-8, half of a surrogate pair, or anything after the value. */
const tg_json *tg_parse(const char *text, size_t len, const char **why);

/* Whether the value is there and is one of these. */
bool tg_is(const tg_json *value, tg_type type);
/* The member of an object, or NULL. */
const tg_json *tg_get(const tg_json *object, const char *key);
/* The item of an array, from 0, or NULL. */
const tg_json *tg_at(const tg_json *array, size_t index);
/* How many items an array has, or members an object; 0 of anything else. */
size_t tg_count(const tg_json *value);

/* The string, or NULL where it is none or holds a NUL: as a C string it would be another, shorter one. */
const char *tg_text(const tg_json *value);
/* The string with its length in bytes, NULs and all, or NULL. */
const char *tg_text_len(const tg_json *value, size_t *len);
/* Whether it is a whole number that fits (`1.0` and `1e2` are whole); then `*number` is it. */
bool tg_to_int(const tg_json *value, int64_t *number);
/* Whether it is a number that a double can hold, rounded; then `*number` is it. */
bool tg_to_double(const tg_json *value, double *number);
/* Whether it is true or false; then `*truth` is which. */
bool tg_to_bool(const tg_json *value, bool *truth);

/* The same of a member. */
const char *tg_get_text(const tg_json *object, const char *key);
bool tg_get_int(const tg_json *object, const char *key, int64_t *number);
bool tg_get_double(const tg_json *object, const char *key, double *number);
bool tg_get_bool(const tg_json *object, const char *key, bool *truth);

/* What an array or an object holds, in order. `key` is NULL in an array, and where it holds a NUL. */
typedef struct tg_item {
  const char *key;
  const tg_json *value;
  const struct tg_item *next;
} tg_item;

const tg_item *tg_first(const tg_json *container);
/* `tg_each (item, array) use(item->value);` */
#define tg_each(item, container) for (const tg_item *item = tg_first(container); item; item = item->next)

/* ---- Making. A NULL where a value is wanted is `null`. ---- */

tg_json *tg_null(void);
tg_json *tg_bool(bool truth);
tg_json *tg_int(int64_t number);
/* What is not finite has no JSON: see tg_print. */
tg_json *tg_double(double number);
/* A copy of the string. */
tg_json *tg_string(const char *text);
tg_json *tg_string_len(const char *text, size_t len);
tg_json *tg_array(void);
tg_json *tg_object(void);

/* Puts a value at the end. Returns the array. */
tg_json *tg_push(tg_json *array, const tg_json *value);
/* Sets a member; one that is there is replaced. Looks at each member. Returns the object. */
tg_json *tg_set(tg_json *object, const char *key, const tg_json *value);
tg_json *tg_set_text(tg_json *object, const char *key, const char *text);
tg_json *tg_set_int(tg_json *object, const char *key, int64_t number);
tg_json *tg_set_double(tg_json *object, const char *key, double number);
tg_json *tg_set_bool(tg_json *object, const char *key, bool truth);

/* The shortest text of a value, or NULL, and then `*why` (which may be NULL) says why it has none: text that is no UTF-8,
 * a number that is not finite, or deeper than TG_JSON_DEPTH_MAX. A number that was read is written as it stood. */
const char *tg_print(const tg_json *value, const char **why);

#endif

/* What a JSON value is made of: for the files of the reader and the writer, not for plugins. */
#ifndef TIDEGATE_JSON_VALUE_H
#define TIDEGATE_JSON_VALUE_H

#include "json.h"

/* An item with the length of its key, which tg_item cannot say. */
typedef struct tg_member {
  tg_item item;
  const char *key;
  size_t key_len;
} tg_member;

struct tg_json {
  tg_type type;
  bool truth;
  union {
    /* A string. Or a number, as it is written; NULL where it has no JSON. A byte after the end is always readable. */
    struct {
      const char *bytes;
      size_t len;
    } text;
    struct {
      tg_member *first, *last;
      size_t count;
      /* The members in the order of their keys, where the reader found many. */
      tg_member **sorted;
    } items;
  };
};

/* Puts a member at the end. The key, not copied, is NULL in an array. */
void tg_json_append(tg_json *container, tg_member *member, const char *key, size_t key_len, const tg_json *value);
/* The order of keys: negative, 0 or positive. */
int tg_json_order(const char *left, size_t left_len, const char *right, size_t right_len);
/* How many bytes of UTF-8 the first character has, of `len` there are; 0 where it is none. */
size_t tg_json_utf8(const unsigned char *text, size_t len);

#endif

/* Writes JSON text. */
#include <string.h>

#include "json.h"
#include "json_value.h"
#include "memory.h"

typedef struct {
  char *text;
  size_t len, room;
  unsigned depth;
  const char *error;
} writer;

static void put(writer *writer, const char *bytes, size_t len) {
  if (writer->room - writer->len < len) {
    size_t room = (writer->len + len) * 2 + 64;
    writer->text = tg_alloc_grown(writer->text, writer->room, room);
    writer->room = room;
  }
  if (len) memcpy(writer->text + writer->len, bytes, len);
  writer->len += len;
}

static void put_word(writer *writer, const char *word) { put(writer, word, strlen(word)); }

static void put_escape(writer *writer, unsigned char c) {
  static const char controls[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\", digits[] = "0123456789abcdef";
  const char *at = c ? strchr(controls, c) : NULL;
  if (at)
    put(writer, (char[]){'\\', letters[at - controls]}, 2);
  else
    put(writer, (char[]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]}, 6);
}

static bool put_string(writer *writer, const char *text, size_t len) {
  const unsigned char *bytes = (const unsigned char *)text;
  size_t plain = 0;
  put(writer, "\"", 1);
  for (size_t i = 0; i < len;) {
    size_t wide = tg_json_utf8(bytes + i, len - i);
    if (!wide) {
      writer->error = "a text is no UTF-8";
      return false;
    }
    if (bytes[i] < 0x20 || bytes[i] == '"' || bytes[i] == '\\') {
      put(writer, text + plain, i - plain);
      put_escape(writer, bytes[i]);
      plain = i + 1;
    }
    i += wide;
  }
  put(writer, text + plain, len - plain);
  put(writer, "\"", 1);
  return true;
}

static bool put_value(writer *writer, const tg_json *value);

static bool put_items(writer *writer, const tg_json *container) {
  bool is_object = container->type == TG_OBJECT, first = true;
  if (writer->depth == TG_JSON_DEPTH_MAX) {
    writer->error = "it is nested too deep";
    return false;
  }
  writer->depth++;
  put_word(writer, is_object ? "{" : "[");
  tg_each (item, container) {
    const tg_member *member = (const tg_member *)item;
    if (!first) put_word(writer, ",");
    first = false;
    if (is_object) {
      if (!put_string(writer, member->key, member->key_len)) return false;
      put_word(writer, ":");
    }
    if (!put_value(writer, item->value)) return false;
  }
  put_word(writer, is_object ? "}" : "]");
  writer->depth--;
  return true;
}

static bool put_value(writer *writer, const tg_json *value) {
  switch (value->type) {
    case TG_NULL:
      put_word(writer, "null");
      return true;
    case TG_BOOL:
      put_word(writer, value->truth ? "true" : "false");
      return true;
    case TG_NUMBER:
      if (!value->text.bytes) {
        writer->error = "a number is not finite";
        return false;
      }
      put(writer, value->text.bytes, value->text.len);
      return true;
    case TG_STRING:
      return put_string(writer, value->text.bytes, value->text.len);
    default:
      return put_items(writer, value);
  }
}

const char *tg_print(const tg_json *value, const char **why) {
  writer writer = {0};
  if (put_value(&writer, value ? value : tg_null())) {
    put(&writer, "", 1);
    return writer.text;
  }
  if (why) *why = writer.error;
  return NULL;
}

/* Reads texts from standard input, each after its length (four bytes, the lowest first), and says of each what the
 * reader and the writer make of it: for `tests/e2e/c-json.test.mjs`, which knows what they should. */
#include "json.h"

#include <stdio.h>
#include <stdlib.h>

#include "memory.h"

void tg_panic(const char *sentence) {
  fprintf(stderr, "%s\n", sentence);
  abort();
}

/* The value made anew with what a plugin has for it. */
static const tg_json *rebuilt(const tg_json *value) {
  bool truth;
  double number;
  size_t len;
  const char *text = tg_text_len(value, &len);
  if (text) return tg_string_len(text, len);
  if (tg_to_bool(value, &truth)) return tg_bool(truth);
  if (tg_to_double(value, &number)) return tg_double(number);
  if (tg_is(value, TG_ARRAY)) {
    tg_json *array = tg_array();
    tg_each (item, value) tg_push(array, rebuilt(item->value));
    return array;
  }
  if (!tg_is(value, TG_OBJECT)) return value;
  tg_json *object = tg_object();
  tg_each (item, value) {
    /* Found by its name as well as in its turn; one with a NUL has no C string. */
    if (item->key && tg_get(value, item->key) != item->value) tg_panic("another member has its name");
    if (item->key) tg_set(object, item->key, rebuilt(item->value));
  }
  return object;
}

static void tell(const char *text, size_t len) {
  const char *why;
  const tg_json *value = tg_parse(text, len, &why);
  if (!value) {
    printf("wrong\t%s\n", why);
    return;
  }
  int64_t whole;
  double number;
  printf("right\t%s\t", tg_print(value, NULL));
  tg_to_int(value, &whole) ? printf("%lld\t", (long long)whole) : printf("-\t");
  tg_to_double(value, &number) ? printf("%.17g\t", number) : printf("-\t");
  const char *c_string = tg_text(value);
  printf("%s\t", tg_is(value, TG_STRING) ? c_string ? "text" : "no text" : "-");
  printf("%s\n", tg_print(rebuilt(value), NULL));
}

/* What has no JSON says so. */
static void tell_unwritable(void) {
  const char *why;
  tg_json *deep = tg_array();
  for (int i = 0; i < 200; i++) deep = tg_push(tg_array(), deep);
  tg_json *itself = tg_array();
  tg_push(itself, itself);
  const tg_json *values[] = {tg_double(0.0 / 0.0), tg_push(tg_array(), tg_double(1 / 0.0)), tg_string("\xed\xa0\x80"),
                             tg_set_int(tg_object(), "\xff", 1), deep, itself};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    printf("%s\n", tg_print(values[i], &why) ? "written" : why);
  printf("%s\n", tg_print(NULL, NULL));
  tg_free_all();
}

int main(void) {
  unsigned char size[4];
  while (fread(size, 1, 4, stdin) == 4) {
    size_t len = size[0] | size[1] << 8 | size[2] << 16 | (size_t)size[3] << 24;
    char *text = malloc(len ? len : 1);
    if (!text || fread(text, 1, len, stdin) != len) return 1;
    tell(text, len);
    free(text);
    tg_free_all();
  }
  tell_unwritable();
  return 0;
}

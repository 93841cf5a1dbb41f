/* What the kinds share: lifting what the host passes, lowering what it gets. Not for plugins. */
#ifndef TIDEGATE_CALL_H
#define TIDEGATE_CALL_H

#include <stdarg.h>

#include "abi.h"
#include "tidegate.h"

/* Why a call fails whose context holds a NUL. */
extern const char tg_nul_sentence[];

/* A C string of the host's. Where one holds a NUL, as a C string it would be another, shorter one: `*cut` is set. */
const char *tg_lift_text(abi_text text, bool *cut);
const char *tg_lift_maybe(abi_maybe_text maybe, bool *cut);
const tg_pair *tg_lift_pairs(abi_list list, bool *cut);
const tg_user *tg_lift_user(const abi_user *user, bool *cut);
tg_context tg_lift_context(const abi_context *context, bool *cut);

abi_text tg_lower_text(const char *text);
/* NULL is none. */
abi_maybe_text tg_lower_maybe(const char *text);
/* Ends with a pair whose name is NULL; NULL is an empty list. */
abi_list tg_lower_pairs(const tg_pair *pairs);
const char *tg_vformat(const char *format, va_list arguments);

/* Items one after the other, growing. */
typedef struct {
  void *items;
  size_t len, room;
} tg_vector;

/* Room for one more item of `size` bytes. */
void *tg_vector_add(tg_vector *vector, size_t size);

/* The value as JSON text. Where it has none, `*broken` becomes the sentence that says so, unless there is one. */
abi_text tg_lower_json(const tg_json *value, const char *what, const char **broken);

/* What a handler or a connection listener answers. */
struct tg_answer {
  abi_maybe_text reply;
  tg_vector effects;
  /* NULL while the message is not refused. */
  const char *sentence;
  tg_refusal why;
  /* NULL while every value has JSON. */
  const char *broken;
};

#endif

/* Lifts what the host passes and lowers what it gets. All of it is memory of the call; nothing is copied twice. */
#include "call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char tg_nul_sentence[] = "what the host passed holds a NUL, which no C string can";

/* The host puts what it passes where this says. A byte more than asked for makes C strings of its strings. */
__attribute__((export_name("cabi_realloc"))) void *tg_cabi_realloc(void *old, size_t old_size, size_t align, size_t new_size);
void *tg_cabi_realloc(void *old, size_t old_size, size_t align, size_t new_size) {
  (void)align;
  char *fresh = tg_alloc_grown(old, old_size ? old_size + 1 : 0, new_size + 1);
  fresh[new_size] = 0;
  return fresh;
}

/* ---- Lifting. ---- */

const char *tg_lift_text(abi_text text, bool *cut) {
  if (text.len == 0) return "";
  *cut |= memchr(text.bytes, 0, text.len) != NULL;
  return text.bytes;
}

const char *tg_lift_maybe(abi_maybe_text maybe, bool *cut) { return maybe.is_some ? tg_lift_text(maybe.text, cut) : NULL; }

const tg_pair *tg_lift_pairs(abi_list list, bool *cut) {
  const abi_pair *given = list.items;
  tg_pair *pairs = tg_alloc_many(list.len + 1, sizeof *pairs);
  for (size_t i = 0; i < list.len; i++)
    pairs[i] = (tg_pair){tg_lift_text(given[i].name, cut), tg_lift_text(given[i].value, cut)};
  pairs[list.len] = (tg_pair){NULL, NULL};
  return pairs;
}

const tg_user *tg_lift_user(const abi_user *user, bool *cut) {
  const abi_text *given = user->roles.items;
  const char **roles = tg_alloc_many(user->roles.len + 1, sizeof *roles);
  for (size_t i = 0; i < user->roles.len; i++) roles[i] = tg_lift_text(given[i], cut);
  roles[user->roles.len] = NULL;
  tg_user *lifted = tg_alloc(sizeof *lifted);
  *lifted = (tg_user){tg_lift_text(user->id, cut), roles, user->roles.len, tg_lift_maybe(user->tenant, cut)};
  return lifted;
}

tg_context tg_lift_context(const abi_context *context, bool *cut) {
  return (tg_context){
      .topic = tg_lift_text(context->topic, cut),
      .channel = tg_lift_text(context->channel, cut),
      .params = tg_lift_pairs(context->params, cut),
      .params_len = context->params.len,
      .user = context->user.is_some ? tg_lift_user(&context->user.user, cut) : NULL,
      .connection_id = tg_lift_text(context->connection_id, cut),
      .received_at_ms = context->received_at_ms,
      .deadline_ms = context->deadline_ms,
      .attributes = tg_lift_pairs(context->attributes, cut),
      .attributes_len = context->attributes.len,
  };
}

/* ---- Lowering. ---- */

abi_text tg_lower_text(const char *text) { return (abi_text){text, strlen(text)}; }

abi_maybe_text tg_lower_maybe(const char *text) {
  return text ? (abi_maybe_text){true, tg_lower_text(text)} : (abi_maybe_text){0};
}

abi_list tg_lower_pairs(const tg_pair *pairs) {
  tg_vector lowered = {0};
  for (; pairs && pairs->name; pairs++)
    *(abi_pair *)tg_vector_add(&lowered, sizeof(abi_pair)) = (abi_pair){tg_lower_text(pairs->name), tg_lower_text(pairs->value)};
  return (abi_list){lowered.items, lowered.len};
}

void *tg_vector_add(tg_vector *vector, size_t size) {
  if (vector->len == vector->room) {
    size_t room = vector->room ? 2 * vector->room : 4;
    if (room > PTRDIFF_MAX / size) abort();
    vector->items = tg_alloc_grown(vector->items, vector->room * size, room * size);
    vector->room = room;
  }
  return (char *)vector->items + vector->len++ * size;
}

const char *tg_vformat(const char *format, va_list arguments) {
  va_list measured;
  va_copy(measured, arguments);
  int len = vsnprintf(NULL, 0, format, measured);
  va_end(measured);
  if (len < 0) abort();
  char *text = tg_alloc((size_t)len + 1);
  vsnprintf(text, (size_t)len + 1, format, arguments);
  return text;
}

const char *tg_format(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const char *text = tg_vformat(format, arguments);
  va_end(arguments);
  return text;
}

abi_text tg_lower_json(const tg_json *value, const char *what, const char **broken) {
  const char *why, *text = tg_print(value, &why);
  if (text) return tg_lower_text(text);
  if (!*broken) *broken = tg_format("%s has no JSON: %s", what, why);
  return (abi_text){0};
}

/* ---- What a message should hold. ---- */

static const char *named(const tg_json *value) {
  static const char *const names[] = {
      [TG_NULL] = "null", [TG_BOOL] = "true or false", [TG_NUMBER] = "a number",
      [TG_STRING] = "a text", [TG_ARRAY] = "a list", [TG_OBJECT] = "an object",
  };
  for (tg_type type = TG_NULL; type <= TG_OBJECT; type++)
    if (tg_is(value, type)) return names[type];
  return "nothing";
}

const char *tg_want_text(const tg_json *object, const char *key, const char **why) {
  const tg_json *value = tg_get(object, key);
  const char *text = tg_text(value);
  if (text) return text;
  if (!tg_is(object, TG_OBJECT))
    *why = tg_format("expected an object, found %s", named(object));
  else if (!value)
    *why = tg_format("`%s` is missing", key);
  else if (tg_is(value, TG_STRING))
    *why = tg_format("`%s`: a text that holds a NUL", key);
  else
    *why = tg_format("`%s`: expected a text, found %s", key, named(value));
  return NULL;
}

/* ---- The context. ---- */

const char *tg_param(const tg_context *context, const char *name) {
  for (size_t i = 0; i < context->params_len; i++)
    if (strcmp(context->params[i].name, name) == 0) return context->params[i].value;
  return NULL;
}

bool tg_has_role(const tg_context *context, const char *role) {
  for (size_t i = 0; context->user && i < context->user->roles_len; i++)
    if (strcmp(context->user->roles[i], role) == 0) return true;
  return false;
}

/* ---- What a handler and a connection listener answer. ---- */

void tg_reply(tg_answer *answer, const tg_json *value) {
  answer->reply = (abi_maybe_text){true, tg_lower_json(value, "the reply", &answer->broken)};
}

void tg_emit(tg_answer *answer, const char *topic, const tg_json *payload, tg_audience to) {
  const char *name = tg_format("%s", topic);
  abi_text text = tg_lower_json(payload, name, &answer->broken);
  *(abi_effect *)tg_vector_add(&answer->effects, sizeof(abi_effect)) =
      (abi_effect){.is = ABI_EMIT, .emit = {tg_lower_text(name), text, (uint8_t)to}};
}

void tg_publish(tg_answer *answer, const char *type, const char *subject, const tg_json *data) {
  const char *name = tg_format("%s", type);
  abi_text text = tg_lower_json(data, name, &answer->broken);
  abi_maybe_text about = tg_lower_maybe(subject ? tg_format("%s", subject) : NULL);
  *(abi_effect *)tg_vector_add(&answer->effects, sizeof(abi_effect)) =
      (abi_effect){.is = ABI_PUBLISH, .publish = {tg_lower_text(name), about, text}};
}

static void add_removal(tg_answer *answer, const char *topic, abi_maybe_text key) {
  *(abi_effect *)tg_vector_add(&answer->effects, sizeof(abi_effect)) =
      (abi_effect){.is = ABI_REMOVE, .remove = {tg_lower_text(tg_format("%s", topic)), key}};
}

void tg_remove(tg_answer *answer, const char *topic, const tg_json *key) {
  add_removal(answer, topic, (abi_maybe_text){true, tg_lower_json(key, "the key of a removal", &answer->broken)});
}

void tg_remove_all(tg_answer *answer, const char *topic) { add_removal(answer, topic, (abi_maybe_text){0}); }

void tg_refuse(tg_answer *answer, tg_refusal why, const char *sentence, ...) {
  va_list arguments;
  va_start(arguments, sentence);
  answer->sentence = tg_vformat(sentence, arguments);
  answer->why = why;
  va_end(arguments);
}

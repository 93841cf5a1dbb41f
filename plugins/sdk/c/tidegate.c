/* Stands between the generated bindings (`gen/`) and the plugin: lifts what the host passes, runs the plugin's function,
 * lowers its answer, and frees all memory of the call. */
#include "tidegate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gen/guest.h"

/* The bindings ask for the object file with the component's type. The build puts the type in later, for the chosen kinds. */
void __component_type_object_force_link_guest(void);
void __component_type_object_force_link_guest(void) {}

/* ---- The memory of a call: blocks that are freed together when it ends. ---- */

typedef struct block {
  struct block *before;
  size_t used, size;
  _Alignas(max_align_t) unsigned char bytes[];
} block;

static const size_t BLOCK_BYTES = 8 * 1024;
static block *blocks;

static void *take(size_t size) {
  const size_t unit = _Alignof(max_align_t);
  if (size > PTRDIFF_MAX) abort();
  size = (size + unit - 1) / unit * unit;
  if (!blocks || blocks->size - blocks->used < size) {
    size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
    block *fresh = malloc(sizeof *fresh + room);
    if (!fresh) abort();
    *fresh = (block){.before = blocks, .size = room};
    blocks = fresh;
  }
  void *taken = blocks->bytes + blocks->used;
  blocks->used += size;
  return taken;
}

static void leave(void *taken) { (void)taken; }

static void *take_many(size_t count, size_t size) {
  size_t total;
  if (__builtin_mul_overflow(count, size, &total)) abort();
  return take(total);
}

/* `malloc` answers NULL when the instance's memory is used up; nothing sensible can follow. */
static void *own(size_t count, size_t size) {
  size_t total;
  if (__builtin_mul_overflow(count, size, &total)) abort();
  void *memory = malloc(total ? total : 1);
  if (!memory) abort();
  return memory;
}

static void begin(void) { cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = take, .free_fn = leave}); }

static void end(void) {
  while (blocks) {
    block *before = blocks->before;
    free(blocks);
    blocks = before;
  }
}

static const char *vformat(const char *format, va_list arguments) {
  va_list measured;
  va_copy(measured, arguments);
  int len = vsnprintf(NULL, 0, format, measured);
  va_end(measured);
  if (len < 0) abort();
  char *text = take((size_t)len + 1);
  vsnprintf(text, (size_t)len + 1, format, arguments);
  return text;
}

const char *tg_format(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const char *text = vformat(format, arguments);
  va_end(arguments);
  return text;
}

/* ---- Lifting. ---- */

/* Set when a string of the host held a NUL: as a C string it would be another, shorter one. */
static bool cut;

static const char *c_string(const guest_string_t *string) {
  cut |= string->len && memchr(string->ptr, 0, string->len);
  char *text = take(string->len + 1);
  if (string->len) memcpy(text, string->ptr, string->len);
  text[string->len] = 0;
  return text;
}

static const tg_pair *c_pairs(const guest_list_tuple2_string_string_t *list) {
  tg_pair *pairs = take_many(list->len + 1, sizeof *pairs);
  for (size_t i = 0; i < list->len; i++) pairs[i] = (tg_pair){c_string(&list->ptr[i].f0), c_string(&list->ptr[i].f1)};
  pairs[list->len] = (tg_pair){NULL, NULL};
  return pairs;
}

static const tg_user *c_user(const tidegate_plugin_types_user_t *user) {
  const char **roles = take_many(user->roles.len + 1, sizeof *roles);
  for (size_t i = 0; i < user->roles.len; i++) roles[i] = c_string(&user->roles.ptr[i]);
  tg_user *lifted = take(sizeof *lifted);
  *lifted = (tg_user){
      .id = c_string(&user->id),
      .roles = roles,
      .roles_len = user->roles.len,
      .tenant = user->tenant.is_some ? c_string(&user->tenant.val) : NULL,
  };
  return lifted;
}

static tg_context c_context(const tidegate_plugin_types_context_t *context) {
  cut = false;
  return (tg_context){
      .topic = c_string(&context->topic),
      .channel = c_string(&context->channel),
      .params = c_pairs(&context->params),
      .params_len = context->params.len,
      .user = context->user.is_some ? c_user(&context->user.val) : NULL,
      .connection_id = c_string(&context->connection_id),
      .received_at_ms = context->received_at_ms,
      .deadline_ms = context->deadline_ms,
      .attributes = c_pairs(&context->attributes),
      .attributes_len = context->attributes.len,
  };
}

/* The value of a JSON text; NULL where cJSON cannot hold it: nested too deep, or with the escape of a NUL. */
static cJSON *c_json(const guest_string_t *string) {
  for (size_t i = 0; i + 1 < string->len; i++) {
    if (string->ptr[i] != '\\') continue;
    if (string->len - i >= 6 && memcmp(string->ptr + i, "\\u0000", 6) == 0) return NULL;
    i++;
  }
  return cJSON_ParseWithLength((const char *)string->ptr, string->len);
}

static guest_string_t borrowed(const char *text) {
  return (guest_string_t){(uint8_t *)text, strlen(text)};
}

/* ---- Lowering: what the generated code frees once the host has read it. ---- */

static guest_string_t owned(const char *text) {
  size_t len = strlen(text);
  uint8_t *copy = own(len, 1);
  memcpy(copy, text, len);
  return (guest_string_t){copy, len};
}

static const char *printed(const cJSON *value) {
  const char *text = cJSON_PrintUnformatted(value);
  return text ? text : "null";
}

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

/* ---- The handler. ---- */

typedef struct effect {
  struct effect *next;
  bool publishes;
  tg_audience to;
  /* The topic of an emit, the type of a publish. */
  const char *name;
  const char *subject;
  const char *payload;
} effect;

struct tg_answer {
  const char *reply;
  effect *first, **last;
  size_t effects_len;
  /* NULL while the message is not refused. */
  const char *sentence;
  tg_refusal why;
};

static void append(tg_answer *answer, effect wanted) {
  effect *kept = take(sizeof *kept);
  *kept = wanted;
  *answer->last = kept;
  answer->last = &kept->next;
  answer->effects_len++;
}

void tg_reply(tg_answer *answer, const cJSON *value) { answer->reply = printed(value); }

void tg_emit(tg_answer *answer, const char *topic, const cJSON *payload, tg_audience to) {
  append(answer, (effect){.to = to, .name = tg_format("%s", topic), .payload = printed(payload)});
}

void tg_publish(tg_answer *answer, const char *type, const char *subject, const cJSON *data) {
  const char *about = subject ? tg_format("%s", subject) : NULL;
  append(answer, (effect){.publishes = true, .name = tg_format("%s", type), .subject = about, .payload = printed(data)});
}

void tg_refuse(tg_answer *answer, tg_refusal why, const char *sentence, ...) {
  va_list arguments;
  va_start(arguments, sentence);
  answer->sentence = vformat(sentence, arguments);
  answer->why = why;
  va_end(arguments);
}

static void lower_effect(const effect *wanted, tidegate_plugin_types_effect_t *lowered) {
  if (wanted->publishes) {
    lowered->tag = TIDEGATE_PLUGIN_TYPES_EFFECT_PUBLISH;
    lowered->val.publish.kind = owned(wanted->name);
    lowered->val.publish.subject.is_some = wanted->subject != NULL;
    if (wanted->subject) lowered->val.publish.subject.val = owned(wanted->subject);
    lowered->val.publish.data = owned(wanted->payload);
  } else {
    lowered->tag = TIDEGATE_PLUGIN_TYPES_EFFECT_EMIT;
    lowered->val.emit.topic = owned(wanted->name);
    lowered->val.emit.payload = owned(wanted->payload);
    lowered->val.emit.to =
        wanted->to == TG_OTHERS ? TIDEGATE_PLUGIN_TYPES_AUDIENCE_OTHERS : TIDEGATE_PLUGIN_TYPES_AUDIENCE_EVERYONE;
  }
}

static void lower_refusal(const tg_answer *answer, tidegate_plugin_types_refusal_t *lowered) {
  static const uint8_t tags[] = {
      [TG_INVALID_PAYLOAD] = TIDEGATE_PLUGIN_TYPES_REFUSAL_INVALID_PAYLOAD,
      [TG_FORBIDDEN] = TIDEGATE_PLUGIN_TYPES_REFUSAL_FORBIDDEN,
      [TG_UNAVAILABLE] = TIDEGATE_PLUGIN_TYPES_REFUSAL_UNAVAILABLE,
      [TG_FAILED] = TIDEGATE_PLUGIN_TYPES_REFUSAL_FAILED,
  };
  lowered->tag = tags[answer->why];
  /* Every case holds one string, in the same place. */
  lowered->val.failed = owned(answer->sentence);
}

static void lower_outcome(const tg_answer *answer, tidegate_plugin_types_outcome_t *lowered) {
  lowered->reply.is_some = answer->reply != NULL;
  if (answer->reply) lowered->reply.val = owned(answer->reply);
  lowered->effects.len = answer->effects_len;
  lowered->effects.ptr = answer->effects_len ? own(answer->effects_len, sizeof *lowered->effects.ptr) : NULL;
  size_t i = 0;
  for (const effect *wanted = answer->first; wanted; wanted = wanted->next)
    lower_effect(wanted, &lowered->effects.ptr[i++]);
}

/* The bindings have every kind; a kind that the component does not export is never called. */
bool exports_tidegate_plugin_handler_handle(tidegate_plugin_types_context_t *given, guest_string_t *text,
                                            tidegate_plugin_types_outcome_t *outcome,
                                            tidegate_plugin_types_refusal_t *refusal) {
#ifdef TG_HANDLER
  begin();
  tg_answer answer = {0};
  answer.last = &answer.first;
  const tg_context context = c_context(given);
  const cJSON *payload = c_json(text);
  if (cut)
    tg_refuse(&answer, TG_FAILED, "the context holds a NUL, which no C string can");
  else if (!payload)
    tg_refuse(&answer, TG_INVALID_PAYLOAD, "the payload is nested too deep or holds \\u0000");
  else
    tg_handle(&context, payload, &answer);
  if (answer.sentence)
    lower_refusal(&answer, refusal);
  else
    lower_outcome(&answer, outcome);
  end();
  tidegate_plugin_types_context_free(given);
  guest_string_free(text);
  return !answer.sentence;
#else
  (void)given, (void)text, (void)outcome, (void)refusal;
  abort();
#endif
}

/* ---- The authorizer. ---- */

struct tg_decision {
  enum { UNDECIDED, ALLOWED, DENIED } is;
  uint32_t ttl_ms;
  const tg_user *user;
  const char *sentence;
};

void tg_allow_user(tg_decision *decision, uint32_t ttl_ms, const tg_user *user) {
  *decision = (tg_decision){.is = ALLOWED, .ttl_ms = ttl_ms, .user = user};
}

void tg_allow(tg_decision *decision, uint32_t ttl_ms) { tg_allow_user(decision, ttl_ms, NULL); }

void tg_deny(tg_decision *decision, const char *sentence, ...) {
  va_list arguments;
  va_start(arguments, sentence);
  *decision = (tg_decision){.is = DENIED, .sentence = vformat(sentence, arguments)};
  va_end(arguments);
}

void tg_fail(tg_decision *decision, const char *sentence, ...) {
  va_list arguments;
  va_start(arguments, sentence);
  *decision = (tg_decision){.is = UNDECIDED, .sentence = vformat(sentence, arguments)};
  va_end(arguments);
}

static void lower_user(const tg_user *user, tidegate_plugin_types_user_t *lowered) {
  lowered->id = owned(user->id);
  lowered->roles.len = user->roles_len;
  lowered->roles.ptr = user->roles_len ? own(user->roles_len, sizeof *lowered->roles.ptr) : NULL;
  for (size_t i = 0; i < user->roles_len; i++) lowered->roles.ptr[i] = owned(user->roles[i]);
  lowered->tenant.is_some = user->tenant != NULL;
  if (user->tenant) lowered->tenant.val = owned(user->tenant);
}

static void lower_decision(const tg_decision *decision, exports_tidegate_plugin_authorizer_decision_t *lowered) {
  if (decision->is == DENIED) {
    lowered->tag = EXPORTS_TIDEGATE_PLUGIN_AUTHORIZER_DECISION_DENY;
    lowered->val.deny = owned(decision->sentence);
    return;
  }
  lowered->tag = EXPORTS_TIDEGATE_PLUGIN_AUTHORIZER_DECISION_ALLOW;
  lowered->val.allow.ttl_ms = decision->ttl_ms;
  lowered->val.allow.user.is_some = decision->user != NULL;
  if (decision->user) lower_user(decision->user, &lowered->val.allow.user.val);
}

bool exports_tidegate_plugin_authorizer_authorize(tidegate_plugin_types_context_t *given,
                                                  exports_tidegate_plugin_authorizer_action_t action,
                                                  guest_string_t *maybe_text,
                                                  exports_tidegate_plugin_authorizer_decision_t *decided,
                                                  guest_string_t *error) {
#ifdef TG_AUTHORIZER
  begin();
  tg_decision decision = {.sentence = "the authorizer neither allowed nor denied"};
  const tg_context context = c_context(given);
  const cJSON *payload = maybe_text ? c_json(maybe_text) : NULL;
  if (cut)
    tg_fail(&decision, "the context holds a NUL, which no C string can");
  else if (maybe_text && !payload)
    tg_fail(&decision, "the payload is nested too deep or holds \\u0000");
  else
    tg_authorize(&context, (tg_action)action, payload, &decision);
  if (decision.is == UNDECIDED)
    *error = owned(decision.sentence);
  else
    lower_decision(&decision, decided);
  end();
  tidegate_plugin_types_context_free(given);
  if (maybe_text) guest_string_free(maybe_text);
  return decision.is != UNDECIDED;
#else
  (void)given, (void)action, (void)maybe_text, (void)decided, (void)error;
  abort();
#endif
}

/* ---- The host. ---- */

void tg_log(tg_level level, const char *message, const tg_pair *fields) {
  size_t len = 0;
  while (fields && fields[len].name) len++;
  guest_tuple2_string_string_t *passed = take_many(len, sizeof *passed);
  for (size_t i = 0; i < len; i++)
    passed[i] = (guest_tuple2_string_string_t){borrowed(fields[i].name), borrowed(fields[i].value)};
  guest_string_t sentence = borrowed(message);
  tidegate_host_log_write((tidegate_host_log_level_t)level, &sentence,
                          &(guest_list_tuple2_string_string_t){passed, len});
}

cJSON *tg_config(const char *key) {
  guest_string_t name = borrowed(key), text;
  if (!tidegate_host_config_get(&name, &text)) return NULL;
  cJSON *value = c_json(&text);
  if (!value) {
    tg_log(TG_ERROR, "a value of the config is nested too deep or holds \\u0000", (tg_pair[]){{"key", key}, {NULL, NULL}});
    abort();
  }
  guest_string_free(&text);
  return value;
}

uint64_t tg_now_ms(void) { return tidegate_host_clock_now_ms(); }

uint64_t tg_monotonic_us(void) { return tidegate_host_clock_monotonic_us(); }

void tg_random(void *bytes, size_t len) {
  /* What the host gives at once. */
  const size_t most = 65536;
  for (size_t filled = 0; filled < len;) {
    size_t wanted = len - filled < most ? len - filled : most;
    guest_list_u8_t given;
    tidegate_host_random_bytes((uint32_t)wanted, &given);
    memcpy((unsigned char *)bytes + filled, given.ptr, wanted);
    guest_list_u8_free(&given);
    filled += wanted;
  }
}

uint64_t tg_random_u64(void) { return tidegate_host_random_next_u64(); }

/* The guest of `tests/e2e/guest.mjs` in C: does what a message asks for. */
#include "tidegate.h"

#include <stdlib.h>
#include <string.h>

static const char *text(const cJSON *object, const char *key) {
  return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static cJSON *pong(double n) {
  cJSON *value = cJSON_CreateObject();
  cJSON_AddNumberToObject(value, "pong", n);
  return value;
}

static cJSON *pairs(const tg_pair *pairs, size_t len) {
  cJSON *list = cJSON_CreateArray();
  for (size_t i = 0; i < len; i++)
    cJSON_AddItemToArray(list, cJSON_CreateStringArray((const char *[]){pairs[i].name, pairs[i].value}, 2));
  return list;
}

static cJSON *user(const tg_user *user) {
  if (!user) return cJSON_CreateNull();
  cJSON *value = cJSON_CreateObject();
  cJSON_AddStringToObject(value, "id", user->id);
  cJSON_AddItemToObject(value, "roles", cJSON_CreateStringArray(user->roles, (int)user->roles_len));
  cJSON_AddItemToObject(value, "tenant", user->tenant ? cJSON_CreateString(user->tenant) : cJSON_CreateNull());
  return value;
}

static cJSON *context_value(const tg_context *context) {
  cJSON *value = cJSON_CreateObject();
  cJSON_AddStringToObject(value, "topic", context->topic);
  cJSON_AddStringToObject(value, "channel", context->channel);
  cJSON_AddItemToObject(value, "params", pairs(context->params, context->params_len));
  cJSON_AddItemToObject(value, "user", user(context->user));
  cJSON_AddStringToObject(value, "connection_id", context->connection_id);
  cJSON_AddNumberToObject(value, "received_at_ms", (double)context->received_at_ms);
  cJSON_AddNumberToObject(value, "deadline_ms", context->deadline_ms);
  cJSON_AddItemToObject(value, "attributes", pairs(context->attributes, context->attributes_len));
  return value;
}

static cJSON *host(void) {
  cJSON *value = cJSON_CreateObject();
  cJSON_AddNumberToObject(value, "now_ms", (double)tg_now_ms());
  cJSON_AddNumberToObject(value, "sooner_us", (double)tg_monotonic_us());
  cJSON_AddNumberToObject(value, "later_us", (double)tg_monotonic_us());
  unsigned char bytes[16];
  tg_random(bytes, sizeof bytes);
  const char *hex = "";
  for (size_t i = 0; i < sizeof bytes; i++) hex = tg_format("%s%02x", hex, bytes[i]);
  cJSON_AddStringToObject(value, "bytes", hex);
  cJSON_AddStringToObject(value, "number", tg_format("%llu", (unsigned long long)tg_random_u64()));
  return value;
}

static void refuse(tg_answer *answer, const char *topic, const char *why) {
  static const char *const names[] = {"invalid_payload", "forbidden", "unavailable", "failed"};
  tg_reply(answer, cJSON_CreateTrue());
  tg_emit(answer, topic, pong(666), TG_EVERYONE);
  for (int i = 0; i < 4; i++)
    if (strcmp(why, names[i]) == 0) tg_refuse(answer, (tg_refusal)i, "no %s today", "🦊");
}

__attribute__((noinline)) static uint64_t recurse(uint64_t n) {
  volatile uint64_t frame[64];
  frame[n % 64] = n;
  if (n == UINT64_MAX) return 0;
  return recurse(n + 1) + frame[n % 64];
}

static void abort_if(uint64_t sum) {
  if (sum == 1) abort();
}

/* The mistakes. */
static void misbehave(const cJSON *payload) {
  if (cJSON_HasObjectItem(payload, "crash")) abort();
  if (cJSON_HasObjectItem(payload, "recurse")) abort_if(recurse(0));
  if (cJSON_HasObjectItem(payload, "spin"))
    for (volatile uint64_t n = 0;; n++) {
    }
  if (cJSON_HasObjectItem(payload, "hog"))
    for (;;) {
      char *volatile taken = malloc(1 << 20);
      if (!taken) abort();
      taken[0] = 1;
    }
}

void tg_handle(const tg_context *context, const cJSON *payload, tg_answer *answer) {
  misbehave(payload);
  const cJSON *n = cJSON_GetObjectItemCaseSensitive(payload, "n");
  const cJSON *others = cJSON_GetObjectItemCaseSensitive(payload, "others");
  const cJSON *echo = cJSON_GetObjectItemCaseSensitive(payload, "echo");
  if (n) {
    tg_reply(answer, pong(n->valuedouble));
    tg_emit(answer, context->topic, pong(n->valuedouble), TG_EVERYONE);
    cJSON *data = cJSON_CreateObject();
    cJSON_AddNumberToObject(data, "n", n->valuedouble);
    tg_publish(answer, "ping.seen", context->user ? context->user->id : NULL, data);
  } else if (others) {
    tg_emit(answer, context->topic, pong(others->valuedouble), TG_OTHERS);
  } else if (echo) {
    tg_reply(answer, echo);
  } else if (cJSON_HasObjectItem(payload, "context")) {
    tg_reply(answer, context_value(context));
  } else if (text(payload, "config")) {
    cJSON *value = tg_config(text(payload, "config"));
    tg_reply(answer, value ? value : cJSON_CreateNull());
  } else if (text(payload, "log")) {
    tg_log(TG_WARN, text(payload, "log"), (tg_pair[]){{"colour", "blue"}, {NULL, NULL}});
  } else if (cJSON_HasObjectItem(payload, "host")) {
    tg_reply(answer, host());
  } else if (text(payload, "refuse")) {
    refuse(answer, context->topic, text(payload, "refuse"));
  } else {
    tg_refuse(answer, TG_INVALID_PAYLOAD, "what is to be done?");
  }
}

/* Members of a vault may join it and send on it; nobody may say `crash` there. */
void tg_authorize(const tg_context *context, tg_action action, const cJSON *payload, tg_decision *decision) {
  const char *vault = tg_param(context, "vaultId");
  if (!vault || strcmp(vault, "broken") == 0) {
    tg_fail(decision, "the vault is broken");
    return;
  }
  if (action == TG_SEND && cJSON_HasObjectItem(payload, "crash")) abort();
  const cJSON *member, *members = cJSON_GetObjectItemCaseSensitive(tg_config("members"), vault);
  cJSON_ArrayForEach(member, members) {
    if (context->user && strcmp(member->valuestring, context->user->id) == 0) {
      tg_allow(decision, 0);
      return;
    }
  }
  tg_deny(decision, "no member of vault `%s`", vault);
}

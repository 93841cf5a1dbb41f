/* The guest of `tests/e2e/guest.mjs` in C: of every kind, and does what a message asks for. */
#include "granted.h"

#include <stdlib.h>
#include <string.h>

static tg_json *pong(int64_t n) { return tg_set_int(tg_object(), "pong", n); }

static tg_json *pairs(const tg_pair *pairs, size_t len) {
  tg_json *list = tg_array();
  for (size_t i = 0; i < len; i++)
    tg_push(list, tg_push(tg_push(tg_array(), tg_string(pairs[i].name)), tg_string(pairs[i].value)));
  return list;
}

static tg_json *user_value(const tg_user *user) {
  if (!user) return tg_null();
  tg_json *roles = tg_array();
  for (size_t i = 0; i < user->roles_len; i++) tg_push(roles, tg_string(user->roles[i]));
  tg_json *value = tg_set_text(tg_object(), "id", user->id);
  tg_set(value, "roles", roles);
  return tg_set_text(value, "tenant", user->tenant);
}

static tg_json *context_value(const tg_context *context) {
  tg_json *value = tg_object();
  tg_set_text(value, "topic", context->topic);
  tg_set_text(value, "channel", context->channel);
  tg_set(value, "params", pairs(context->params, context->params_len));
  tg_set(value, "user", user_value(context->user));
  tg_set_text(value, "connection_id", context->connection_id);
  tg_set_int(value, "received_at_ms", (int64_t)context->received_at_ms);
  tg_set_int(value, "deadline_ms", context->deadline_ms);
  return tg_set(value, "attributes", pairs(context->attributes, context->attributes_len));
}

static tg_json *host(void) {
  tg_json *value = tg_set_int(tg_object(), "now_ms", (int64_t)tg_now_ms());
  tg_set_int(value, "sooner_us", (int64_t)tg_monotonic_us());
  tg_set_int(value, "later_us", (int64_t)tg_monotonic_us());
  unsigned char bytes[16];
  tg_random(bytes, sizeof bytes);
  const char *hex = "";
  for (size_t i = 0; i < sizeof bytes; i++) hex = tg_format("%s%02x", hex, bytes[i]);
  tg_set_text(value, "bytes", hex);
  return tg_set_text(value, "number", tg_format("%llu", (unsigned long long)tg_random_u64()));
}

/* What the language itself draws and reads; C has no clock but the host's. */
static tg_json *own(void) {
  tg_json *value = tg_set_text(tg_object(), "random", tg_format("%d %d", rand(), rand()));
  return tg_set_int(value, "now_ms", (int64_t)tg_now_ms());
}

static tg_json *failed(tg_error error) {
  static const char *const names[] = {
      [TG_ERROR_DENIED] = "denied",           [TG_ERROR_MISSING] = "missing",     [TG_ERROR_INVALID] = "invalid",
      [TG_ERROR_NOT_AN_INTEGER] = "not-an-integer", [TG_ERROR_TOO_LARGE] = "too-large", [TG_ERROR_CONFLICT] = "conflict",
      [TG_ERROR_RATE_LIMITED] = "rate-limited", [TG_ERROR_TIMEOUT] = "timeout",   [TG_ERROR_UNAVAILABLE] = "unavailable",
  };
  tg_json *value = tg_set_text(tg_object(), "error", names[error.code]);
  return error.code == TG_ERROR_CONFLICT ? tg_set_int(value, "revision", (int64_t)error.revision) : value;
}

static tg_json *revealed(const char *name) {
  const char *secret;
  tg_error error = tg_secret(name, &secret);
  return error.code ? failed(error) : tg_set_text(tg_object(), "secret", secret);
}

static tg_json *entry_value(const tg_entry *entry) {
  if (!entry) return tg_set(tg_object(), "entry", NULL);
  tg_json *value = tg_set(tg_object(), "text", tg_string_len(entry->bytes, entry->len));
  return tg_set(tg_object(), "entry", tg_set_int(value, "revision", (int64_t)entry->revision));
}

static tg_json *key_list(const char *const *keys, size_t len) {
  tg_json *list = tg_array();
  for (size_t i = 0; i < len; i++) tg_push(list, tg_string(keys[i]));
  return tg_set(tg_object(), "keys", list);
}

static uint64_t number_or(const tg_json *order, const char *key, uint64_t otherwise) {
  int64_t number;
  return tg_get_int(order, key, &number) ? (uint64_t)number : otherwise;
}

static tg_json *keep(const tg_json *order) {
  const char *op = tg_get_text(order, "op"), *bucket = tg_get_text(order, "bucket"), *key = tg_get_text(order, "key");
  uint64_t revision, if_revision = number_or(order, "if_revision", TG_ANY), ttl_ms = number_or(order, "ttl_ms", TG_FOREVER);
  tg_error error;
  if (strcmp(op, "get") == 0) {
    const tg_entry *entry;
    error = tg_kv_get(bucket, key, &entry);
    return error.code ? failed(error) : entry_value(entry);
  }
  if (strcmp(op, "put") == 0) {
    size_t len;
    const char *text = tg_text_len(tg_get(order, "text"), &len);
    error = tg_kv_put(bucket, key, text, len, if_revision, ttl_ms, &revision);
    return error.code ? failed(error) : tg_set_int(tg_object(), "revision", (int64_t)revision);
  }
  if (strcmp(op, "delete") == 0) {
    bool existed;
    error = tg_kv_delete(bucket, key, if_revision, &existed);
    return error.code ? failed(error) : tg_set_bool(tg_object(), "existed", existed);
  }
  if (strcmp(op, "increment") == 0) {
    int64_t sum;
    error = tg_kv_increment(bucket, key, (int64_t)number_or(order, "delta", 1), ttl_ms, &sum);
    return error.code ? failed(error) : tg_set_int(tg_object(), "sum", sum);
  }
  const char *const *keys;
  size_t len;
  error = tg_kv_keys(bucket, key, tg_get_text(order, "after"), (uint32_t)number_or(order, "limit", 1000), &keys, &len);
  return error.code ? failed(error) : key_list(keys, len);
}

static tg_json *ask(const tg_json *order) {
  const tg_json *rows;
  tg_error error = tg_query(tg_get_text(order, "name"), tg_get(order, "params"), &rows);
  return error.code ? failed(error) : tg_set(tg_object(), "rows", rows);
}

static tg_json *fetch(const tg_json *order) {
  const tg_response *response;
  size_t len = 0;
  const char *body = tg_text_len(tg_get(order, "body"), &len);
  tg_pair headers[] = {{"x-asked", tg_get_text(order, "asked")}, {NULL, NULL}};
  tg_request request = {tg_get_text(order, "method"), tg_get_text(order, "url"), headers, body, len};
  tg_error error = tg_http(&request, &response);
  if (error.code) return failed(error);
  tg_json *value = tg_set_int(tg_object(), "status", response->status);
  tg_set_text(value, "answered", tg_header(response, "x-answered"));
  return tg_set(value, "body", tg_string_len(response->body, response->body_len));
}

static void refuse(tg_answer *answer, const char *topic, const char *why) {
  static const char *const names[] = {"invalid_payload", "forbidden", "unavailable", "failed"};
  tg_reply(answer, tg_bool(true));
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

struct list {
  struct list *next;
};

/* The mistakes. */
static void misbehave(const tg_json *payload) {
  struct list *volatile nowhere = NULL;
  if (tg_get(payload, "crash")) nowhere = nowhere->next;
  if (tg_get(payload, "recurse")) abort_if(recurse(0));
  if (tg_get(payload, "spin"))
    for (volatile uint64_t n = 0;; n++) {
    }
  if (tg_get(payload, "hog"))
    for (;;) {
      char *volatile taken = malloc(1 << 20);
      if (!taken) abort();
      taken[0] = 1;
    }
}

void tg_handle(const tg_context *context, const tg_json *payload, tg_answer *answer) {
  misbehave(payload);
  int64_t n;
  if (tg_get_int(payload, "n", &n)) {
    tg_reply(answer, pong(n));
    tg_emit(answer, context->topic, pong(n), TG_EVERYONE);
    tg_publish(answer, "ping.seen", context->user ? context->user->id : NULL, tg_set_int(tg_object(), "n", n));
  } else if (tg_get_int(payload, "others", &n)) {
    tg_emit(answer, context->topic, pong(n), TG_OTHERS);
  } else if (tg_get_int(payload, "gone", &n)) {
    tg_remove(answer, context->topic, tg_int(n));
  } else if (tg_get(payload, "cleared")) {
    tg_remove_all(answer, context->topic);
  } else if (tg_get(payload, "echo")) {
    tg_reply(answer, tg_get(payload, "echo"));
  } else if (tg_get(payload, "context")) {
    tg_reply(answer, context_value(context));
  } else if (tg_get_text(payload, "config")) {
    tg_reply(answer, tg_config(tg_get_text(payload, "config")));
  } else if (tg_get_text(payload, "log")) {
    tg_log(TG_WARN, tg_get_text(payload, "log"), (tg_pair[]){{"colour", "blue"}, {NULL, NULL}});
  } else if (tg_get(payload, "host")) {
    tg_reply(answer, host());
  } else if (tg_get(payload, "own")) {
    tg_reply(answer, own());
  } else if (tg_get(payload, "field")) {
    tg_reply(answer, tg_get(tg_get(payload, "field"), "name"));
  } else if (tg_get(payload, "value")) {
    tg_reply(answer, tg_get(payload, "value"));
  } else if (tg_get_text(payload, "secret")) {
    tg_reply(answer, revealed(tg_get_text(payload, "secret")));
  } else if (tg_get(payload, "kv")) {
    tg_reply(answer, keep(tg_get(payload, "kv")));
  } else if (tg_get(payload, "query")) {
    tg_reply(answer, ask(tg_get(payload, "query")));
  } else if (tg_get(payload, "fetch")) {
    tg_reply(answer, fetch(tg_get(payload, "fetch")));
  } else if (tg_get(payload, "unwritable")) {
    tg_reply(answer, tg_set_double(tg_object(), "n", 1 / 0.0));
  } else if (tg_get_text(payload, "refuse")) {
    refuse(answer, context->topic, tg_get_text(payload, "refuse"));
  } else {
    tg_refuse(answer, TG_INVALID_PAYLOAD, "what is to be done?");
  }
}

/* Members of a vault may join it and send on it; nobody may say `crash` there. */
void tg_authorize(const tg_context *context, tg_action action, const tg_json *payload, tg_decision *decision) {
  const char *vault = tg_param(context, "vaultId");
  if (!vault || strcmp(vault, "broken") == 0) {
    tg_fail(decision, "the vault is broken");
    return;
  }
  if (strcmp(vault, "away") == 0) {
    tg_cannot_tell(decision, "the vault is away");
    return;
  }
  if (action == TG_SEND) misbehave(payload);
  tg_each (member, tg_get(tg_config("members"), vault)) {
    if (context->user && strcmp(tg_text(member->value), context->user->id) == 0) {
      tg_allow(decision, 0);
      return;
    }
  }
  tg_deny(decision, "no member of vault `%s`", vault);
}

/* As many payloads as the topic says, and who asked. */
void tg_provide(const tg_context *context, tg_state *state) {
  const char *what = tg_param(context, "what");
  if (strcmp(what, "crash") == 0) abort();
  if (strcmp(what, "broken") == 0) {
    tg_give_up(state, "no state of `%s`", what);
    return;
  }
  for (int64_t n = 0; n < atoi(what); n++)
    tg_give(state, tg_set_text(tg_set_int(tg_object(), "n", n), "to", context->user ? context->user->id : NULL));
}

/* Orders of 0 do not cross, and those below are none. */
void tg_transform(const tg_crossing *crossing, const tg_json *payload, tg_passage *passage) {
  int64_t cents;
  if (!tg_to_int(payload, &cents)) abort();
  if (cents == 0) {
    tg_drop(passage);
  } else if (cents < 0) {
    tg_bury(passage, "a refund of %lld is no order", (long long)-cents);
  } else {
    tg_json *order = tg_set_int(tg_object(), "cents", cents);
    tg_set_text(order, "type", crossing->type);
    tg_set_text(order, "source", crossing->source);
    tg_set_text(order, "id", crossing->id);
    tg_set_text(order, "subject", crossing->subject);
    tg_set_text(order, "time", crossing->time);
    tg_set(order, "data", crossing->data);
    tg_set_text(order, "topic", crossing->topic);
    tg_cross(passage, order);
  }
}

/* Tells the lobby and the bus. */
void tg_connection(const tg_peer *peer, tg_phase phase, tg_answer *answer) {
  const char *user = peer->user ? peer->user->id : NULL, *what = phase == TG_CONNECTED ? "connected" : "disconnected";
  if (user && strcmp(user, "crash") == 0) abort();
  if (user && strcmp(user, "broken") == 0 && phase == TG_CONNECTED) {
    tg_refuse(answer, TG_FAILED, "not at home to `%s`", user);
    return;
  }
  tg_json *told = tg_set_text(tg_set_text(tg_object(), "phase", what), "user", user);
  tg_set_text(told, "connection", peer->connection_id);
  tg_emit(answer, "lobby", told, TG_OTHERS);
  tg_publish(answer, tg_format("connection.%s", what), user, told);
}

/* The plugin's side of the contract in `wit/`: payloads as values (json.h), strings as C strings, and no memory to free.
 *
 * A plugin defines the functions of its kinds: tg_handle, tg_authorize, tg_provide, tg_transform, tg_connection. What this
 * layer hands out during a call (context, payload, values, texts) lives until the call ends and must not be freed or
 * kept. What must outlive the call is the plugin's own: malloc it. */
#ifndef TIDEGATE_H
#define TIDEGATE_H

#include "json.h"
#include "memory.h"

#define TG_FORMAT(at) __attribute__((format(printf, at, at + 1)))

/* A name and its value. */
typedef struct {
  const char *name;
  const char *value;
} tg_pair;

/* Who a connection belongs to. */
typedef struct {
  const char *id;
  const char *const *roles;
  size_t roles_len;
  /* NULL where the credential names none. */
  const char *tenant;
} tg_user;

/* Who asks, on which topic, and how long there is to answer. */
typedef struct {
  const char *topic;
  const char *channel;
  /* In the order of the channel's template. */
  const tg_pair *params;
  size_t params_len;
  /* NULL on an anonymous connection. */
  const tg_user *user;
  const char *connection_id;
  /* Milliseconds since the Unix epoch. */
  uint64_t received_at_ms;
  /* Milliseconds this call may take. */
  uint32_t deadline_ms;
  const tg_pair *attributes;
  size_t attributes_len;
} tg_context;

/* The value of a param of the channel's template, or NULL. */
const char *tg_param(const tg_context *context, const char *name);
/* Whether the user has this role. */
bool tg_has_role(const tg_context *context, const char *role);
/* A string formatted as by printf. */
TG_FORMAT(1) const char *tg_format(const char *format, ...);

/* The text that an object has under a key, or NULL, and then `*why` says what is wrong: "`name`: expected a text, found a number". */
const char *tg_want_text(const tg_json *object, const char *key, const char **why);

/* ---- A handler answers messages. ---- */

typedef struct tg_answer tg_answer;
typedef enum { TG_EVERYONE, TG_OTHERS } tg_audience;
typedef enum { TG_INVALID_PAYLOAD, TG_FORBIDDEN, TG_UNAVAILABLE, TG_FAILED } tg_refusal;

void tg_handle(const tg_context *context, const tg_json *payload, tg_answer *answer);

/* The receipt for the sender. */
void tg_reply(tg_answer *answer, const tg_json *value);
/* Publishes on a topic once the call succeeded. Needs the topic's channel in `grants.emit`. */
void tg_emit(tg_answer *answer, const char *topic, const tg_json *payload, tg_audience to);
/* Puts an event on the bus once the call succeeded. Needs the type in `grants.publish`. `subject` may be NULL. */
void tg_publish(tg_answer *answer, const char *type, const char *subject, const tg_json *data);
/* Takes the retained value of a key away once the call succeeded. Needs the topic's channel in `grants.emit`. */
void tg_remove(tg_answer *answer, const char *topic, const tg_json *key);
/* Takes every retained value of a topic away. */
void tg_remove_all(tg_answer *answer, const char *topic);
/* Refuses the message: no reply, no effects. The sentence is formatted as by printf. */
TG_FORMAT(3) void tg_refuse(tg_answer *answer, tg_refusal why, const char *sentence, ...);

/* ---- An authorizer decides. One that says nothing has not decided: a no. ---- */

typedef struct tg_decision tg_decision;
typedef enum { TG_CONNECT, TG_SUBSCRIBE, TG_SEND } tg_action;

/* `payload` is NULL unless the action has one. */
void tg_authorize(const tg_context *context, tg_action action, const tg_json *payload, tg_decision *decision);

/* Yes. `ttl_ms`: how long the host may answer the same question by itself, in milliseconds. */
void tg_allow(tg_decision *decision, uint32_t ttl_ms);
/* Yes to a TG_CONNECT, and whom the credential belongs to. */
void tg_allow_user(tg_decision *decision, uint32_t ttl_ms, const tg_user *user);
/* No. The sentence goes to the log. */
TG_FORMAT(2) void tg_deny(tg_decision *decision, const char *sentence, ...);
/* Neither: what the answer depends on is away. The client may try again; what it holds already it keeps. */
TG_FORMAT(2) void tg_cannot_tell(tg_decision *decision, const char *sentence, ...);
/* It could not be found out, which denies, but where the host did not answer (a query, HTTP, a bucket): that is
 * tg_cannot_tell. The sentence goes to the log. */
TG_FORMAT(2) void tg_fail(tg_decision *decision, const char *sentence, ...);

/* ---- A snapshot provider gives the state of a topic to who subscribes. ---- */

typedef struct tg_state tg_state;

void tg_provide(const tg_context *context, tg_state *state);

/* One more payload of the state; it must meet the channel's schema. */
void tg_give(tg_state *state, const tg_json *payload);
/* The state is not to be had, which refuses the subscription. The sentence goes to the log. */
TG_FORMAT(2) void tg_give_up(tg_state *state, const char *sentence, ...);

/* ---- A transform makes the payload of a bridge rule. One that neither crosses nor drops has failed. ---- */

/* A bus event on its way to a topic. */
typedef struct {
  /* The CloudEvent's `type`, `source` and `id`. */
  const char *type;
  const char *source;
  const char *id;
  /* Its `subject` and `time`, or NULL. */
  const char *subject;
  const char *time;
  /* All of its `data`. */
  const tg_json *data;
  /* Where the rule leads. */
  const char *topic;
  /* Milliseconds this call may take. */
  uint32_t deadline_ms;
} tg_crossing;

typedef struct tg_passage tg_passage;

/* `payload` is what the rule's `payload` made of the event. */
void tg_transform(const tg_crossing *crossing, const tg_json *payload, tg_passage *passage);

/* This is to be published; it must meet the channel's schema. */
void tg_cross(tg_passage *passage, const tg_json *payload);
/* The event should not cross. */
void tg_drop(tg_passage *passage);
/* The event becomes a dead letter with this sentence. */
TG_FORMAT(2) void tg_bury(tg_passage *passage, const char *sentence, ...);

/* ---- A connection listener hears of connections that came and went. ---- */

typedef struct {
  const char *connection_id;
  /* NULL on an anonymous connection. */
  const tg_user *user;
  /* Milliseconds since the Unix epoch. */
  uint64_t received_at_ms;
  /* Milliseconds this call may take. */
  uint32_t deadline_ms;
} tg_peer;

typedef enum { TG_CONNECTED, TG_DISCONNECTED } tg_phase;

/* tg_emit, tg_publish, tg_remove and tg_remove_all say what should happen; tg_refuse that it failed, which the log tells. There is no reply. */
void tg_connection(const tg_peer *peer, tg_phase phase, tg_answer *answer);

/* ---- The host, for every plugin. ---- */

typedef enum { TG_TRACE, TG_DEBUG, TG_INFO, TG_WARN, TG_ERROR } tg_level;

/* A line of the server's log. `fields` ends with a pair whose name is NULL, and may be NULL. */
void tg_log(tg_level level, const char *message, const tg_pair *fields);
/* The value of one key of `config:`, or NULL where the section has no such key. */
const tg_json *tg_config(const char *key);
/* Now, in milliseconds since the Unix epoch. */
uint64_t tg_now_ms(void);
/* Microseconds since some moment; never goes back. */
uint64_t tg_monotonic_us(void);
/* Fills the buffer with random bytes fit for keys. */
void tg_random(void *bytes, size_t len);
/* A random number. */
uint64_t tg_random_u64(void);

#endif

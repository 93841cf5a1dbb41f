/* What the host offers by grant: a plugin that calls something here needs the line in `grants` of its plugin.yaml, one
 * that does not needs none.
 *
 *     tg_error error = tg_secret("API_TOKEN", &token);
 *     if (error.code) return tg_refuse(answer, TG_FAILED, "the token: %s", error.sentence); */
#ifndef TIDEGATE_GRANTED_H
#define TIDEGATE_GRANTED_H

#include "tidegate.h"

typedef enum {
  TG_NO_ERROR,
  /* It is not in `grants`. */
  TG_ERROR_DENIED,
  /* There is none. */
  TG_ERROR_MISSING,
  /* It is not what it should be: the sentence says what. */
  TG_ERROR_INVALID,
  /* The value is no integer, or the sum is out of range. */
  TG_ERROR_NOT_AN_INTEGER,
  /* Larger than the host takes. */
  TG_ERROR_TOO_LARGE,
  /* The key has another revision: `revision`, 0 when there is no such key. */
  TG_ERROR_CONFLICT,
  /* More calls a second than the limits allow. */
  TG_ERROR_RATE_LIMITED,
  /* It took too long. */
  TG_ERROR_TIMEOUT,
  /* What should answer is away. */
  TG_ERROR_UNAVAILABLE,
} tg_error_code;

typedef struct {
  tg_error_code code;
  /* For the log. */
  const char *sentence;
  uint64_t revision;
} tg_error;

/* ---- `grants.secrets` ---- */

/* A secret of the server's environment. */
tg_error tg_secret(const char *name, const char **secret);

/* ---- `grants.kv`: buckets of keys that survive a restart, shared by all instances. ---- */

/* Any revision. */
#define TG_ANY UINT64_MAX
/* For ever. */
#define TG_FOREVER 0

typedef struct {
  /* A NUL stands after the end. */
  const char *bytes;
  size_t len;
  /* Grows with every write of the key; never 0. */
  uint64_t revision;
} tg_entry;

/* `*entry` is NULL when there is no such key. */
tg_error tg_kv_get(const char *bucket, const char *key, const tg_entry **entry);
/* Writes a key, only while it has the revision `if_revision` (0: while there is no such key; or TG_ANY), for `ttl_ms`
 * milliseconds (or TG_FOREVER). `revision` gets its new one and may be NULL. */
tg_error tg_kv_put(const char *bucket, const char *key, const void *bytes, size_t len, uint64_t if_revision, uint64_t ttl_ms,
                   uint64_t *revision);
/* `existed` says whether there was one, and may be NULL. */
tg_error tg_kv_delete(const char *bucket, const char *key, uint64_t if_revision, bool *existed);
/* Adds to an integer that is kept as decimal text, 0 when there is no such key. A key made by it gets `ttl_ms`. `sum` may be NULL. */
tg_error tg_kv_increment(const char *bucket, const char *key, int64_t delta, uint64_t ttl_ms, int64_t *sum);
/* Keys that begin with `prefix`, in order, after `after` (or NULL), at most `limit` and never more than 1,000. */
tg_error tg_kv_keys(const char *bucket, const char *prefix, const char *after, uint32_t limit, const char *const **keys,
                    size_t *len);

/* ---- `grants.queries`: named, read-only questions to the platform team's database. ---- */

/* `params` is an array, one value a placeholder, in order, or NULL for none. `rows` becomes an array of objects. */
tg_error tg_query(const char *name, const tg_json *params, const tg_json **rows);

/* ---- `grants.http` ---- */

typedef struct {
  /* `GET`, `POST`, … */
  const char *method;
  /* The whole URL. */
  const char *url;
  /* Ends with a pair whose name is NULL, and may be NULL. */
  const tg_pair *headers;
  /* NULL for none. */
  const void *body;
  size_t body_len;
} tg_request;

typedef struct {
  uint16_t status;
  /* Names in lower case. Ends with a pair whose name is NULL. */
  const tg_pair *headers;
  size_t headers_len;
  /* A NUL stands after the end. */
  const char *body;
  size_t body_len;
} tg_response;

/* Sends a request and reads the whole response, whatever its status. */
tg_error tg_http(const tg_request *request, const tg_response **response);
/* The value of a header field, the name in lower case, or NULL. */
const char *tg_header(const tg_response *response, const char *name);

#endif

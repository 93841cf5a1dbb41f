/* The imports by grant. The linker leaves out what a plugin does not call, and with it the import. */
#include "granted.h"

#include <string.h>

#include "call.h"

static tg_error failed(tg_error_code code, const char *sentence) { return (tg_error){.code = code, .sentence = sentence}; }

/* An error of the contract, at its number; one without a sentence comes with its own. */
typedef struct {
  tg_error_code code;
  const char *sentence;
} meaning;

static tg_error told(meaning meaning, abi_text sentence) {
  bool cut = false;
  return failed(meaning.code, meaning.sentence ? meaning.sentence : tg_lift_text(sentence, &cut));
}

static const tg_error fine = {.code = TG_NO_ERROR, .sentence = ""};

/* ---- Secrets. ---- */

typedef struct {
  uint8_t is;
  union {
    abi_text secret;
    uint8_t error;
  };
} secret_answer;

ABI_IMPORT("tidegate:host/secrets@0.1.0", "get")
void import_secrets_get(const char *name, size_t name_len, secret_answer *answer);

tg_error tg_secret(const char *name, const char **secret) {
  secret_answer answer;
  bool cut = false;
  import_secrets_get(name, strlen(name), &answer);
  if (answer.is == ABI_ERROR)
    return answer.error == 0 ? failed(TG_ERROR_DENIED, "the secret is not in `grants.secrets`")
                             : failed(TG_ERROR_MISSING, "the server has no such secret");
  *secret = tg_lift_text(answer.secret, &cut);
  return cut ? failed(TG_ERROR_INVALID, "the secret holds a NUL") : fine;
}

/* ---- The key-value store. ---- */

enum { KV_CONFLICT = 2 };
static const meaning KV_ERRORS[] = {
    {TG_ERROR_DENIED, "the bucket is not in `grants.kv`"},
    {TG_ERROR_TOO_LARGE, "the key, the value or the answer is larger than the host takes"},
    [KV_CONFLICT] = {TG_ERROR_CONFLICT, "the key has another revision"},
    {TG_ERROR_NOT_AN_INTEGER, "the value is no integer, or the sum is out of range"},
    {TG_ERROR_RATE_LIMITED, "more calls a second than `limits.kv` allows"},
    {TG_ERROR_UNAVAILABLE, NULL},
};

typedef struct {
  uint8_t is;
  union {
    uint64_t revision;
    abi_text sentence;
  };
} kv_error;

typedef struct {
  uint8_t is;
  union {
    struct {
      bool is_some;
      struct {
        abi_text value;
        uint64_t revision;
      } entry;
    } maybe;
    uint64_t revision;
    bool existed;
    int64_t sum;
    abi_list keys;
    kv_error error;
  };
} kv_answer;

#define KV_IMPORT(function) ABI_IMPORT("tidegate:kv/store@0.1.0", function)

KV_IMPORT("get") void import_kv_get(const char *bucket, size_t bucket_len, const char *key, size_t key_len, kv_answer *answer);
KV_IMPORT("put")
void import_kv_put(const char *bucket, size_t bucket_len, const char *key, size_t key_len, const void *value, size_t value_len,
                   bool has_if, uint64_t if_revision, bool has_ttl, uint64_t ttl_ms, kv_answer *answer);
KV_IMPORT("delete")
void import_kv_delete(const char *bucket, size_t bucket_len, const char *key, size_t key_len, bool has_if,
                      uint64_t if_revision, kv_answer *answer);
KV_IMPORT("increment")
void import_kv_increment(const char *bucket, size_t bucket_len, const char *key, size_t key_len, int64_t delta, bool has_ttl,
                         uint64_t ttl_ms, kv_answer *answer);
KV_IMPORT("keys")
void import_kv_keys(const char *bucket, size_t bucket_len, const char *prefix, size_t prefix_len, bool has_after,
                    const char *after, size_t after_len, uint32_t limit, kv_answer *answer);

static tg_error kv_failed(const kv_answer *answer) {
  if (answer->is == ABI_OK) return fine;
  tg_error error = told(KV_ERRORS[answer->error.is], answer->error.sentence);
  if (error.code == TG_ERROR_CONFLICT) error.revision = answer->error.revision;
  return error;
}

tg_error tg_kv_get(const char *bucket, const char *key, const tg_entry **entry) {
  kv_answer answer;
  *entry = NULL;
  import_kv_get(bucket, strlen(bucket), key, strlen(key), &answer);
  if (answer.is == ABI_OK && answer.maybe.is_some) {
    tg_entry *found = tg_alloc(sizeof *found);
    abi_text value = answer.maybe.entry.value;
    *found = (tg_entry){value.len ? value.bytes : "", value.len, answer.maybe.entry.revision};
    *entry = found;
  }
  return kv_failed(&answer);
}

tg_error tg_kv_put(const char *bucket, const char *key, const void *bytes, size_t len, uint64_t if_revision, uint64_t ttl_ms,
                   uint64_t *revision) {
  kv_answer answer;
  import_kv_put(bucket, strlen(bucket), key, strlen(key), bytes, len, if_revision != TG_ANY, if_revision,
                ttl_ms != TG_FOREVER, ttl_ms, &answer);
  if (answer.is == ABI_OK && revision) *revision = answer.revision;
  return kv_failed(&answer);
}

tg_error tg_kv_delete(const char *bucket, const char *key, uint64_t if_revision, bool *existed) {
  kv_answer answer;
  import_kv_delete(bucket, strlen(bucket), key, strlen(key), if_revision != TG_ANY, if_revision, &answer);
  if (answer.is == ABI_OK && existed) *existed = answer.existed;
  return kv_failed(&answer);
}

tg_error tg_kv_increment(const char *bucket, const char *key, int64_t delta, uint64_t ttl_ms, int64_t *sum) {
  kv_answer answer;
  import_kv_increment(bucket, strlen(bucket), key, strlen(key), delta, ttl_ms != TG_FOREVER, ttl_ms, &answer);
  if (answer.is == ABI_OK && sum) *sum = answer.sum;
  return kv_failed(&answer);
}

tg_error tg_kv_keys(const char *bucket, const char *prefix, const char *after, uint32_t limit, const char *const **keys,
                    size_t *len) {
  kv_answer answer;
  *keys = NULL;
  *len = 0;
  import_kv_keys(bucket, strlen(bucket), prefix, strlen(prefix), after != NULL, after, after ? strlen(after) : 0, limit, &answer);
  if (answer.is == ABI_ERROR) return kv_failed(&answer);
  const abi_text *given = answer.keys.items;
  const char **texts = tg_alloc_many(answer.keys.len, sizeof *texts);
  bool cut = false;
  for (size_t i = 0; i < answer.keys.len; i++) texts[i] = tg_lift_text(given[i], &cut);
  if (cut) return failed(TG_ERROR_INVALID, "a key holds a NUL");
  *keys = texts;
  *len = answer.keys.len;
  return fine;
}

/* ---- Queries. ---- */

static const meaning SQL_ERRORS[] = {
    {TG_ERROR_DENIED, "the query is not in `grants.queries`"},
    {TG_ERROR_INVALID, NULL},
    {TG_ERROR_TOO_LARGE, "the answer is larger than the host takes"},
    {TG_ERROR_RATE_LIMITED, "more calls a second than `limits.queries` allows"},
    {TG_ERROR_TIMEOUT, "it took too long"},
    {TG_ERROR_UNAVAILABLE, NULL},
};

typedef struct {
  uint8_t is;
  abi_text sentence;
} worded_error;

typedef struct {
  uint8_t is;
  union {
    abi_text rows;
    worded_error error;
  };
} sql_answer;

ABI_IMPORT("tidegate:sql/queries@0.1.0", "run")
void import_sql_run(const char *name, size_t name_len, const char *params, size_t params_len, sql_answer *answer);

tg_error tg_query(const char *name, const tg_json *params, const tg_json **rows) {
  sql_answer answer;
  const char *why, *text = params ? tg_print(params, &why) : "[]";
  *rows = NULL;
  if (!text) return failed(TG_ERROR_INVALID, tg_format("the params have no JSON: %s", why));
  import_sql_run(name, strlen(name), text, strlen(text), &answer);
  if (answer.is == ABI_ERROR) return told(SQL_ERRORS[answer.error.is], answer.error.sentence);
  *rows = tg_parse(answer.rows.bytes, answer.rows.len, &why);
  return *rows ? fine : failed(TG_ERROR_INVALID, tg_format("the rows: %s", why));
}

/* ---- HTTP. ---- */

static const meaning HTTP_ERRORS[] = {
    {TG_ERROR_INVALID, NULL},
    {TG_ERROR_DENIED, NULL},
    {TG_ERROR_TOO_LARGE, "the body is larger than the host takes"},
    {TG_ERROR_RATE_LIMITED, "more calls a second than `limits.http` allows"},
    {TG_ERROR_TIMEOUT, "it took longer than the call has"},
    {TG_ERROR_UNAVAILABLE, NULL},
};

typedef struct {
  uint8_t is;
  union {
    struct {
      uint16_t status;
      abi_list headers;
      abi_text body;
    } response;
    worded_error error;
  };
} http_answer;

ABI_IMPORT("tidegate:http/client@0.1.0", "send")
void import_http_send(const char *method, size_t method_len, const char *url, size_t url_len, const void *headers,
                      size_t headers_len, bool has_body, const void *body, size_t body_len, http_answer *answer);

tg_error tg_http(const tg_request *request, const tg_response **response) {
  http_answer answer;
  *response = NULL;
  abi_list headers = tg_lower_pairs(request->headers);
  import_http_send(request->method, strlen(request->method), request->url, strlen(request->url), headers.items, headers.len,
                   request->body != NULL, request->body, request->body_len, &answer);
  if (answer.is == ABI_ERROR) return told(HTTP_ERRORS[answer.error.is], answer.error.sentence);
  bool cut = false;
  tg_response *lifted = tg_alloc(sizeof *lifted);
  *lifted = (tg_response){
      .status = answer.response.status,
      .headers = tg_lift_pairs(answer.response.headers, &cut),
      .headers_len = answer.response.headers.len,
      .body = answer.response.body.len ? answer.response.body.bytes : "",
      .body_len = answer.response.body.len,
  };
  *response = lifted;
  return fine;
}

const char *tg_header(const tg_response *response, const char *name) {
  for (size_t i = 0; i < response->headers_len; i++)
    if (strcmp(response->headers[i].name, name) == 0) return response->headers[i].value;
  return NULL;
}

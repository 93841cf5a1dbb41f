/* The imports that every plugin may have: log, config, clock, random. */
#include <stdlib.h>
#include <string.h>

#include "call.h"

#define HOST(interface) "tidegate:host/" interface "@0.1.0"

ABI_IMPORT(HOST("log"), "write")
void import_log_write(uint32_t level, const char *message, size_t message_len, const void *fields, size_t fields_len);
ABI_IMPORT(HOST("config"), "get") void import_config_get(const char *key, size_t key_len, abi_maybe_text *answer);
ABI_IMPORT(HOST("clock"), "now-ms") uint64_t import_clock_now_ms(void);
ABI_IMPORT(HOST("clock"), "monotonic-us") uint64_t import_clock_monotonic_us(void);
ABI_IMPORT(HOST("random"), "bytes") void import_random_bytes(uint32_t len, abi_list *answer);
ABI_IMPORT(HOST("random"), "next-u64") uint64_t import_random_next_u64(void);

void tg_log(tg_level level, const char *message, const tg_pair *fields) {
  abi_list lowered = tg_lower_pairs(fields);
  import_log_write((uint32_t)level, message, strlen(message), lowered.items, lowered.len);
}

void tg_panic(const char *sentence) {
  tg_log(TG_ERROR, sentence, NULL);
  abort();
}

const tg_json *tg_config(const char *key) {
  abi_maybe_text answer;
  import_config_get(key, strlen(key), &answer);
  if (!answer.is_some) return NULL;
  const char *why;
  const tg_json *value = tg_parse(answer.text.bytes, answer.text.len, &why);
  if (!value) tg_panic(tg_format("the config `%s`: %s", key, why));
  return value;
}

uint64_t tg_now_ms(void) { return import_clock_now_ms(); }

uint64_t tg_monotonic_us(void) { return import_clock_monotonic_us(); }

void tg_random(void *bytes, size_t len) {
  /* What the host gives at once. */
  const size_t most = 65536;
  for (size_t filled = 0; filled < len;) {
    size_t wanted = len - filled < most ? len - filled : most;
    abi_list given;
    import_random_bytes((uint32_t)wanted, &given);
    memcpy((unsigned char *)bytes + filled, given.items, wanted);
    filled += wanted;
  }
}

uint64_t tg_random_u64(void) { return import_random_next_u64(); }

/* There where the plugin uses `rand`: without a seed of its own every instance would draw the same numbers. */
__attribute__((weak)) void srand(unsigned seed);
__attribute__((constructor)) static void tg_seed(void) {
  if (srand) srand((unsigned)tg_random_u64());
}

/* The export `snapshot`. */
#include "call.h"

#define SNAPSHOT "tidegate:plugin/snapshot@0.3.0"

struct tg_state {
  /* Of abi_text. */
  tg_vector payloads;
  /* NULL while the state is to be had. */
  const char *sentence;
};

void tg_give(tg_state *state, const tg_json *payload) {
  abi_text text = tg_lower_json(payload, "a payload", &state->sentence);
  *(abi_text *)tg_vector_add(&state->payloads, sizeof text) = text;
}

void tg_give_up(tg_state *state, const char *sentence, ...) {
  va_list arguments;
  va_start(arguments, sentence);
  state->sentence = tg_vformat(sentence, arguments);
  va_end(arguments);
}

/* result<list<string>, string> */
typedef struct {
  uint8_t is;
  union {
    abi_list payloads;
    abi_text error;
  };
} provided;

ABI_EXPORT(SNAPSHOT, "provide") const provided *tg_export_provide(const abi_context *given);
const provided *tg_export_provide(const abi_context *given) {
  bool cut = false;
  tg_state state = {0};
  tg_context context = tg_lift_context(given, &cut);
  if (cut)
    tg_give_up(&state, "%s", tg_nul_sentence);
  else
    tg_provide(&context, &state);
  provided *lowered = tg_alloc(sizeof *lowered);
  if (state.sentence)
    *lowered = (provided){.is = ABI_ERROR, .error = tg_lower_text(state.sentence)};
  else
    *lowered = (provided){.is = ABI_OK, .payloads = {state.payloads.items, state.payloads.len}};
  return lowered;
}

ABI_AFTER(SNAPSHOT, "provide") void tg_after_provide(const provided *lowered);
void tg_after_provide(const provided *lowered) { (void)lowered, tg_free_all(); }

/* The export `transform`. */
#include "call.h"

#define TRANSFORM "tidegate:plugin/transform@0.3.0"

struct tg_passage {
  /* None when the event should not cross. */
  abi_maybe_text payload;
  /* NULL once there is an answer. */
  const char *sentence;
};

void tg_cross(tg_passage *passage, const tg_json *payload) {
  passage->sentence = NULL;
  passage->payload = (abi_maybe_text){true, tg_lower_json(payload, "the payload", &passage->sentence)};
}

void tg_drop(tg_passage *passage) { *passage = (tg_passage){0}; }

void tg_bury(tg_passage *passage, const char *sentence, ...) {
  va_list arguments;
  va_start(arguments, sentence);
  passage->sentence = tg_vformat(sentence, arguments);
  va_end(arguments);
}

typedef struct {
  struct {
    abi_text type, source, id;
    abi_maybe_text subject, time;
    abi_text data;
  } event;
  abi_text topic, payload;
  uint32_t deadline_ms;
} question;

/* result<option<string>, string> */
typedef struct {
  uint8_t is;
  union {
    abi_maybe_text payload;
    abi_text error;
  };
} applied;

ABI_EXPORT(TRANSFORM, "apply") const applied *tg_export_apply(const question *question);
const applied *tg_export_apply(const question *question) {
  bool cut = false;
  const char *why = NULL;
  tg_passage passage = {.sentence = "the transform neither crossed nor dropped"};
  const tg_json *payload = tg_parse(question->payload.bytes, question->payload.len, &why);
  const tg_json *data = payload ? tg_parse(question->event.data.bytes, question->event.data.len, &why) : NULL;
  tg_crossing crossing = {
      .type = tg_lift_text(question->event.type, &cut),
      .source = tg_lift_text(question->event.source, &cut),
      .id = tg_lift_text(question->event.id, &cut),
      .subject = tg_lift_maybe(question->event.subject, &cut),
      .time = tg_lift_maybe(question->event.time, &cut),
      .data = data,
      .topic = tg_lift_text(question->topic, &cut),
      .deadline_ms = question->deadline_ms,
  };
  if (cut)
    tg_bury(&passage, "%s", tg_nul_sentence);
  else if (!data)
    tg_bury(&passage, "the event: %s", why);
  else
    tg_transform(&crossing, payload, &passage);
  applied *lowered = tg_alloc(sizeof *lowered);
  if (passage.sentence)
    *lowered = (applied){.is = ABI_ERROR, .error = tg_lower_text(passage.sentence)};
  else
    *lowered = (applied){.is = ABI_OK, .payload = passage.payload};
  return lowered;
}

ABI_AFTER(TRANSFORM, "apply") void tg_after_apply(const applied *lowered);
void tg_after_apply(const applied *lowered) { (void)lowered, tg_free_all(); }

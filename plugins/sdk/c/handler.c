/* The export `handler`. */
#include "call.h"

#define HANDLER "tidegate:plugin/handler@0.3.0"

typedef struct {
  abi_context context;
  abi_text payload;
} question;

/* result<outcome, refusal> */
typedef struct {
  uint8_t is;
  union {
    struct {
      abi_maybe_text reply;
      abi_list effects;
    } outcome;
    struct {
      uint8_t is;
      abi_text sentence;
    } refusal;
  };
} answered;

static answered lower(const tg_answer *answer) {
  const char *sentence = answer->sentence ? answer->sentence : answer->broken;
  tg_refusal why = answer->sentence ? answer->why : TG_FAILED;
  if (sentence) return (answered){.is = ABI_ERROR, .refusal = {(uint8_t)why, tg_lower_text(sentence)}};
  return (answered){.is = ABI_OK, .outcome = {answer->reply, {answer->effects.items, answer->effects.len}}};
}

ABI_EXPORT(HANDLER, "handle") const answered *tg_export_handle(const question *question);
const answered *tg_export_handle(const question *question) {
  bool cut = false;
  const char *why = NULL;
  tg_answer answer = {0};
  tg_context context = tg_lift_context(&question->context, &cut);
  const tg_json *payload = tg_parse(question->payload.bytes, question->payload.len, &why);
  if (cut)
    tg_refuse(&answer, TG_FAILED, "%s", tg_nul_sentence);
  else if (!payload)
    tg_refuse(&answer, TG_INVALID_PAYLOAD, "%s", why);
  else
    tg_handle(&context, payload, &answer);
  answered *lowered = tg_alloc(sizeof *lowered);
  *lowered = lower(&answer);
  return lowered;
}

ABI_AFTER(HANDLER, "handle") void tg_after_handle(const answered *lowered);
void tg_after_handle(const answered *lowered) { (void)lowered, tg_free_all(); }

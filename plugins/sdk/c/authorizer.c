/* The export `authorizer`. */
#include "call.h"

#define AUTHORIZER "tidegate:plugin/authorizer@0.3.0"

struct tg_decision {
  enum { UNDECIDED, ALLOWED, DENIED, UNKNOWN } is;
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
  *decision = (tg_decision){.is = DENIED, .sentence = tg_vformat(sentence, arguments)};
  va_end(arguments);
}

void tg_cannot_tell(tg_decision *decision, const char *sentence, ...) {
  va_list arguments;
  va_start(arguments, sentence);
  *decision = (tg_decision){.is = UNKNOWN, .sentence = tg_vformat(sentence, arguments)};
  va_end(arguments);
}

void tg_fail(tg_decision *decision, const char *sentence, ...) {
  va_list arguments;
  va_start(arguments, sentence);
  *decision = (tg_decision){.is = UNDECIDED, .sentence = tg_vformat(sentence, arguments)};
  va_end(arguments);
}

typedef struct {
  abi_context context;
  uint8_t action;
  abi_maybe_text payload;
} question;

/* result<decision, string> */
typedef struct {
  uint8_t is;
  union {
    struct {
      uint8_t is;
      union {
        struct {
          uint32_t ttl_ms;
          abi_maybe_user user;
        } grant;
        abi_text sentence;
      };
    } decision;
    abi_text error;
  };
} decided;

enum { ABI_ALLOW, ABI_DENY, ABI_CANNOT_TELL };

_Static_assert(sizeof(void *) != 4 || sizeof(decided) == 44, "the canonical ABI");

static abi_maybe_user lower_user(const tg_user *user) {
  if (!user) return (abi_maybe_user){0};
  abi_text *roles = tg_alloc_many(user->roles_len, sizeof *roles);
  for (size_t i = 0; i < user->roles_len; i++) roles[i] = tg_lower_text(user->roles[i]);
  return (abi_maybe_user){true, {tg_lower_text(user->id), {roles, user->roles_len}, tg_lower_maybe(user->tenant)}};
}

static decided lower(const tg_decision *decision) {
  decided lowered = {.is = ABI_OK};
  switch (decision->is) {
    case ALLOWED:
      lowered.decision.is = ABI_ALLOW;
      lowered.decision.grant.ttl_ms = decision->ttl_ms;
      lowered.decision.grant.user = lower_user(decision->user);
      return lowered;
    case DENIED:
    case UNKNOWN:
      lowered.decision.is = decision->is == DENIED ? ABI_DENY : ABI_CANNOT_TELL;
      lowered.decision.sentence = tg_lower_text(decision->sentence);
      return lowered;
    default:
      return (decided){.is = ABI_ERROR, .error = tg_lower_text(decision->sentence)};
  }
}

ABI_EXPORT(AUTHORIZER, "authorize") const decided *tg_export_authorize(const question *question);
const decided *tg_export_authorize(const question *question) {
  bool cut = false;
  const char *why = NULL;
  tg_decision decision = {.sentence = "the authorizer neither allowed nor denied"};
  tg_context context = tg_lift_context(&question->context, &cut);
  abi_text text = question->payload.text;
  const tg_json *payload = question->payload.is_some ? tg_parse(text.bytes, text.len, &why) : NULL;
  if (cut)
    tg_fail(&decision, "%s", tg_nul_sentence);
  else if (why)
    tg_fail(&decision, "the payload: %s", why);
  else
    tg_authorize(&context, (tg_action)question->action, payload, &decision);
  decided *lowered = tg_alloc(sizeof *lowered);
  *lowered = lower(&decision);
  return lowered;
}

ABI_AFTER(AUTHORIZER, "authorize") void tg_after_authorize(const decided *lowered);
void tg_after_authorize(const decided *lowered) { (void)lowered, tg_free_all(); }

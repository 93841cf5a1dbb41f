/* Lets the users listed in the config in, and nobody else. */
#include "tidegate.h"

#include <string.h>

void tg_authorize(const tg_context *context, tg_action action, const tg_json *payload, tg_decision *decision) {
  if (!context->user) {
    tg_deny(decision, "anonymous");
    return;
  }
  tg_each (member, tg_config("members")) {
    const char *id = tg_text(member->value);
    if (id && strcmp(id, context->user->id) == 0) {
      tg_allow(decision, 0);
      return;
    }
  }
  tg_deny(decision, "`%s` is no member", context->user->id);
}

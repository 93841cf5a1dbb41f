/* Greets whoever is named in a message. */
#include "tidegate.h"

void tg_handle(const tg_context *context, const tg_json *payload, tg_answer *answer) {
  const char *why, *name = tg_want_text(payload, "name", &why);
  if (!name) {
    tg_refuse(answer, TG_INVALID_PAYLOAD, "%s", why);
    return;
  }
  const char *greeting = tg_text(tg_config("greeting"));
  if (!greeting) {
    tg_refuse(answer, TG_FAILED, "`config.greeting` is missing in plugin.yaml");
    return;
  }
  tg_reply(answer, tg_set_text(tg_object(), "text", tg_format("%s, %s", greeting, name)));
}

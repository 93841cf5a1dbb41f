/* Makes a greeting of every event that has a name, and keeps the others from crossing. */
#include "tidegate.h"

void tg_transform(const tg_crossing *crossing, const tg_json *payload, tg_passage *passage) {
  if (!tg_get(payload, "name")) {
    tg_drop(passage);
    return;
  }
  const char *why, *name = tg_want_text(payload, "name", &why);
  if (!name) {
    tg_bury(passage, "%s", why);
    return;
  }
  const char *greeting = tg_text(tg_config("greeting"));
  if (!greeting) {
    tg_bury(passage, "`config.greeting` is missing in plugin.yaml");
    return;
  }
  tg_cross(passage, tg_set_text(tg_object(), "text", tg_format("%s, %s", greeting, name)));
}

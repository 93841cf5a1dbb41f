/* Gives the greeting of the config to who subscribes. */
#include "tidegate.h"

void tg_provide(const tg_context *context, tg_state *state) {
  const char *greeting = tg_text(tg_config("greeting"));
  if (!greeting) {
    tg_give_up(state, "`config.greeting` is missing in plugin.yaml");
    return;
  }
  tg_give(state, tg_set_text(tg_object(), "text", greeting));
}

/* Answers what clients send on `{{channel}}`. */
#include "tidegate.h"

/* To publish to the subscribers: tg_emit(answer, context->topic, payload, TG_EVERYONE), and the grant in plugin.yaml. */
void tg_handle(const tg_context *context, const tg_json *message, tg_answer *answer) {
  tg_reply(answer, message);
}

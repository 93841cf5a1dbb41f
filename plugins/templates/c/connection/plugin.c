/* Tells the bus who came and who went. */
#include "tidegate.h"

void tg_connection(const tg_peer *peer, tg_phase phase, tg_answer *answer) {
  tg_json *visitor = tg_object();
  tg_set(visitor, "user", peer->user ? tg_string(peer->user->id) : tg_null());
  tg_publish(answer, phase == TG_CONNECTED ? "visitor.came" : "visitor.went", NULL, visitor);
}

/* The export `connection`. */
#include "call.h"

#define CONNECTION "tidegate:plugin/connection@0.3.0"

/* result<list<effect>, string> */
typedef struct {
  uint8_t is;
  union {
    abi_list effects;
    abi_text error;
  };
} changed;

/* Few enough fields that the record arrives as arguments, one by one. */
ABI_EXPORT(CONNECTION, "changed")
const changed *tg_export_changed(const char *connection, size_t connection_len, bool has_user, const char *id, size_t id_len,
                                 const abi_text *roles, size_t roles_len, bool has_tenant, const char *tenant,
                                 size_t tenant_len, uint64_t received_at_ms, uint32_t deadline_ms, uint32_t phase);
const changed *tg_export_changed(const char *connection, size_t connection_len, bool has_user, const char *id, size_t id_len,
                                 const abi_text *roles, size_t roles_len, bool has_tenant, const char *tenant,
                                 size_t tenant_len, uint64_t received_at_ms, uint32_t deadline_ms, uint32_t phase) {
  bool cut = false;
  abi_user user = {{id, id_len}, {roles, roles_len}, {has_tenant, {tenant, tenant_len}}};
  tg_peer peer = {
      .connection_id = tg_lift_text((abi_text){connection, connection_len}, &cut),
      .user = has_user ? tg_lift_user(&user, &cut) : NULL,
      .received_at_ms = received_at_ms,
      .deadline_ms = deadline_ms,
  };
  tg_answer answer = {0};
  if (cut)
    tg_refuse(&answer, TG_FAILED, "%s", tg_nul_sentence);
  else
    tg_connection(&peer, (tg_phase)phase, &answer);
  const char *sentence = answer.sentence ? answer.sentence : answer.broken;
  changed *lowered = tg_alloc(sizeof *lowered);
  if (sentence)
    *lowered = (changed){.is = ABI_ERROR, .error = tg_lower_text(sentence)};
  else
    *lowered = (changed){.is = ABI_OK, .effects = {answer.effects.items, answer.effects.len}};
  return lowered;
}

ABI_AFTER(CONNECTION, "changed") void tg_after_changed(const changed *lowered);
void tg_after_changed(const changed *lowered) { (void)lowered, tg_free_all(); }

/* What the compiler asks for where the plugin does what C leaves undefined: it is told with its place, and the instance traps.
 * Left alone, a read through NULL would find the bytes at address 0 of the instance's memory. */
#include "tidegate.h"

#include <stdint.h>

/* As clang lays them out for its own handlers: the place comes first. */
typedef struct {
  const char *file;
  uint32_t line, column;
} place;

static const char *base(const char *path) {
  const char *last = path;
  for (const char *at = path; *at; at++)
    if (*at == '/') last = at + 1;
  return last;
}

static _Noreturn void mistake(const char *what, const place *at) {
  tg_log(TG_ERROR, tg_format("%s, at %s:%u", what, base(at->file), (unsigned)at->line), NULL);
  __builtin_trap();
}

#define CHECK(name, what, ...) \
  _Noreturn void __ubsan_handle_##name##_abort(const place *at, ##__VA_ARGS__); \
  _Noreturn void __ubsan_handle_##name##_abort(const place *at, ##__VA_ARGS__) { mistake(what, at); }

CHECK(type_mismatch_v1, "a read or write through NULL", uintptr_t pointer)
CHECK(nonnull_arg, "NULL where the function takes none")
CHECK(divrem_overflow, "a division by zero", uintptr_t left, uintptr_t right)
CHECK(out_of_bounds, "an index outside of the array", uintptr_t index)

/* The memory of one call, in blocks. */
#include "memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct block {
  struct block *before;
  size_t used, size;
  unsigned char *bytes;
} block;

enum { UNIT = 8, FIRST_BYTES = 32 * 1024, BLOCK_BYTES = 64 * 1024 };

/* Most calls need no more than this, and so never grow the instance's memory. */
static _Alignas(UNIT) unsigned char first_bytes[FIRST_BYTES];
static block first = {.size = FIRST_BYTES, .bytes = first_bytes};
static block *blocks = &first;

static void *must(void *memory) {
  if (!memory) abort();
  return memory;
}

static size_t rounded(size_t size) {
  if (size > PTRDIFF_MAX - UNIT) abort();
  return (size + UNIT - 1) / UNIT * UNIT;
}

void *tg_alloc(size_t size) {
  size = rounded(size);
  if (blocks->size - blocks->used < size) {
    size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
    block *fresh = must(malloc(sizeof *fresh));
    *fresh = (block){.before = blocks, .size = room, .bytes = must(malloc(room))};
    blocks = fresh;
  }
  void *taken = blocks->bytes + blocks->used;
  blocks->used += size;
  return taken;
}

void *tg_alloc_many(size_t count, size_t size) {
  size_t total;
  if (__builtin_mul_overflow(count, size, &total)) abort();
  return tg_alloc(total);
}

void *tg_alloc_grown(void *taken, size_t old_size, size_t new_size) {
  if (new_size <= old_size) return taken;
  size_t had = rounded(old_size);
  bool is_last = taken && (unsigned char *)taken + had == blocks->bytes + blocks->used;
  if (is_last && rounded(new_size) - had <= blocks->size - blocks->used) {
    blocks->used += rounded(new_size) - had;
    return taken;
  }
  void *fresh = tg_alloc(new_size);
  if (old_size) memcpy(fresh, taken, old_size);
  return fresh;
}

void tg_free_all(void) {
  while (blocks != &first) {
    block *before = blocks->before;
    free(blocks->bytes);
    free(blocks);
    blocks = before;
  }
  first.used = 0;
}

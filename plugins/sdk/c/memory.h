/* The memory of one call: taken piece by piece, freed all at once when the host has read the answer. */
#ifndef TIDEGATE_MEMORY_H
#define TIDEGATE_MEMORY_H

#include <stddef.h>

/* `size` bytes, aligned for everything but a long double, not zeroed. Never NULL: where the instance's memory is used
 * up it ends the call with a trap, since nothing sensible can follow. */
void *tg_alloc(size_t size);
/* `count` times `size` bytes. */
void *tg_alloc_many(size_t count, size_t size);
/* As realloc, for what tg_alloc gave; in place where it was the last. */
void *tg_alloc_grown(void *taken, size_t old_size, size_t new_size);
/* Gives all of it back. */
void tg_free_all(void);

/* Ends the call with a trap and the sentence in the log: for mistakes of the plugin's code. */
_Noreturn void tg_panic(const char *sentence);

#endif

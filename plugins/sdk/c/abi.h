/* How the canonical ABI of the component model lays the types of `wit/` out in memory. wasm32's C lays structs out the
 * same way, so each type is a struct; a variant is its case, one byte, and a union. */
#ifndef TIDEGATE_ABI_H
#define TIDEGATE_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exports and imports by the names of the contract: `tidegate:plugin/handler@0.3.0` and `handle`. */
#define ABI_EXPORT(interface, function) __attribute__((export_name(interface "#" function)))
/* What the host calls when it has read the answer. */
#define ABI_AFTER(interface, function) __attribute__((export_name("cabi_post_" interface "#" function)))
#define ABI_IMPORT(interface, function) __attribute__((import_module(interface), import_name(function)))

/* A string that came from the host has a NUL after its end. */
typedef struct {
  const char *bytes;
  size_t len;
} abi_text;

typedef struct {
  const void *items;
  size_t len;
} abi_list;

typedef struct {
  bool is_some;
  abi_text text;
} abi_maybe_text;

typedef struct {
  abi_text name, value;
} abi_pair;

typedef struct {
  abi_text id;
  abi_list roles;
  abi_maybe_text tenant;
} abi_user;

typedef struct {
  bool is_some;
  abi_user user;
} abi_maybe_user;

typedef struct {
  abi_text topic, channel;
  abi_list params;
  abi_maybe_user user;
  abi_text connection_id;
  uint64_t received_at_ms;
  uint32_t deadline_ms;
  abi_list attributes;
} abi_context;

enum { ABI_EMIT, ABI_PUBLISH, ABI_REMOVE };

typedef struct {
  uint8_t is;
  union {
    struct {
      abi_text topic, payload;
      uint8_t to;
    } emit;
    struct {
      abi_text kind;
      abi_maybe_text subject;
      abi_text data;
    } publish;
    struct {
      abi_text topic;
      abi_maybe_text key;
    } remove;
  };
} abi_effect;

/* The first byte of a result. */
enum { ABI_OK, ABI_ERROR };

_Static_assert(sizeof(void *) != 4 || (sizeof(abi_context) == 88 && sizeof(abi_effect) == 32), "the canonical ABI");

#endif

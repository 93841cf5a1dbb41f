/* Functions of the C library that read through what they are given. The compiler checks that it is not NULL: see checks.c. */
#ifndef TIDEGATE_NONNULL_H
#define TIDEGATE_NONNULL_H

#include <stdlib.h>
#include <string.h>

#define TG_NONNULL __attribute__((nonnull))

TG_NONNULL size_t strlen(const char *);
TG_NONNULL int strcmp(const char *, const char *);
TG_NONNULL int strncmp(const char *, const char *, size_t);
TG_NONNULL char *strchr(const char *, int);
TG_NONNULL char *strrchr(const char *, int);
TG_NONNULL char *strstr(const char *, const char *);
TG_NONNULL char *strcpy(char *restrict, const char *restrict);
TG_NONNULL char *strncpy(char *restrict, const char *restrict, size_t);
TG_NONNULL char *strcat(char *restrict, const char *restrict);
TG_NONNULL char *strdup(const char *);
TG_NONNULL int atoi(const char *);
TG_NONNULL long atol(const char *);
TG_NONNULL double atof(const char *);

#endif

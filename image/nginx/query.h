/* Parameters of a query that do not tell stored responses apart. Pure functions over bytes, without nginx. */
#ifndef POP_QUERY_H
#define POP_QUERY_H

#include <stddef.h>

/* A parameter's name, or what it begins with. */
typedef struct {
  const unsigned char *text;
  size_t length;
  unsigned prefix : 1;
} pop_parameter_t;

typedef struct {
  unsigned all : 1; /* the whole query */
  const pop_parameter_t *names;
  size_t count;
} pop_ignored_t;

/*
 * Copies a request's target without the ignored parameters, as the visitor spelt the rest, and returns the length of the copy. `to` has room for all of it.
 * Names are compared as they are written. A parameter with `;` or `#` in it is never ignored: an origin that takes those for separators would find others in it.
 */
size_t pop_trim_query(unsigned char *to, const unsigned char *target, size_t length, const pop_ignored_t *ignored);

#endif

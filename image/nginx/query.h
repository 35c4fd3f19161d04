/* Query parameters that do not distinguish stored responses. Pure functions over bytes, without nginx. */
#ifndef POP_QUERY_H
#define POP_QUERY_H

#include <stddef.h>

/* A parameter's name, or the start of one. */
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
 * Copies a request's target without the ignored parameters, leaves the rest as the visitor spelled it, and returns the length of the copy. `to` has room for
 * all of it. Names are compared as they are written. A parameter that contains `;` or `#` is never ignored: an origin that treats those as separators would
 * find other parameters in it.
 */
size_t pop_trim_query(unsigned char *to, const unsigned char *target, size_t length, const pop_ignored_t *ignored);

#endif

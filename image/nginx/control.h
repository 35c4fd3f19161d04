/*
 * What an answer's fields say about storing it and about its connection: Cache-Control, Age, Vary and Keep-Alive as text. Pure functions over bytes, without nginx.
 * RFC 9111 section 5; https://www.rfc-editor.org/rfc/rfc9111
 */
#ifndef POP_CONTROL_H
#define POP_CONTROL_H

#include <stddef.h>
#include <stdint.h>

/* Seconds larger than this are this: RFC 9111 1.2.2. */
enum { POP_SECONDS_MAX = INT32_MAX, POP_VARY_MAX = 128 };

/* All Cache-Control fields of one answer. Seconds that are not stated are -1; what cannot be parsed is 0, "stale". */
typedef struct {
  unsigned no_store : 1;
  unsigned no_cache : 1;
  unsigned private : 1;
  unsigned public : 1;
  unsigned must_revalidate : 1;
  unsigned proxy_revalidate : 1;
  unsigned must_understand : 1;
  int64_t max_age;
  int64_t s_maxage;
  int64_t stale_if_error;
  int64_t stale_while_revalidate;
} pop_control_t;

/* Header names an answer varies by: in lower case, each once, separated by one comma. */
typedef struct {
  unsigned char text[POP_VARY_MAX];
  size_t length;
  unsigned any : 1; /* "*", or more names than there is room for */
} pop_vary_t;

void pop_control_init(pop_control_t *control);

/* Adds one Cache-Control field. Of two values for the same directive the smaller one counts. */
void pop_control_add(pop_control_t *control, const unsigned char *value, size_t length);

/* Delta-seconds, at most POP_SECONDS_MAX, or -1 when it is anything but digits. */
int64_t pop_seconds(const unsigned char *value, size_t length);

/* Seconds for which a Keep-Alive field says that an idle connection stays open ("timeout=5, max=100"), or -1 when it does not. */
int64_t pop_keep_alive(const unsigned char *value, size_t length);

/* Adds the names of one Vary field. Accept-Encoding is left out: the origin is always asked for plain text. */
void pop_vary_add(pop_vary_t *vary, const unsigned char *value, size_t length);

/* Whether a comma-separated list, such as Connection's, holds the name, whatever its case. */
int pop_list_has(const unsigned char *list, size_t length, const unsigned char *name, size_t name_length);

#endif

/*
 * Parses the header fields that control caching and the connection: Cache-Control, Age, Vary and Keep-Alive. Pure functions over bytes, without nginx.
 * RFC 9111 section 5; https://www.rfc-editor.org/rfc/rfc9111
 */
#ifndef POP_CONTROL_H
#define POP_CONTROL_H

#include <stddef.h>
#include <stdint.h>

/* Larger delta-seconds are taken as this value: RFC 9111 1.2.2. */
enum { POP_SECONDS_MAX = INT32_MAX, POP_VARY_MAX = 128 };

/* All Cache-Control fields of one response. Seconds are -1 if absent, and 0 (stale) if they cannot be parsed. */
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

/* Names of the request fields a response varies by: in lower case, each once, separated by one comma. */
typedef struct {
  unsigned char text[POP_VARY_MAX];
  size_t length;
  unsigned any : 1; /* "*", or more names than fit */
} pop_vary_t;

void pop_control_init(pop_control_t *control);

/* Adds one Cache-Control field. If a directive has two values, the smaller one counts. */
void pop_control_add(pop_control_t *control, const unsigned char *value, size_t length);

/* Delta-seconds, at most POP_SECONDS_MAX, or -1 if it contains anything but digits. */
int64_t pop_seconds(const unsigned char *value, size_t length);

/* How many seconds an idle connection stays open, from a Keep-Alive field ("timeout=5, max=100"), or -1 if it does not say. */
int64_t pop_keep_alive(const unsigned char *value, size_t length);

/* Adds the names of one Vary field. Accept-Encoding is left out: origins are always asked for uncompressed responses. */
void pop_vary_add(pop_vary_t *vary, const unsigned char *value, size_t length);

/* Whether a comma-separated list, such as Connection's, contains the name, ignoring case. */
int pop_list_has(const unsigned char *list, size_t length, const unsigned char *name, size_t name_length);

#endif

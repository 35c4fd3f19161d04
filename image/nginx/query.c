#include "query.h"

#include <string.h>

static int is_ignored(const unsigned char *parameter, size_t length, const pop_ignored_t *ignored) {
  if (memchr(parameter, ';', length) || memchr(parameter, '#', length)) return 0;
  const unsigned char *equals = memchr(parameter, '=', length);
  size_t named = equals ? (size_t)(equals - parameter) : length;
  for (size_t i = 0; i < ignored->count; i++) {
    const pop_parameter_t *name = &ignored->names[i];
    if ((name->prefix ? named >= name->length : named == name->length) && memcmp(parameter, name->text, name->length) == 0) return 1;
  }
  return 0;
}

size_t pop_trim_query(unsigned char *to, const unsigned char *target, size_t length, const pop_ignored_t *ignored) {
  const unsigned char *end = target + length, *p = memchr(target, '?', length);
  unsigned char *last = to + length;
  int removed = 0;

  memcpy(to, target, length);
  if (p == NULL || memchr(target, '#', (size_t)(p - target))) return length;
  last = to + (p - target);
  if (ignored->all) return (size_t)(last - to);
  for (unsigned char separator = '?'; p < end;) {
    const unsigned char *parameter = p + 1, *next = memchr(parameter, '&', (size_t)(end - parameter));
    size_t size = (size_t)((next ? next : end) - parameter);
    if (is_ignored(parameter, size, ignored)) {
      removed = 1;
    } else {
      *last++ = separator;
      memmove(last, parameter, size);
      last += size;
      separator = '&';
    }
    p = next ? next : end;
  }
  return removed ? (size_t)(last - to) : length;
}

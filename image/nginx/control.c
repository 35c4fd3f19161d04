#include "control.h"

#include <string.h>

typedef struct {
  const unsigned char *data;
  size_t length;
} text_t;

static unsigned char lower(unsigned char c) { return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c; }

static int is_space(unsigned char c) { return c == ' ' || c == '\t'; }

static int same(text_t a, const char *b) {
  if (a.length != strlen(b)) return 0;
  for (size_t i = 0; i < a.length; i++)
    if (lower(a.data[i]) != (unsigned char)b[i]) return 0;
  return 1;
}

static text_t trimmed(const unsigned char *start, const unsigned char *end) {
  while (start < end && is_space(*start)) start++;
  while (end > start && is_space(end[-1])) end--;
  return (text_t){start, (size_t)(end - start)};
}

/* Finds the next member of a comma-separated list and returns where the one after it starts. Commas in quoted strings do not separate. */
static const unsigned char *member(const unsigned char *p, const unsigned char *end, text_t *out) {
  const unsigned char *start = p;
  int quoted = 0;
  for (; p < end; p++) {
    if (quoted && *p == '\\' && p + 1 < end) p++;
    else if (*p == '"') quoted = !quoted;
    else if (*p == ',' && !quoted) break;
  }
  *out = trimmed(start, p);
  return p < end ? p + 1 : end;
}

int64_t pop_seconds(const unsigned char *value, size_t length) {
  int64_t seconds = 0;
  if (length == 0) return -1;
  for (size_t i = 0; i < length; i++) {
    if (value[i] < '0' || value[i] > '9') return -1;
    seconds = seconds * 10 + (value[i] - '0');
    if (seconds > POP_SECONDS_MAX) seconds = POP_SECONDS_MAX;
  }
  return seconds;
}

int64_t pop_keep_alive(const unsigned char *value, size_t length) {
  static const char name[] = "timeout=";
  const unsigned char *p = value, *end = value + length;
  while (p < end) {
    text_t parameter;
    p = member(p, end, &parameter);
    if (parameter.length < sizeof name - 1 || !same((text_t){parameter.data, sizeof name - 1}, name)) continue;
    return pop_seconds(parameter.data + sizeof name - 1, parameter.length - (sizeof name - 1));
  }
  return -1;
}

/* Quotes around an argument are ignored. */
static void limit(int64_t *seconds, text_t value) {
  if (value.length >= 2 && value.data[0] == '"' && value.data[value.length - 1] == '"')
    value = (text_t){value.data + 1, value.length - 2};
  int64_t stated = pop_seconds(value.data, value.length);
  if (stated < 0) stated = 0;
  if (*seconds < 0 || stated < *seconds) *seconds = stated;
}

void pop_control_init(pop_control_t *control) {
  memset(control, 0, sizeof *control);
  control->max_age = control->s_maxage = control->stale_if_error = control->stale_while_revalidate = -1;
}

void pop_control_add(pop_control_t *control, const unsigned char *value, size_t length) {
  const unsigned char *p = value, *end = value + length;
  while (p < end) {
    text_t directive;
    p = member(p, end, &directive);
    const unsigned char *equals = directive.length ? memchr(directive.data, '=', directive.length) : NULL;
    const unsigned char *stop = directive.data + directive.length;
    text_t name = trimmed(directive.data, equals ? equals : stop);
    text_t argument = {stop, 0};
    /* The grammar allows no space around "=": such an argument is invalid, not absent. */
    if (equals && equals + 1 < stop && name.data + name.length == equals)
      argument = (text_t){equals + 1, (size_t)(stop - equals - 1)};

    if (same(name, "no-store")) control->no_store = 1;
    else if (same(name, "no-cache")) control->no_cache = 1;
    else if (same(name, "private")) control->private = 1;
    else if (same(name, "public")) control->public = 1;
    else if (same(name, "must-revalidate")) control->must_revalidate = 1;
    else if (same(name, "proxy-revalidate")) control->proxy_revalidate = 1;
    else if (same(name, "must-understand")) control->must_understand = 1;
    else if (same(name, "max-age")) limit(&control->max_age, argument);
    else if (same(name, "s-maxage")) limit(&control->s_maxage, argument);
    else if (same(name, "stale-if-error")) limit(&control->stale_if_error, argument);
    else if (same(name, "stale-while-revalidate")) limit(&control->stale_while_revalidate, argument);
  }
}

int pop_list_has(const unsigned char *list, size_t length, const unsigned char *name, size_t name_length) {
  const unsigned char *p = list, *end = list + length;
  while (p < end) {
    text_t item;
    size_t i = 0;
    p = member(p, end, &item);
    if (item.length == 0 || item.length != name_length) continue;
    while (i < name_length && lower(item.data[i]) == lower(name[i])) i++;
    if (i == name_length) return 1;
  }
  return 0;
}

void pop_vary_add(pop_vary_t *vary, const unsigned char *value, size_t length) {
  const unsigned char *p = value, *end = value + length;
  while (p < end) {
    text_t name;
    p = member(p, end, &name);
    if (name.length == 0 || same(name, "accept-encoding") || pop_list_has(vary->text, vary->length, name.data, name.length)) continue;
    if (same(name, "*") || vary->length + 1 + name.length > sizeof vary->text) {
      vary->any = 1;
      return;
    }
    if (vary->length) vary->text[vary->length++] = ',';
    for (size_t i = 0; i < name.length; i++) vary->text[vary->length++] = lower(name.data[i]);
  }
}

/*
 * Tests of the files that do not need nginx: control.c, freshness.c and query.c. The image's `module-vet` stage compiles and runs them under AddressSanitizer
 * and UndefinedBehaviorSanitizer, with a number of rounds of random fields after the tables.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../freshness.h"
#include "../query.h"

static int failures;

static void expect(const char *what, const char *input, int64_t got, int64_t wanted) {
  if (got == wanted) return;
  failures++;
  printf("%s of %s: %" PRId64 ", not %" PRId64 "\n", what, input, got, wanted);
}

/* On the heap with the exact size, so that the sanitizer sees reads past the end. */
static unsigned char *exact(const char *text, size_t length) {
  unsigned char *copy = malloc(length ? length : 1);
  memcpy(copy, text, length);
  return copy;
}

static pop_control_t control(const char *fields) {
  pop_control_t result;
  pop_control_init(&result);
  while (*fields) { /* fields end at a newline */
    size_t length = strcspn(fields, "\n");
    unsigned char *copy = exact(fields, length);
    pop_control_add(&result, copy, length);
    free(copy);
    fields += length + (fields[length] == '\n');
  }
  return result;
}

static void test_max_age(void) {
  static const struct {
    const char *fields;
    int64_t max_age;
  } table[] = {
      {"", -1},
      {"max-age=60", 60},
      {"MAX-AGE=60", 60},
      {"max-age=\"60\"", 60},
      {"max-age=060", 60},
      {"public, max-age=60 ", 60},
      {",, max-age=60,", 60},
      {"max-age=60, max-age=10", 10},
      {"max-age=10\nmax-age=60", 10},
      {"x=\"max-age=3600\", max-age=1", 1},
      {"x=\"a\\\", max-age=3600\", max-age=1", 1},
      {"x=\"max-age=3600", -1},
      {"max-age=99999999999999999999999999", POP_SECONDS_MAX},
      {"max-age=2147483648", POP_SECONDS_MAX},
      {"max-age", 0},
      {"max-age=", 0},
      {"max-age=\"", 0},
      {"max-age=\"\"", 0},
      {"max-age='60'", 0},
      {"max-age=-1", 0},
      {"max-age=60.5", 0},
      {"max-age=60a", 0},
      {"max-age =60", 0},
      {"max-age= 60", 0},
      {"max-age=60;x", 0},
      {"xmax-age=60", -1},
      {"max-agex=60", -1},
      {"s-maxage=60", -1},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    expect("max-age", table[i].fields, control(table[i].fields).max_age, table[i].max_age);
}

static void test_directives(void) {
  expect("no-store", "No-Store", control("No-Store").no_store, 1);
  expect("no-store", "no-store=1", control("no-store=1").no_store, 1);
  expect("no-store", "no-stored", control("no-stored").no_store, 0);
  expect("private", "private=\"a, b\"", control("private=\"a, b\"").private, 1);
  expect("no-cache", "x, no-cache=\"set-cookie\"", control("x, no-cache=\"set-cookie\"").no_cache, 1);
  expect("no-cache", "x=\"no-cache\"", control("x=\"no-cache\"").no_cache, 0);
  expect("stale-if-error", "stale-if-error=5", control("stale-if-error=5").stale_if_error, 5);
  expect("stale-while-revalidate", "stale-while-revalidate=6", control("stale-while-revalidate=6").stale_while_revalidate, 6);
}

static void test_vary(void) {
  static const struct {
    const char *fields, *list; /* NULL: any */
  } table[] = {
      {"", ""},
      {"Accept-Encoding", ""},
      {"B, a", "b,a"},
      {"a,A\nb", "a,b"},
      {"ab, a, abc, AB", "ab,a,abc"},
      {"Accept-Encoding, Origin, accept-encoding", "origin"},
      {"*", NULL},
      {", *", NULL},
      {"a, *", NULL},
      {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, b", NULL},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    pop_vary_t vary = {0};
    for (const char *field = table[i].fields; *field;) {
      size_t length = strcspn(field, "\n");
      pop_vary_add(&vary, (const unsigned char *)field, length);
      field += length + (field[length] == '\n');
    }
    expect("vary: any", table[i].fields, vary.any, table[i].list == NULL);
    if (!vary.any)
      expect("vary: same", table[i].fields,
             vary.length == strlen(table[i].list) && memcmp(vary.text, table[i].list, vary.length) == 0, 1);
  }
}

static void test_list(void) {
  expect("list", "close, X-A", pop_list_has((const unsigned char *)"close, X-A", 10, (const unsigned char *)"x-a", 3), 1);
  expect("list", "close, X-AB", pop_list_has((const unsigned char *)"close, X-AB", 11, (const unsigned char *)"x-a", 3), 0);
}

static void test_keep_alive(void) {
  static const struct {
    const char *field;
    int64_t seconds;
  } table[] = {
      {"timeout=5", 5},        {"timeout=5, max=100", 5}, {"max=100, Timeout=20", 20}, {"timeout=0", 0},     {"timeout=99999999999999999999", POP_SECONDS_MAX},
      {"", -1},                {"timeout", -1},           {"timeout=", -1},            {"timeout=-1", -1},   {"timeout=5s", -1},
      {"\"timeout=5\"", -1},   {"max=5", -1},             {"xtimeout=5", -1},          {"300", -1},          {"timeout=5; max=100", -1},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    size_t length = strlen(table[i].field);
    unsigned char *copy = exact(table[i].field, length);
    expect("keep-alive", table[i].field, pop_keep_alive(copy, length), table[i].seconds);
    free(copy);
  }
}

enum { NOW = 1000000 };

/* A response with these header fields and a Date of now. */
static pop_response_t response(unsigned status, const char *fields) {
  pop_response_t a = {.control = control(fields), .status = status, .date = NOW, .expires = POP_ABSENT, .age = POP_ABSENT};
  return a;
}

static const pop_rules_t silent = {.max_age = 0}, generous = {.max_age = 60, .stale_if_error = 1000, .stale_while_revalidate = 100};

#define JUDGE(rules, ...) pop_decide(&(pop_response_t){__VA_ARGS__}, &rules, NOW)

static void test_lifetime(void) {
  pop_response_t a = response(200, "max-age=60");
  expect("expires", "max-age=60", pop_decide(&a, &silent, NOW).expires, NOW + 59);
  a.age = 50;
  expect("expires", "max-age=60, Age 50", pop_decide(&a, &silent, NOW).expires, NOW + 9);
  a.age = 60;
  expect("fresh", "max-age=60, Age 60", pop_decide(&a, &silent, NOW).fresh, 0);
  expect("store", "max-age=60, Age 60", pop_decide(&a, &silent, NOW).store, 0);
  a.validator = 1;
  expect("store", "max-age=60, Age 60, ETag", pop_decide(&a, &silent, NOW).store, 1);
  a.age = POP_INVALID;
  expect("fresh", "max-age=60, Age x", pop_decide(&a, &silent, NOW).fresh, 0);
  a.age = POP_ABSENT, a.date = NOW - 70;
  expect("fresh", "max-age=60, Date -70", pop_decide(&a, &silent, NOW).fresh, 0);
  a.date = NOW + 1000;
  expect("expires", "max-age=60, Date +1000", pop_decide(&a, &silent, NOW).expires, NOW + 59);

  a = response(200, "");
  a.expires = NOW + 30;
  expect("expires", "Expires +30", pop_decide(&a, &generous, NOW).expires, NOW + 29);
  expect("by_rule", "Expires +30", pop_decide(&a, &generous, NOW).by_rule, 0);
  a.date = NOW - 30;
  expect("expires", "Expires +30, Date -30", pop_decide(&a, &silent, NOW).expires, NOW + 29);
  a.date = POP_INVALID;
  expect("expires", "Expires +30, Date x", pop_decide(&a, &silent, NOW).expires, NOW + 29);
  a.expires = POP_INVALID;
  expect("store", "Expires 0", pop_decide(&a, &generous, NOW).store, 0);
  a = response(200, "max-age=60, s-maxage=10");
  expect("expires", "s-maxage=10", pop_decide(&a, &silent, NOW).expires, NOW + 9);
  a = response(200, "max-age=60");
  a.expires = NOW - 1;
  expect("expires", "max-age beats Expires", pop_decide(&a, &silent, NOW).expires, NOW + 59);
  a = response(200, "max-age=60");
  a.date = 0, a.expires = 0;
  expect("fresh", "Date of the epoch", pop_decide(&a, &silent, NOW).fresh, 0);
}

static void test_rule(void) {
  pop_response_t a = response(200, "");
  expect("expires", "nothing, rule of 60", pop_decide(&a, &generous, NOW).expires, NOW + 59);
  expect("by_rule", "nothing, rule of 60", pop_decide(&a, &generous, NOW).by_rule, 1);
  expect("store", "nothing, no rule", pop_decide(&a, &silent, NOW).store, 0);
  a.cookie = 1;
  expect("store", "nothing, Cookie", pop_decide(&a, &generous, NOW).store, 0);
  expect("personal", "nothing, Cookie", pop_decide(&a, &generous, NOW).personal, 1);
  a.validator = 1;
  expect("store", "nothing, Cookie, ETag", pop_decide(&a, &silent, NOW).store, 0);
  a = response(200, "max-age=60");
  a.cookie = 1;
  expect("store", "max-age, Cookie", pop_decide(&a, &generous, NOW).store, 1);
  a = response(404, "");
  expect("store", "404, rule of 60", pop_decide(&a, &generous, NOW).store, 0);
  a = response(404, "max-age=60");
  expect("store", "404, max-age=60", pop_decide(&a, &silent, NOW).store, 1);
  a = response(206, "max-age=60");
  expect("store", "206, max-age=60", pop_decide(&a, &silent, NOW).store, 0);
  a = response(200, "max-age=60");
  a.authorized = 1;
  expect("personal", "max-age=60, Authorization", pop_decide(&a, &silent, NOW).personal, 1);
  a = response(200, "max-age=60, public");
  a.authorized = 1;
  expect("store", "public, Authorization", pop_decide(&a, &silent, NOW).store, 1);
  a = response(200, "max-age=60, no-store");
  expect("store", "no-store", pop_decide(&a, &generous, NOW).store, 0);
  a = response(200, "max-age=60, private=\"x\"");
  expect("store", "private", pop_decide(&a, &generous, NOW).store, 0);
  a = response(599, "max-age=60, must-understand");
  expect("store", "599, must-understand", pop_decide(&a, &generous, NOW).store, 0);
  a = response(200, "max-age=60, must-understand");
  expect("store", "200, must-understand", pop_decide(&a, &generous, NOW).store, 1);
}

static void test_statuses(void) {
  static const pop_lifetime_t lifetimes[] = {{404, 60}, {301, 3600}, {410, 0}};
  static const pop_rules_t rules = {.max_age = 10, .stale_if_error = 5, .statuses = lifetimes, .statuses_count = 3};
  pop_response_t a = response(404, "");
  expect("expires", "404, nothing", pop_decide(&a, &rules, NOW).expires, NOW + 59);
  expect("by_rule", "404, nothing", pop_decide(&a, &rules, NOW).by_rule, 1);
  expect("stale_if_error", "404, nothing", pop_decide(&a, &rules, NOW).stale_if_error, 5);
  a.cookie = 1;
  expect("personal", "404, Cookie", pop_decide(&a, &rules, NOW).personal, 1);
  a = response(404, "max-age=5");
  expect("expires", "404, max-age=5", pop_decide(&a, &rules, NOW).expires, NOW + 4);
  a = response(404, "no-store");
  expect("store", "404, no-store", pop_decide(&a, &rules, NOW).store, 0);
  a = response(404, "no-cache");
  expect("store", "404, no-cache", pop_decide(&a, &rules, NOW).store, 0);
  a = response(301, "");
  expect("expires", "301, nothing", pop_decide(&a, &rules, NOW).expires, NOW + 3599);
  a = response(410, "");
  expect("store", "410, 0", pop_decide(&a, &rules, NOW).store, 0);
  a = response(405, "");
  expect("store", "405, not listed", pop_decide(&a, &rules, NOW).store, 0);
  a = response(200, "");
  expect("expires", "200, nothing", pop_decide(&a, &rules, NOW).expires, NOW + 9);
}

static void test_ignore_origin(void) {
  static const pop_lifetime_t lifetimes[] = {{404, 30}};
  static const pop_rules_t rules = {.max_age = 60, .stale_if_error = 5, .statuses = lifetimes, .statuses_count = 1, .ignore_origin = 1};
  static const char *const said[] = {"", "no-store", "private", "no-cache", "max-age=0", "max-age=3600", "s-maxage=1, must-revalidate", "must-understand"};
  for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
    pop_response_t a = response(200, said[i]);
    a.expires = POP_INVALID, a.set_cookie = 1;
    expect("expires, origin ignored", said[i], pop_decide(&a, &rules, NOW).expires, NOW + 59);
    expect("stale_if_error, origin ignored", said[i], pop_decide(&a, &rules, NOW).stale_if_error, 5);
    a.status = 404;
    expect("expires of a 404, origin ignored", said[i], pop_decide(&a, &rules, NOW).expires, NOW + 29);
    a.status = 500;
    expect("store of a 500, origin ignored", said[i], pop_decide(&a, &rules, NOW).store, 0);
    a.status = 206;
    expect("store of a 206, origin ignored", said[i], pop_decide(&a, &rules, NOW).store, 0);
    a.status = 200, a.cookie = 1;
    expect("personal, origin ignored, Cookie", said[i], pop_decide(&a, &rules, NOW).personal, 1);
    a.cookie = 0, a.authorized = 1;
    expect("personal, origin ignored, Authorization", said[i], pop_decide(&a, &rules, NOW).personal, 1);
    a.authorized = 0, a.vary_any = 1;
    expect("store, origin ignored, Vary: *", said[i], pop_decide(&a, &rules, NOW).store, 0);
  }
}

static const pop_parameter_t parameters[] = {{(const unsigned char *)"utm_", 4, 1}, {(const unsigned char *)"fbclid", 6, 0}};
static const pop_ignored_t some = {.names = parameters, .count = 2}, all = {.all = 1};

static void test_query(void) {
  static const struct {
    const char *target, *without_some, *without_all; /* NULL: the same */
  } table[] = {
      {"", NULL, NULL},
      {"/a", NULL, NULL},
      {"/a?", NULL, "/a"},
      {"/a?b", NULL, "/a"},
      {"/a?utm_source=x", "/a", "/a"},
      {"/a?utm_", "/a", "/a"},
      {"/a?utm", NULL, "/a"},
      {"/a?fbclid", "/a", "/a"},
      {"/a?fbclid=", "/a", "/a"},
      {"/a?fbclid=1&utm_x=2", "/a", "/a"},
      {"/a?fbclids=1", NULL, "/a"},
      {"/a?fbcli=1", NULL, "/a"},
      {"/a?xfbclid=1", NULL, "/a"},
      {"/a?FBCLID=1", NULL, "/a"},
      {"/a?%66bclid=1", NULL, "/a"},
      {"/a?b=1&fbclid=2", "/a?b=1", "/a"},
      {"/a?fbclid=2&b=1", "/a?b=1", "/a"},
      {"/a?b=1&fbclid=2&c=3&b=4", "/a?b=1&c=3&b=4", "/a"},
      {"/a?b&&c", NULL, "/a"},
      {"/a?b&&fbclid&c&", "/a?b&&c&", "/a"},
      {"/a?&fbclid", "/a?", "/a"},
      {"/a?b=utm_source=x", NULL, "/a"},
      {"/a?b=1?utm_source=x", NULL, "/a"},
      {"/a?b=?&utm_source=x", "/a?b=?", "/a"},
      /* An origin that separates at `;` or `#` finds another parameter in it. */
      {"/a?utm_source=x;id=5", NULL, "/a"},
      {"/a?utm_source=x%3bid=5", "/a", "/a"},
      {"/a?utm_source=x#&id=5", NULL, "/a"},
      {"/a?fbclid#", NULL, "/a"},
      {"/a#b?fbclid", NULL, NULL},
      {"/a%3Ffbclid", NULL, NULL},
      {"?fbclid", "", ""},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    size_t length = strlen(table[i].target);
    unsigned char *target = exact(table[i].target, length), *to = exact("", 0);
    for (int whole = 0; whole < 2; whole++) {
      const char *wanted = whole ? table[i].without_all : table[i].without_some;
      if (wanted == NULL) wanted = table[i].target;
      to = realloc(to, length ? length : 1);
      size_t size = pop_trim_query(to, target, length, whole ? &all : &some);
      expect(whole ? "target without query" : "target without parameters", table[i].target, size == strlen(wanted) && memcmp(to, wanted, size) == 0, 1);
    }
    free(target);
    free(to);
  }
}

static void test_stale(void) {
  static const struct {
    const char *fields;
    int64_t if_error, while_revalidate;
  } table[] = {
      {"max-age=60", 1000, 100},
      {"max-age=60, stale-if-error=5", 5, 100},
      {"max-age=60, stale-while-revalidate=5", 1000, 5},
      {"max-age=60, stale-if-error=0, stale-while-revalidate=0", 0, 0},
      {"max-age=60, must-revalidate, stale-if-error=5", 0, 0},
      {"max-age=60, proxy-revalidate", 0, 0},
      {"s-maxage=60, stale-while-revalidate=5", 0, 0},
      {"no-cache, stale-if-error=5", 0, 0},
      {"max-age=0", 0, 0},
      {"max-age=0, stale-if-error=5", 5, 0},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    pop_response_t a = response(200, table[i].fields);
    pop_decision_t decision = pop_decide(&a, &generous, NOW);
    expect("stale-if-error", table[i].fields, decision.stale_if_error, table[i].if_error);
    expect("stale-while-revalidate", table[i].fields, decision.stale_while_revalidate, table[i].while_revalidate);
  }
  pop_response_t a = response(200, "max-age=0, stale-if-error=5");
  expect("store", "max-age=0, stale-if-error=5", pop_decide(&a, &silent, NOW).store, 1);
  a.validator = 1, a.control = control("no-cache");
  expect("store", "no-cache, ETag", pop_decide(&a, &silent, NOW).store, 1);
  expect("expires", "no-cache, ETag", pop_decide(&a, &silent, NOW).expires, NOW - 1);
}

/* Fields made of the relevant pieces, cut anywhere: neither the sanitizers nor the bounds below may object. */
static void fuzz(unsigned rounds) {
  static const char *const pieces[] = {"max-age", "s-maxage", "=", "\"", "\\", ",", " ", "\t", "9999999999999999999", "0", "no-store",
                                       "private", "*", "accept-encoding", "x", "stale-if-error", "stale-while-revalidate", "\n", "\x80", ";", "timeout=", "?", "&", "utm_", "fbclid", "#"};
  unsigned seed = 1;
  for (unsigned round = 0; round < rounds; round++) {
    char field[512];
    size_t length = 0;
    for (unsigned n = 0; n < 24; n++) {
      seed = seed * 1103515245u + 12345u;
      const char *piece = pieces[(seed >> 16) % (sizeof pieces / sizeof *pieces)];
      size_t size = strlen(piece);
      memcpy(field + length, piece, size);
      length += size;
    }
    seed = seed * 1103515245u + 12345u;
    length = (seed >> 16) % (length + 1);
    unsigned char *copy = exact(field, length);
    pop_response_t a = response(200, "");
    pop_control_add(&a.control, copy, length);
    pop_vary_t vary = {0};
    pop_vary_add(&vary, copy, length);
    pop_vary_add(&vary, copy, length);
    pop_list_has(copy, length, (const unsigned char *)"x", 1);
    pop_keep_alive(copy, length);
    unsigned char *trimmed = malloc(length ? length : 1), *again = malloc(length ? length : 1);
    size_t size = pop_trim_query(trimmed, copy, length, &some);
    /* A trimmed target has nothing left to trim. */
    if (size > length || pop_trim_query(again, trimmed, size, &some) != size || pop_trim_query(again, copy, length, &all) > size)
      failures++, printf("random target %.*s\n", (int)length, field);
    free(trimmed);
    free(again);
    a.expires = (int64_t)(seed % 5) * INT32_MAX - 2;
    a.date = (int64_t)(seed % 7) * INT32_MAX - 2;
    a.age = (int64_t)(seed % 3) - 2;
    a.validator = seed & 1;
    pop_decision_t decision = pop_decide(&a, &generous, NOW);
    if (vary.length > sizeof vary.text || a.control.max_age > POP_SECONDS_MAX || decision.expires > (int64_t)NOW + POP_SECONDS_MAX ||
        (decision.store && (a.control.no_store || a.control.private)))
      failures++, printf("random field %.*s\n", (int)length, field);
    free(copy);
  }
}

int main(int argc, char **argv) {
  test_max_age();
  test_directives();
  test_vary();
  test_keep_alive();
  test_list();
  test_lifetime();
  test_rule();
  test_statuses();
  test_ignore_origin();
  test_query();
  test_stale();
  fuzz(argc > 1 ? (unsigned)atoi(argv[1]) : 200000);
  if (failures) printf("%d failed\n", failures);
  return failures != 0;
}

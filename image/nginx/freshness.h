/*
 * Whether a response is stored, how long it is fresh, and how long it may be served stale.
 * RFC 9111 sections 3 and 4, for a shared cache. Pure: times are seconds since the epoch, as numbers.
 */
#ifndef POP_FRESHNESS_H
#define POP_FRESHNESS_H

#include "control.h"

enum { POP_ABSENT = -1, POP_INVALID = -2 };

typedef struct {
  pop_control_t control;
  unsigned status;
  int64_t date;    /* POP_ABSENT, POP_INVALID or the time */
  int64_t expires; /* likewise */
  int64_t age;     /* likewise, in seconds */
  unsigned validator : 1;   /* it has an ETag or a Last-Modified */
  unsigned set_cookie : 1;
  unsigned vary_any : 1;
  unsigned authorized : 1;  /* the request had Authorization */
  unsigned cookie : 1;      /* the request had a Cookie that the response may depend on */
} pop_response_t;

/* How long responses of a status are fresh. */
typedef struct {
  unsigned status;
  int64_t seconds;
} pop_lifetime_t;

/* The site's own settings, in seconds. They apply where the origin does not say. */
typedef struct {
  int64_t max_age; /* of a 200 */
  int64_t stale_if_error;
  int64_t stale_while_revalidate;
  const pop_lifetime_t *statuses; /* of other statuses; those not listed are not fresh */
  size_t statuses_count;
  unsigned ignore_origin : 1; /* ignore its Cache-Control, Expires and Set-Cookie */
} pop_rules_t;

typedef struct {
  unsigned store : 1;
  unsigned fresh : 1;     /* other requests may be answered with it without asking the origin */
  unsigned by_rule : 1;   /* the lifetime is the site's, not the origin's */
  unsigned personal : 1;  /* not stored because of this visitor's request; others may be stored */
  int64_t expires;        /* the last second in which it is fresh; may be in the past */
  int64_t stale_if_error;
  int64_t stale_while_revalidate;
} pop_decision_t;

pop_decision_t pop_decide(const pop_response_t *response, const pop_rules_t *rules, int64_t now);

/* The age of a response received now, from its Age and Date: at least 0. */
int64_t pop_age(int64_t age, int64_t date, int64_t now);

#endif

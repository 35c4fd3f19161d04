#include "freshness.h"

int64_t pop_age(int64_t age, int64_t date, int64_t now) {
  if (age == POP_INVALID) return POP_SECONDS_MAX;
  int64_t apparent = date >= 0 && date < now ? now - date : 0;
  int64_t larger = age > apparent ? age : apparent;
  return larger < POP_SECONDS_MAX ? larger : POP_SECONDS_MAX;
}

/* Final status codes of complete responses. 206 and 304 are not stored. */
static int storable(unsigned status) { return status >= 200 && status <= 599 && status != 206 && status != 304; }

/* must-understand: store only status codes that the cache understands. */
static int understood(unsigned status) {
  return (status >= 200 && status <= 204) || (status >= 300 && status <= 308) || (status >= 400 && status <= 431) ||
         status == 451 || (status >= 500 && status <= 511);
}

/* How long a response is fresh if the origin does not say. */
static int64_t own_lifetime(unsigned status, const pop_rules_t *rules) {
  if (status == 200) return rules->max_age;
  for (size_t i = 0; i < rules->statuses_count; i++)
    if (rules->statuses[i].status == status) return rules->statuses[i].seconds;
  return 0;
}

/* The response as if the origin had said nothing about caching. */
static pop_response_t without_caching_fields(const pop_response_t *a) {
  pop_response_t response = *a;
  pop_control_init(&response.control);
  response.expires = POP_ABSENT;
  response.set_cookie = 0;
  return response;
}

pop_decision_t pop_decide(const pop_response_t *response, const pop_rules_t *rules, int64_t now) {
  const pop_response_t plain = without_caching_fields(response), *a = rules->ignore_origin ? &plain : response;
  const pop_control_t *control = &a->control;
  pop_decision_t decision = {0};
  int64_t lifetime = -1;

  if (control->no_store || control->private || a->set_cookie || a->vary_any || !storable(a->status)) return decision;
  if (control->must_understand && !understood(a->status)) return decision;

  if (control->s_maxage >= 0) lifetime = control->s_maxage;
  else if (control->max_age >= 0) lifetime = control->max_age;
  else if (a->expires == POP_INVALID) lifetime = 0;
  else if (a->expires >= 0) lifetime = a->expires - (a->date >= 0 ? a->date : now);
  else if (!control->no_cache) lifetime = own_lifetime(a->status, rules), decision.by_rule = 1;
  if (lifetime < 0) lifetime = 0;
  if (lifetime > POP_SECONDS_MAX) lifetime = POP_SECONDS_MAX;

  /* RFC 9111 3.5 */
  if (a->authorized && !control->public && !control->must_revalidate && control->s_maxage < 0) decision.personal = 1;
  if (a->cookie && decision.by_rule) decision.personal = 1;
  if (decision.personal) return decision;

  /* s-maxage carries the meaning of proxy-revalidate: RFC 9111 5.2.2.10. */
  if (!control->must_revalidate && !control->proxy_revalidate && !control->no_cache && control->s_maxage < 0) {
    /* A response that was never fresh is served stale only if the origin says so. */
    if (lifetime > 0) {
      decision.stale_if_error = rules->stale_if_error;
      decision.stale_while_revalidate = rules->stale_while_revalidate;
    }
    if (control->stale_if_error >= 0) decision.stale_if_error = control->stale_if_error;
    if (control->stale_while_revalidate >= 0) decision.stale_while_revalidate = control->stale_while_revalidate;
  }

  int64_t remaining = control->no_cache ? 0 : lifetime - pop_age(a->age, a->date, now);
  decision.fresh = remaining > 0;
  decision.expires = now + remaining - 1;
  if (decision.expires < 1) decision.expires = 1;
  /* A response that is stale from the start is stored only if it can be revalidated or served stale. */
  int64_t window = decision.stale_if_error > decision.stale_while_revalidate ? decision.stale_if_error
                                                                          : decision.stale_while_revalidate;
  decision.store = decision.fresh || (a->status == 200 && a->validator) || decision.expires + window >= now;
  return decision;
}

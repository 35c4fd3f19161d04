/*
 * If a site ignores the origin's caching headers, responses that set cookies are stored too. Their cookies are never sent to anybody: they belong to one
 * visitor.
 */
#include "ngx_http_pop_cache.h"

static const char name[] = "Set-Cookie";
enum { NAME_LENGTH = sizeof name - 1 };

/* Deletes them from this response. */
void ngx_http_pop_cache_drop_cookies(ngx_http_request_t *r) {
  static const char *const names[] = {name, NULL};
  ngx_http_pop_cache_cursor_t cursor = ngx_http_pop_cache_first(&r->headers_out.headers);
  ngx_table_elt_t *h;

  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL)
    if (ngx_http_pop_cache_named(h, names)) h->hash = 0;
}

/*
 * Overwrites them in the received header that nginx is about to store, so that no later configuration can bring them back. X-Pad is shorter than their name,
 * and nginx never sends it.
 */
void ngx_http_pop_cache_blank_cookies(ngx_http_request_t *r) {
  static const char pad[] = "X-Pad: ";
  ngx_buf_t *b = &r->upstream->buffer;
  u_char *line = b->start + r->cache->header_start, *next;

  for (; line < b->pos; line = next) {
    u_char *end = ngx_strlchr(line, b->pos, LF);
    if (end == NULL) return;
    next = end + 1;
    if (end > line && end[-1] == CR) end--;
    if (end - line <= NAME_LENGTH || line[NAME_LENGTH] != ':' || ngx_strncasecmp(line, (u_char *)name, NAME_LENGTH) != 0) continue;
    line = ngx_cpymem(line, pad, sizeof pad - 1);
    ngx_memset(line, '-', end - line);
  }
}

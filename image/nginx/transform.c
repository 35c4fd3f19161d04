/*
 * What compression would do harm to. nginx compresses answers on their way out and makes their tag a weak one for it, which is right; but a weak tag never
 * matches in If-Match (RFC 9110 13.1.1), so that a visitor who read a compressed answer could not write it back.
 */
#include "ngx_http_pop_cache.h"

enum { WEAK_REMEMBERED = 3600 /* s */ };

static ngx_uint_t is_weak(ngx_str_t *tag) { return tag->len > 2 && tag->data[0] == 'W' && tag->data[1] == '/'; }

/* no-transform, RFC 9111 5.2.2.6: gzip's filter looks at the first two of these, brotli's at the request's field. */
void ngx_http_pop_cache_keep_form(ngx_http_request_t *r) {
  static const u_char name[] = "no-transform";
  for (ngx_table_elt_t *h = r->upstream->headers_in.cache_control; h; h = h->next) {
    if (!pop_list_has(h->value.data, h->value.len, name, sizeof name - 1)) continue;
    r->gzip_tested = 1;
    r->gzip_ok = 0;
    r->headers_in.accept_encoding = NULL;
  }
}

/* Whether the origin itself gives out weak tags: then those that come back are its own. Each worker knows what it saw. */
void ngx_http_pop_cache_learn_tag(ngx_http_request_t *r, ngx_http_pop_cache_loc_conf_t *conf) {
  ngx_table_elt_t *etag = r->upstream->headers_in.etag;
  if (etag && is_weak(&etag->value)) conf->weak_tags = ngx_time();
}

/* The tags of a field as the origin gave them out: W/ goes where it stands before a quoted text. */
static ngx_int_t strengthen(ngx_http_request_t *r, ngx_str_t *value) {
  u_char *to, *from = value->data, *last = from + value->len;
  ngx_uint_t quoted = 0;
  ngx_str_t plain;

  plain.data = to = ngx_pnalloc(r->pool, value->len + 1);
  if (to == NULL) return NGX_ERROR;
  while (from < last) {
    if (!quoted && last - from > 2 && from[0] == 'W' && from[1] == '/' && from[2] == '"') from += 2;
    if (*from == '"') quoted = !quoted;
    *to++ = *from++;
  }
  *to = '\0'; /* nginx reads header values as text with an end */
  plain.len = to - plain.data;
  *value = plain;
  return NGX_OK;
}

/* A request to write what was read: If-Match, and WebDAV's If, with the tags that the origin knows. */
ngx_int_t ngx_http_pop_cache_restore_tags(ngx_http_request_t *r, ngx_http_pop_cache_loc_conf_t *conf) {
  static const char *const names[] = {"If-Match", "If", NULL};
  ngx_http_pop_cache_cursor_t cursor = ngx_http_pop_cache_first(&r->headers_in.headers);
  ngx_table_elt_t *h;

  if (conf->weak_tags && ngx_time() - conf->weak_tags < WEAK_REMEMBERED) return NGX_OK;
  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL)
    if (ngx_http_pop_cache_named(h, names) && strengthen(r, &h->value) != NGX_OK) return NGX_ERROR;
  return NGX_OK;
}

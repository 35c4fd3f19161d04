/*
 * Avoids damage by compression. When nginx compresses a response it rightly makes the entity tag weak. But a weak tag never matches in If-Match
 * (RFC 9110 13.1.1), so a visitor who read a compressed response could not write the resource back.
 */
#include "ngx_http_pop_cache.h"

enum { WEAK_REMEMBERED = 3600 /* s */ };

static ngx_uint_t is_weak(ngx_str_t *tag) { return tag->len > 2 && tag->data[0] == 'W' && tag->data[1] == '/'; }

/* no-transform, RFC 9111 5.2.2.6: the gzip filter checks the first two of these, the brotli filter the request's Accept-Encoding. */
void ngx_http_pop_cache_keep_form(ngx_http_request_t *r) {
  static const u_char name[] = "no-transform";
  for (ngx_table_elt_t *h = r->upstream->headers_in.cache_control; h; h = h->next) {
    if (!pop_list_has(h->value.data, h->value.len, name, sizeof name - 1)) continue;
    r->gzip_tested = 1;
    r->gzip_ok = 0;
    r->headers_in.accept_encoding = NULL;
  }
}

/* Remembers that the origin itself issues weak tags: then the ones visitors send back are its own. Each worker knows only what it has seen. */
void ngx_http_pop_cache_learn_tag(ngx_http_request_t *r, ngx_http_pop_cache_loc_conf_t *conf) {
  ngx_table_elt_t *etag = r->upstream->headers_in.etag;
  if (etag && is_weak(&etag->value)) conf->weak_tags = ngx_time();
}

/* Restores the tags of a field as the origin issued them: removes W/ before each quoted string. */
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
  *to = '\0'; /* nginx expects header values to be null-terminated */
  plain.len = to - plain.data;
  *value = plain;
  return NGX_OK;
}

/* Replaces the tags in If-Match, and in WebDAV's If, with those the origin issued. */
ngx_int_t ngx_http_pop_cache_restore_tags(ngx_http_request_t *r, ngx_http_pop_cache_loc_conf_t *conf) {
  static const char *const names[] = {"If-Match", "If", NULL};
  ngx_http_pop_cache_cursor_t cursor = ngx_http_pop_cache_first(&r->headers_in.headers);
  ngx_table_elt_t *h;

  if (conf->weak_tags && ngx_time() - conf->weak_tags < WEAK_REMEMBERED) return NGX_OK;
  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL)
    if (ngx_http_pop_cache_named(h, names) && strengthen(r, &h->value) != NGX_OK) return NGX_ERROR;
  return NGX_OK;
}

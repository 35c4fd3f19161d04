/*
 * Prevents damage by compression. When nginx compresses a response it correctly makes the entity tag weak. But a weak tag never matches in If-Match (RFC 9110
 * 13.1.1), so a visitor who read a compressed response could not write the resource back.
 */
#include "ngx_http_pop_cache.h"

/*
 * Hashes of the weak tags that origins issued themselves, which must stay weak. Shared by the workers. Words are written atomically, and if two tags collide,
 * the cost is one rejected write. An origin may issue both kinds: Apache issues a weak one for a file that changed less than a second ago.
 */
enum { REMEMBERED = 16384 };
static uint32_t *weak_tags;

ngx_int_t ngx_http_pop_cache_init_tags(ngx_cycle_t *cycle) {
  ngx_shm_t shm = {.size = REMEMBERED * sizeof *weak_tags, .name = ngx_string("pop_cache_tags"), .log = cycle->log};
  if (weak_tags) return NGX_OK; /* a reload: the known tags stay */
  if (ngx_shm_alloc(&shm) != NGX_OK) return NGX_ERROR;
  weak_tags = (uint32_t *)shm.addr;
  return NGX_OK;
}

static ngx_uint_t is_weak(ngx_str_t *tag) { return tag->len > 2 && tag->data[0] == 'W' && tag->data[1] == '/'; }

/*
 * Asks the origin for an uncompressed response if it may be stored: the cache holds one copy, which nginx compresses for each visitor that accepts it.
 * Responses that pass through may be compressed by the origin. nginx's own filters still find the field, through its pointer.
 */
void ngx_http_pop_cache_drop_accept_encoding(ngx_http_request_t *r) {
  if (r->headers_in.accept_encoding && ngx_http_pop_cache_is_used(r)) ngx_http_pop_cache_hide(r->headers_in.accept_encoding);
}

/* no-transform, RFC 9111 5.2.2.6: the gzip filter checks the first two of these, the brotli filter the request's Accept-Encoding. */
void ngx_http_pop_cache_respect_no_transform(ngx_http_request_t *r) {
  static const u_char name[] = "no-transform";
  for (ngx_table_elt_t *h = r->upstream->headers_in.cache_control; h; h = h->next) {
    if (!pop_list_has(h->value.data, h->value.len, name, sizeof name - 1)) continue;
    r->gzip_tested = 1;
    r->gzip_ok = 0;
    r->headers_in.accept_encoding = NULL;
  }
}

/* Records tags that the origin issued as weak. */
void ngx_http_pop_cache_learn_tag(ngx_http_request_t *r) {
  ngx_table_elt_t *etag = r->upstream->headers_in.etag;
  if (etag == NULL || etag->value.len < 2) return;
  ngx_uint_t weak = is_weak(&etag->value);
  uint32_t hash = ngx_crc32_short(etag->value.data + 2 * weak, etag->value.len - 2 * weak);
  uint32_t *place = &weak_tags[hash % REMEMBERED];
  if (weak) *place = hash;
  else if (*place == hash) *place = 0;
}

/* Whether a tag that a visitor sends, here without its W/, was already weak when the origin issued it. */
static ngx_uint_t was_weak(u_char *tag, u_char *last) {
  u_char *end = ngx_strlchr(tag + 1, last, '"');
  if (end == NULL) return 1;
  uint32_t hash = ngx_crc32_short(tag, end + 1 - tag);
  return weak_tags[hash % REMEMBERED] == hash;
}

/* Restores the tags of a field as the origin issued them: removes W/ from those that were strong. */
static ngx_int_t strengthen(ngx_http_request_t *r, ngx_str_t *value) {
  u_char *to, *from = value->data, *last = from + value->len;
  ngx_uint_t quoted = 0;
  ngx_str_t plain;

  plain.data = to = ngx_pnalloc(r->pool, value->len + 1);
  if (to == NULL) return NGX_ERROR;
  while (from < last) {
    if (!quoted && last - from > 2 && from[0] == 'W' && from[1] == '/' && from[2] == '"' && !was_weak(from + 2, last))
      from += 2;
    if (*from == '"') quoted = !quoted;
    *to++ = *from++;
  }
  *to = '\0'; /* nginx expects header values to be null-terminated */
  plain.len = to - plain.data;
  *value = plain;
  return NGX_OK;
}

/* Replaces the tags in If-Match, and in WebDAV's If, with those that the origin issued. */
ngx_int_t ngx_http_pop_cache_restore_tags(ngx_http_request_t *r) {
  static const char *const names[] = {"If-Match", "If", NULL};
  ngx_http_pop_cache_cursor_t cursor = ngx_http_pop_cache_first(&r->headers_in.headers);
  ngx_table_elt_t *h;

  if (r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD) && r->headers_in.if_match == NULL) return NGX_OK;
  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL)
    if (ngx_http_pop_cache_named(h, names) && strengthen(r, &h->value) != NGX_OK) return NGX_ERROR;
  return NGX_OK;
}

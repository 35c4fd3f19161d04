/* Updates a stored header from a later 304. */
#include "ngx_http_pop_cache.h"

/* Bytes reserved in a stored header, because fields of a later 304 may be longer. nginx never sends X-Pad. */
enum { ROOM = 192 };
static const char date_line[] = "Date: Mon, 28 Sep 1970 06:00:00 GMT" CRLF;
const size_t ngx_http_pop_cache_room = ROOM + sizeof date_line;
static const char pad[] = "X-Pad: ";
enum { SMALLEST_PAD = sizeof pad - 1 + sizeof CRLF - 1 };

/* Fills `size` bytes (0, or at least SMALLEST_PAD) with a padding field, and ends the header. */
static u_char *fill(u_char *p, size_t size) {
  if (size) {
    p = ngx_cpymem(p, pad, sizeof pad - 1);
    ngx_memset(p, '-', size - SMALLEST_PAD);
    p += size - SMALLEST_PAD;
    *p++ = CR;
    *p++ = LF;
  }
  *p++ = CR;
  *p++ = LF;
  return p;
}

/*
 * Extends the header that nginx is about to store by ROOM, so that a later 304 can be written over it, and adds Date if the origin has no clock. nginx stores
 * the bytes as received, so this changes the received bytes.
 */
void ngx_http_pop_cache_make_room(ngx_http_request_t *r) {
  ngx_http_upstream_t *u = r->upstream;
  ngx_buf_t *b = &u->buffer;
  u_char date[sizeof date_line];
  size_t date_size = 0, size = 0;
  u_char *end = b->pos;

  if (u->headers_in.date == NULL) date_size = ngx_sprintf(date, "Date: %V" CRLF, &ngx_cached_http_time) - date;
  if (u->headers_in.status_n == NGX_HTTP_OK && (u->headers_in.etag || u->headers_in.last_modified)) size = ROOM;
  /* The end of the header, as nginx parses it: an empty line, LF with or without CR. */
  if (end - b->start < 4 || end[-1] != LF) return;
  end -= end[-2] == CR ? 2 : 1;
  if (end[-1] != LF || (size_t)(b->end - b->last) < date_size + size + 2) return;

  size_t longer = date_size + size + (end + 2 - b->pos);
  ngx_memmove(b->pos + longer, b->pos, b->last - b->pos);
  fill(ngx_cpymem(end, date, date_size), size);
  b->pos += longer;
  b->last += longer;
}

/* Fields that describe the stored body itself, or concern one connection or one visitor: a 304 does not replace them. */
static const char *const fixed[] = {"Content-Encoding", "Content-Length", "Content-MD5", "Content-Range", "ETag",
                                    "Last-Modified", "X-Pad", NULL};

static ngx_uint_t replaced_by(ngx_http_upstream_headers_in_t *newer, ngx_table_elt_t *h) {
  return h->value.data && !ngx_http_pop_cache_named(h, fixed) && !ngx_http_pop_cache_hop_by_hop(newer->connection, h);
}

static ngx_int_t add(ngx_http_request_t *r, ngx_table_elt_t *h) {
  ngx_http_upstream_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_upstream_module);
  ngx_table_elt_t *copy = ngx_list_push(&r->upstream->headers_in.headers);
  if (copy == NULL) return NGX_ERROR;
  *copy = *h;
  copy->next = NULL;
  ngx_http_upstream_header_t *known = ngx_hash_find(&main->headers_in_hash, h->hash, h->lowcase_key, h->key.len);
  return known ? known->handler(r, copy, known->offset) : NGX_OK;
}

/* Replaces stored fields with those of the same names in a 304, as if they had been stored that way. */
ngx_int_t ngx_http_pop_cache_merge(ngx_http_request_t *r, ngx_http_upstream_headers_in_t *newer) {
  static const char *const times[] = {"Age", "Date", NULL};
  ngx_http_upstream_t *u = r->upstream;
  ngx_http_upstream_headers_in_t older = u->headers_in;
  ngx_http_pop_cache_cursor_t cursor;
  ngx_table_elt_t *h, *n, clock;
  ngx_str_t now = ngx_string("");

  ngx_memzero(&u->headers_in, sizeof u->headers_in);
  u->headers_in.status_n = older.status_n;
  u->headers_in.status_line = older.status_line;
  u->headers_in.trailers = older.trailers;
  u->headers_in.content_length_n = -1;
  u->headers_in.last_modified_time = -1;
  if (ngx_list_init(&u->headers_in.headers, r->pool, 16, sizeof(ngx_table_elt_t)) != NGX_OK) return NGX_ERROR;

  cursor = ngx_http_pop_cache_first(&older.headers);
  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL) {
    ngx_uint_t gone = ngx_http_pop_cache_named(h, times);
    ngx_http_pop_cache_cursor_t others = ngx_http_pop_cache_first(&newer->headers);
    while (!gone && (n = ngx_http_pop_cache_next(&others)) != NULL)
      gone = n->key.len == h->key.len && ngx_strncasecmp(n->key.data, h->key.data, h->key.len) == 0 && replaced_by(newer, n);
    if (!gone && add(r, h) != NGX_OK) return NGX_ERROR;
  }
  cursor = ngx_http_pop_cache_first(&newer->headers);
  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL)
    if (replaced_by(newer, h) && add(r, h) != NGX_OK) return NGX_ERROR;

  if (newer->date == NULL) {
    now.len = ngx_cached_http_time.len;
    now.data = ngx_pnalloc(r->pool, now.len);
    if (now.data == NULL) return NGX_ERROR;
    ngx_memcpy(now.data, ngx_cached_http_time.data, now.len);
    ngx_memzero(&clock, sizeof clock);
    ngx_str_set(&clock.key, "Date");
    clock.lowcase_key = (u_char *)"date";
    clock.hash = ngx_hash_key(clock.lowcase_key, clock.key.len);
    clock.value = now;
    if (add(r, &clock) != NGX_OK) return NGX_ERROR;
  }
  return NGX_OK;
}

/* Whether a field is written to the file: Set-Cookie and the padding are not. */
static ngx_uint_t is_written(ngx_table_elt_t *h) {
  static const char *const passing[] = {"Set-Cookie", "X-Pad", NULL};
  return h->value.data && !ngx_http_pop_cache_named(h, passing);
}

static ngx_int_t write_header(ngx_http_request_t *r, u_char *text, size_t size) {
  ngx_http_cache_t *c = r->cache;
  ngx_file_t file;
  ngx_file_info_t info;
  ngx_int_t rc = NGX_DECLINED;

  ngx_memzero(&file, sizeof file);
  file.name = c->file.name;
  file.log = r->connection->log;
  file.fd = ngx_open_file(file.name.data, NGX_FILE_RDWR, NGX_FILE_OPEN, 0);
  if (file.fd == NGX_INVALID_FILE) return NGX_DECLINED;
  /* Another request may have stored a newer response in the meantime. It is kept. */
  if (ngx_fd_info(file.fd, &info) != NGX_FILE_ERROR && ngx_file_uniq(&info) == c->uniq && ngx_file_size(&info) == c->length &&
      ngx_write_file(&file, text, size, (off_t)c->header_start) == (ssize_t)size)
    rc = NGX_OK;
  if (ngx_close_file(file.fd) == NGX_FILE_ERROR)
    ngx_log_error(NGX_LOG_ALERT, r->connection->log, ngx_errno, ngx_close_file_n " \"%V\" failed", &file.name);
  return rc;
}

/* Writes the updated header over the stored one. NGX_DECLINED if it does not fit, or if the file has been replaced. */
ngx_int_t ngx_http_pop_cache_rewrite(ngx_http_request_t *r) {
  ngx_http_upstream_headers_in_t *in = &r->upstream->headers_in;
  size_t room = r->cache->body_start - r->cache->header_start;
  size_t size = sizeof "HTTP/1.1 " CRLF - 1 + in->status_line.len + sizeof CRLF - 1;
  ngx_http_pop_cache_cursor_t cursor;
  ngx_table_elt_t *h;
  u_char *text, *p;

  cursor = ngx_http_pop_cache_first(&in->headers);
  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL)
    if (is_written(h)) size += h->key.len + sizeof ": " - 1 + h->value.len + sizeof CRLF - 1;
  if (size > room || (size < room && room - size < SMALLEST_PAD)) return NGX_DECLINED;

  text = p = ngx_pnalloc(r->pool, room);
  if (p == NULL) return NGX_DECLINED;
  p = ngx_sprintf(p, "HTTP/1.1 %V" CRLF, &in->status_line);
  cursor = ngx_http_pop_cache_first(&in->headers);
  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL)
    if (is_written(h)) p = ngx_sprintf(p, "%V: %V" CRLF, &h->key, &h->value);
  fill(p, room - size);
  return write_header(r, text, room);
}

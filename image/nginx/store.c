/* What is stored: taken away, or renewed by a 304. */
#include "ngx_http_pop_cache.h"

#include <ngx_md5.h>

/* Bytes kept free in a stored header for fields that a later 304 makes longer. nginx never sends X-Pad. */
enum { ROOM = 192 };
static const char pad[] = "X-Pad: ";
enum { SMALLEST_PAD = sizeof pad - 1 + sizeof CRLF - 1 };

/* The node with that key in a tree of nginx's store, or in one whose nodes begin in the same way. */
ngx_rbtree_node_t *ngx_http_pop_cache_lookup(ngx_rbtree_t *tree, u_char *key) {
  ngx_rbtree_node_t *node = tree->root;
  ngx_rbtree_key_t first;

  ngx_memcpy(&first, key, sizeof first);
  while (node != tree->sentinel) {
    ngx_http_file_cache_node_t *n = (ngx_http_file_cache_node_t *)node;
    ngx_int_t rc = first < node->key ? -1 : first > node->key ? 1 : ngx_memcmp(key + sizeof first, n->key, sizeof n->key);
    if (rc == 0) return node;
    node = rc < 0 ? node->left : node->right;
  }
  return NULL;
}

/* Takes away what a node stands for. Whoever is being sent it has the file open and gets it whole. */
static void take_away(ngx_http_file_cache_t *cache, ngx_http_file_cache_node_t *node, ngx_str_t *name, ngx_log_t *log) {
  cache->sh->size -= node->fs_size;
  node->fs_size = 0;
  node->exists = 0;
  node->uniq = 0;
  ngx_shmtx_unlock(&cache->shpool->mutex);
  if (ngx_delete_file(name->data) == NGX_FILE_ERROR && ngx_errno != NGX_ENOENT)
    ngx_log_error(NGX_LOG_CRIT, log, ngx_errno, ngx_delete_file_n " \"%V\" failed", name);
  ngx_shmtx_lock(&cache->shpool->mutex);
}

/* Takes away the copy this request found. */
void ngx_http_pop_cache_remove(ngx_http_request_t *r) {
  ngx_http_cache_t *c = r->cache;
  if (c->node == NULL || c->file.name.len == 0) return;
  ngx_shmtx_lock(&c->file_cache->shpool->mutex);
  if (c->node->exists) take_away(c->file_cache, c->node, &c->file.name, r->connection->log);
  ngx_shmtx_unlock(&c->file_cache->shpool->mutex);
}

/* nginx's store for this location; NULL when there is none. */
static ngx_http_file_cache_t *cache_of(ngx_http_request_t *r) {
  ngx_http_pop_cache_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_pop_cache_module);
  ngx_http_proxy_main_conf_t *proxy = ngx_http_get_module_main_conf(r, ngx_http_proxy_module);
  ngx_http_file_cache_t **cache = proxy->caches.elts;

  for (ngx_uint_t i = 0; i < proxy->caches.nelts; i++) {
    ngx_str_t *name = &cache[i]->shm_zone->shm.name;
    if (name->len == conf->zone.len && ngx_strncmp(name->data, conf->zone.data, name->len) == 0) return cache[i];
  }
  return NULL;
}

/* The file that a key is stored in. No data without memory. */
static ngx_str_t file_of(ngx_http_file_cache_t *cache, u_char *key, ngx_pool_t *pool) {
  ngx_path_t *path = cache->path;
  ngx_str_t name = {path->name.len + 1 + path->len + 2 * NGX_HTTP_CACHE_KEY_LEN, NULL};

  name.data = ngx_pnalloc(pool, name.len + 1);
  if (name.data == NULL) return name;
  ngx_memcpy(name.data, path->name.data, path->name.len);
  *ngx_hex_dump(name.data + path->name.len + 1 + path->len, key, NGX_HTTP_CACHE_KEY_LEN) = '\0';
  ngx_create_hashed_filename(path, name.data, name.len);
  return name;
}

/* Takes away what is stored under a text that proxy_cache_key gave or could have given. */
static void remove_key(ngx_http_request_t *r, ngx_http_file_cache_t *cache, ngx_str_t *text) {
  u_char key[NGX_HTTP_CACHE_KEY_LEN];
  ngx_http_file_cache_node_t *node;
  ngx_md5_t md5;
  ngx_str_t name;

  ngx_md5_init(&md5);
  ngx_md5_update(&md5, text->data, text->len);
  ngx_md5_final(key, &md5);
  name = file_of(cache, key, r->pool);
  if (name.data == NULL) return;
  ngx_shmtx_lock(&cache->shpool->mutex);
  node = (ngx_http_file_cache_node_t *)ngx_http_pop_cache_lookup(&cache->sh->rbtree, key);
  if (node && node->exists && !node->deleting) {
    node->count++; /* it stays while the lock is let go */
    take_away(cache, node, &name, r->connection->log);
    node->count--;
  }
  ngx_shmtx_unlock(&cache->shpool->mutex);
}

/* Under the lock: gives up to BATCH of the least recently used nodes back to the zone. */
static void evict(ngx_http_request_t *r, ngx_http_file_cache_t *cache) {
  enum { BATCH = 16 };
  u_char key[NGX_HTTP_CACHE_KEY_LEN];

  for (ngx_uint_t i = 0; i < BATCH && !ngx_queue_empty(&cache->sh->queue); i++) {
    ngx_queue_t *q = ngx_queue_last(&cache->sh->queue);
    ngx_http_file_cache_node_t *node = ngx_queue_data(q, ngx_http_file_cache_node_t, queue);

    /* Out of reach of the other workers, and of this loop. */
    ngx_queue_remove(q);
    ngx_queue_insert_head(&cache->sh->queue, q);
    if (node->count || node->deleting) continue;
    if (node->exists) {
      ngx_memcpy(key, &node->node.key, sizeof node->node.key);
      ngx_memcpy(key + sizeof node->node.key, node->key, sizeof node->key);
      ngx_str_t name = file_of(cache, key, r->pool);
      if (name.data == NULL) return;
      node->count++;
      node->deleting = 1;
      take_away(cache, node, &name, r->connection->log);
      node->count--;
      node->deleting = 0;
    }
    if (node->count) continue; /* it was asked for meanwhile */
    ngx_queue_remove(&node->queue);
    ngx_rbtree_delete(&cache->sh->rbtree, &node->node);
    ngx_slab_free_locked(cache->shpool, node);
    cache->sh->count--;
  }
}

/*
 * Whether nginx will find room for one more key. When its zone is full it evicts one, lets go of the lock, and answers 500 when
 * another worker has taken that place: so places are made in stock.
 */
ngx_uint_t ngx_http_pop_cache_has_place(ngx_http_request_t *r) {
  ngx_http_file_cache_t *cache = cache_of(r);
  void *place;

  if (cache == NULL || cache->shpool->pfree) return 1;
  ngx_shmtx_lock(&cache->shpool->mutex);
  place = ngx_slab_alloc_locked(cache->shpool, sizeof(ngx_http_file_cache_node_t));
  if (place == NULL) {
    /* The cache manager then keeps the number of keys below this. */
    if (cache->sh->watermark == (ngx_uint_t)-1) cache->sh->watermark = cache->sh->count - cache->sh->count / 8;
    evict(r, cache);
    place = ngx_slab_alloc_locked(cache->shpool, sizeof(ngx_http_file_cache_node_t));
  }
  if (place) ngx_slab_free_locked(cache->shpool, place);
  ngx_shmtx_unlock(&cache->shpool->mutex);
  return place != NULL;
}

/* Where a Location points to, as a request for it would name it: path and query. Nothing when that is on another host. */
static ngx_str_t target(ngx_http_request_t *r, ngx_str_t *location) {
  ngx_str_t *base = &r->unparsed_uri, *host = &r->headers_in.server, result = ngx_null_string;
  u_char *p = location->data, *end = p + location->len, *fragment = ngx_strlchr(p, end, '#');

  if (fragment) end = fragment;
  if (end - p > 8 && ngx_strncasecmp(p, (u_char *)"http", 4) == 0) {
    p += 4;
    if (*p == 's' || *p == 'S') p++;
    if (*p++ != ':') return result;
  }
  if (end - p >= 2 && p[0] == '/' && p[1] == '/') {
    p += 2;
    if ((size_t)(end - p) < host->len || ngx_strncasecmp(p, host->data, host->len) != 0) return result;
    p += host->len;
    if (p < end && *p == ':') while (p < end && *p != '/' && *p != '?') p++;
    if (p == end || *p != '/') return result;
  }
  if (p < end && *p == '/') {
    result.data = p;
    result.len = end - p;
    return result;
  }
  /* Beside the request's own path. */
  u_char *query = ngx_strlchr(base->data, base->data + base->len, '?'), *last = query ? query : base->data + base->len;
  while (last > base->data && last[-1] != '/') last--;
  result.data = ngx_pnalloc(r->pool, last - base->data + (end - p));
  if (result.data == NULL) return result;
  result.len = ngx_cpymem(ngx_cpymem(result.data, base->data, last - base->data), p, end - p) - result.data;
  return result;
}

/*
 * RFC 9111 4.4: after a request that changed something, what is stored for its URL and for those that the answer names is gone.
 * Other URLs' keys are made of this one's, which is why proxy_cache_key has to end in $request_uri.
 */
void ngx_http_pop_cache_invalidate(ngx_http_request_t *r) {
  ngx_http_proxy_loc_conf_t *proxy = ngx_http_get_module_loc_conf(r, ngx_http_proxy_module);
  ngx_http_file_cache_t *cache = cache_of(r);
  ngx_str_t key, other, uri = r->unparsed_uri;
  ngx_table_elt_t *named[2];

  if (cache == NULL || proxy->cache_key.value.data == NULL) return;
  if (ngx_http_complex_value(r, &proxy->cache_key, &key) != NGX_OK) return;
  remove_key(r, cache, &key);

  if (key.len < uri.len || ngx_memcmp(key.data + key.len - uri.len, uri.data, uri.len) != 0) return;
  named[0] = ngx_http_pop_cache_field(&r->upstream->headers_in.headers, "Location");
  named[1] = ngx_http_pop_cache_field(&r->upstream->headers_in.headers, "Content-Location");
  for (ngx_uint_t i = 0; i < 2; i++) {
    if (named[i] == NULL) continue;
    uri = target(r, &named[i]->value);
    if (uri.len == 0) continue;
    other.len = key.len - r->unparsed_uri.len + uri.len;
    other.data = ngx_pnalloc(r->pool, other.len);
    if (other.data == NULL) return;
    ngx_memcpy(ngx_cpymem(other.data, key.data, other.len - uri.len), uri.data, uri.len);
    remove_key(r, cache, &other);
  }
}

/* Fills `size` bytes (0, or at least SMALLEST_PAD) with a field that says nothing, and ends the header. */
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
 * Makes the header that nginx is about to store longer by ROOM, so that fields of a later 304 can be written in its place; and
 * adds the date that an origin without a clock did not send. The bytes nginx stores are those it received.
 */
void ngx_http_pop_cache_make_room(ngx_http_request_t *r) {
  ngx_http_upstream_t *u = r->upstream;
  ngx_buf_t *b = &u->buffer;
  u_char date[sizeof "Date: Mon, 28 Sep 1970 06:00:00 GMT\r\n"];
  size_t date_size = 0, size = 0;
  u_char *end = b->pos;

  if (u->headers_in.date == NULL) date_size = ngx_sprintf(date, "Date: %V" CRLF, &ngx_cached_http_time) - date;
  if (u->headers_in.status_n == NGX_HTTP_OK && (u->headers_in.etag || u->headers_in.last_modified)) size = ROOM;
  /* The header's end as nginx's parser takes it: an empty line, LF with or without CR. */
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

/* Puts the fields of a 304 in the place of the stored ones of the same names, as if they had been stored so. */
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

/* Whether a field goes into the file: a visitor's cookie does not, nor what was only there to keep room. */
static ngx_uint_t is_kept(ngx_table_elt_t *h) {
  static const char *const passing[] = {"Set-Cookie", "Set-Cookie2", "X-Pad", NULL};
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
  /* Another request may have stored a newer answer in the meantime: that one stays. */
  if (ngx_fd_info(file.fd, &info) != NGX_FILE_ERROR && ngx_file_uniq(&info) == c->uniq && ngx_file_size(&info) == c->length &&
      ngx_write_file(&file, text, size, (off_t)c->header_start) == (ssize_t)size)
    rc = NGX_OK;
  if (ngx_close_file(file.fd) == NGX_FILE_ERROR)
    ngx_log_error(NGX_LOG_ALERT, r->connection->log, ngx_errno, ngx_close_file_n " \"%V\" failed", &file.name);
  return rc;
}

/* Writes the header as it now is in the place of the stored one. NGX_DECLINED when it does not fit, or the file is another by now. */
ngx_int_t ngx_http_pop_cache_rewrite(ngx_http_request_t *r) {
  ngx_http_upstream_headers_in_t *in = &r->upstream->headers_in;
  size_t room = r->cache->body_start - r->cache->header_start;
  size_t size = sizeof "HTTP/1.1 " CRLF - 1 + in->status_line.len + sizeof CRLF - 1;
  ngx_http_pop_cache_cursor_t cursor;
  ngx_table_elt_t *h;
  u_char *text, *p;

  cursor = ngx_http_pop_cache_first(&in->headers);
  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL)
    if (is_kept(h)) size += h->key.len + sizeof ": " - 1 + h->value.len + sizeof CRLF - 1;
  if (size > room || (size < room && room - size < SMALLEST_PAD)) return NGX_DECLINED;

  text = p = ngx_pnalloc(r->pool, room);
  if (p == NULL) return NGX_DECLINED;
  p = ngx_sprintf(p, "HTTP/1.1 %V" CRLF, &in->status_line);
  cursor = ngx_http_pop_cache_first(&in->headers);
  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL)
    if (is_kept(h)) p = ngx_sprintf(p, "%V: %V" CRLF, &h->key, &h->value);
  fill(p, room - size);
  return write_header(r, text, room);
}

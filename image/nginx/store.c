/* Finds and removes stored responses, and makes room in the index. */
#include "ngx_http_pop_cache.h"

#include <ngx_md5.h>

/* The node with that key in the tree of nginx's cache, or in a tree whose nodes start in the same way. */
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

/* Removes the response of a node. Requests that are receiving it have the file open and get all of it. */
static void remove_node(ngx_http_file_cache_t *cache, ngx_http_file_cache_node_t *node, ngx_str_t *name, ngx_log_t *log) {
  cache->sh->size -= node->fs_size;
  node->fs_size = 0;
  node->exists = 0;
  node->uniq = 0;
  ngx_shmtx_unlock(&cache->shpool->mutex);
  if (ngx_delete_file(name->data) == NGX_FILE_ERROR && ngx_errno != NGX_ENOENT)
    ngx_log_error(NGX_LOG_CRIT, log, ngx_errno, ngx_delete_file_n " \"%V\" failed", name);
  ngx_shmtx_lock(&cache->shpool->mutex);
}

/* Removes the stored response that this request found. */
void ngx_http_pop_cache_remove(ngx_http_request_t *r) {
  ngx_http_cache_t *c = r->cache;
  if (c->node == NULL || c->file.name.len == 0) return;
  ngx_shmtx_lock(&c->file_cache->shpool->mutex);
  if (c->node->exists) remove_node(c->file_cache, c->node, &c->file.name, r->connection->log);
  ngx_shmtx_unlock(&c->file_cache->shpool->mutex);
}

/* The cache of a proxy_cache_path by the name of its zone; NULL if there is none. */
static ngx_http_file_cache_t *cache_named(ngx_http_request_t *r, ngx_str_t *zone) {
  ngx_http_proxy_main_conf_t *proxy = ngx_http_get_module_main_conf(r, ngx_http_proxy_module);
  ngx_http_file_cache_t **cache = proxy->caches.elts;

  for (ngx_uint_t i = 0; i < proxy->caches.nelts; i++) {
    ngx_str_t *name = &cache[i]->shm_zone->shm.name;
    if (name->len == zone->len && ngx_strncmp(name->data, zone->data, name->len) == 0) return cache[i];
  }
  return NULL;
}

/* The proxy_cache of this location; NULL if there is none. */
static ngx_http_file_cache_t *cache_of(ngx_http_request_t *r) {
  ngx_http_pop_cache_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_pop_cache_module);
  return cache_named(r, &conf->zone);
}

/* The name of the file for a key. `data` is NULL if out of memory. */
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

/* Removes the response of a key if the index has it. Returns whether it did. */
static ngx_uint_t remove_indexed(ngx_http_request_t *r, ngx_http_file_cache_t *cache, u_char *key, ngx_str_t *name) {
  ngx_http_file_cache_node_t *node;
  ngx_uint_t found;

  ngx_shmtx_lock(&cache->shpool->mutex);
  node = (ngx_http_file_cache_node_t *)ngx_http_pop_cache_lookup(&cache->sh->rbtree, key);
  found = node && node->exists && !node->deleting;
  if (found) {
    node->count++; /* keeps the node while the lock is released */
    remove_node(cache, node, name, r->connection->log);
    node->count--;
  }
  ngx_shmtx_unlock(&cache->shpool->mutex);
  return found;
}

/* Whether the index has the response of a key, fresh or not. After a start it may miss some. */
ngx_uint_t ngx_http_pop_cache_is_stored(ngx_http_request_t *r, u_char *key) {
  ngx_http_file_cache_t *cache = cache_of(r);
  ngx_http_file_cache_node_t *node;
  ngx_uint_t stored;

  if (cache == NULL) return 0;
  ngx_shmtx_lock(&cache->shpool->mutex);
  node = (ngx_http_file_cache_node_t *)ngx_http_pop_cache_lookup(&cache->sh->rbtree, key);
  stored = node && node->exists;
  ngx_shmtx_unlock(&cache->shpool->mutex);
  return stored;
}

/* Removes the response of a proxy_cache_key value. */
static void remove_key(ngx_http_request_t *r, ngx_http_file_cache_t *cache, ngx_str_t *text) {
  u_char key[NGX_HTTP_CACHE_KEY_LEN];
  ngx_md5_t md5;
  ngx_str_t name;

  ngx_md5_init(&md5);
  ngx_md5_update(&md5, text->data, text->len);
  ngx_md5_final(key, &md5);
  name = file_of(cache, key, r->pool);
  if (name.data) remove_indexed(r, cache, key, &name);
}

/* Reads a key from the hex digits that name its file. */
static ngx_uint_t read_key(u_char *key, u_char *digits) {
  for (ngx_uint_t i = 0; i < NGX_HTTP_CACHE_KEY_LEN; i++) {
    ngx_int_t value = ngx_hextoi(digits + 2 * i, 2);
    if (value == NGX_ERROR) return 0;
    key[i] = (u_char)value;
  }
  return 1;
}

/* Removes the responses whose files the query names, one after another without separators. Returns how many were removed, or NGX_ERROR if a name is invalid. */
ngx_int_t ngx_http_pop_cache_remove_files(ngx_http_request_t *r, ngx_str_t *zone) {
  enum { DIGITS = 2 * NGX_HTTP_CACHE_KEY_LEN };
  ngx_http_file_cache_t *cache = cache_named(r, zone);
  u_char key[NGX_HTTP_CACHE_KEY_LEN];
  ngx_int_t removed = 0;

  if (cache == NULL || r->args.len % DIGITS) return NGX_ERROR;
  for (u_char *p = r->args.data, *end = p + r->args.len; p < end; p += DIGITS) {
    if (!read_key(key, p)) return NGX_ERROR;
    ngx_str_t name = file_of(cache, key, r->pool);
    if (name.data == NULL) return NGX_ERROR;
    /* After a start nginx serves requests while it fills the index: a file that is not indexed yet could still be found. */
    if (remove_indexed(r, cache, key, &name) || ngx_delete_file(name.data) != NGX_FILE_ERROR) removed++;
  }
  return removed;
}

/* Frees up to BATCH of the least recently used nodes. The caller holds the lock. */
static void evict(ngx_http_request_t *r, ngx_http_file_cache_t *cache) {
  enum { BATCH = 16 };
  u_char key[NGX_HTTP_CACHE_KEY_LEN];

  for (ngx_uint_t i = 0; i < BATCH && !ngx_queue_empty(&cache->sh->queue); i++) {
    ngx_queue_t *q = ngx_queue_last(&cache->sh->queue);
    ngx_http_file_cache_node_t *node = ngx_queue_data(q, ngx_http_file_cache_node_t, queue);

    /* Moved to the front, so that neither other workers nor this loop select it again. */
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
      remove_node(cache, node, &name, r->connection->log);
      node->count--;
      node->deleting = 0;
    }
    if (node->count) continue; /* it was requested in the meantime */
    ngx_queue_remove(&node->queue);
    ngx_rbtree_delete(&cache->sh->rbtree, &node->node);
    ngx_slab_free_locked(cache->shpool, node);
    cache->sh->count--;
  }
}

/*
 * Whether nginx will find room for one more key. When its zone is full, nginx evicts one node, releases the lock, and answers 500 if another worker has taken
 * that place. To avoid this, several nodes are freed in advance.
 */
ngx_uint_t ngx_http_pop_cache_has_index_room(ngx_http_request_t *r) {
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

/* The path and query that a Location points to; empty if it is on another host. */
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
  /* Relative to the request's own path. */
  u_char *query = ngx_strlchr(base->data, base->data + base->len, '?'), *last = query ? query : base->data + base->len;
  while (last > base->data && last[-1] != '/') last--;
  result.data = ngx_pnalloc(r->pool, last - base->data + (end - p));
  if (result.data == NULL) return result;
  result.len = ngx_cpymem(ngx_cpymem(result.data, base->data, last - base->data), p, end - p) - result.data;
  return result;
}

/*
 * RFC 9111 4.4: a successful unsafe request invalidates what is stored for its URL and for the URLs in the response's Location and Content-Location. Their
 * keys are derived from this request's key, which is why proxy_cache_key has to end in $request_uri or $pop_cache_uri.
 */
void ngx_http_pop_cache_invalidate(ngx_http_request_t *r) {
  ngx_http_proxy_loc_conf_t *proxy = ngx_http_get_module_loc_conf(r, ngx_http_proxy_module);
  ngx_http_file_cache_t *cache = cache_of(r);
  ngx_str_t key, other, uri, own = ngx_http_pop_cache_trim(r, &r->unparsed_uri);
  ngx_table_elt_t *named[2];

  if (cache == NULL || proxy->cache_key.value.data == NULL) return;
  if (ngx_http_complex_value(r, &proxy->cache_key, &key) != NGX_OK) return;
  remove_key(r, cache, &key);

  if (key.len < own.len || ngx_memcmp(key.data + key.len - own.len, own.data, own.len) != 0) return;
  named[0] = ngx_http_pop_cache_field(&r->upstream->headers_in.headers, "Location");
  named[1] = ngx_http_pop_cache_field(&r->upstream->headers_in.headers, "Content-Location");
  for (ngx_uint_t i = 0; i < 2; i++) {
    if (named[i] == NULL) continue;
    uri = target(r, &named[i]->value);
    if (uri.len == 0) continue;
    uri = ngx_http_pop_cache_trim(r, &uri);
    other.len = key.len - own.len + uri.len;
    other.data = ngx_pnalloc(r->pool, other.len);
    if (other.data == NULL) return;
    ngx_memcpy(ngx_cpymem(other.data, key.data, other.len - uri.len), uri.data, uri.len);
    remove_key(r, cache, &other);
  }
}

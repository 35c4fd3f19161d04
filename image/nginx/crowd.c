/*
 * Collapses simultaneous requests for one key: one fetches, the others wait and are then served from the cache. They are woken when the response is stored, or
 * as soon as its header shows that it will not be. What is known about a key is kept in shared memory; when that is full, the least recently used keys are
 * forgotten.
 */
#include "ngx_http_pop_cache.h"

#include <ngx_md5.h>

enum {
  UNKNOWN_WAIT = 1000, /* longest wait in ms if nothing is known about the key: it may be a long poll */
  SHARED_WAIT = 5000,  /* longest wait in ms if the last response for the key was stored */
  FETCH_LIMIT = 60000, /* ms after which a fetch counts as dead */
  POLL = 25,           /* ms between checks whether another worker's fetch has ended */
  REMEMBERED = 600     /* s for which a key is remembered as one whose responses are not stored */
};

/* Starts like ngx_http_file_cache_node_t, so that one lookup function serves both trees. */
typedef struct {
  ngx_rbtree_node_t node;
  ngx_queue_t queue;
  u_char key[NGX_HTTP_CACHE_KEY_LEN - sizeof(ngx_rbtree_key_t)];
  ngx_http_pop_cache_kind_t kind;
  ngx_uint_t fetch; /* number of the fetch in progress; 0: none */
  ngx_msec_t until; /* when that fetch counts as dead */
  time_t served;    /* until then the stored response is served without waiting for the origin; 0: none is stored */
  time_t remembered;
  unsigned shown : 1;  /* stale copies are served during the fetch: no request waits */
  unsigned slow : 1;   /* a request has waited its full time: no other waits until a response arrives */
  unsigned awaited : 1;
} entry_t;

typedef struct {
  ngx_rbtree_t tree;
  ngx_rbtree_node_t sentinel;
  ngx_queue_t queue; /* most recently used first */
  ngx_uint_t fetches;
} shared_t;

typedef struct {
  ngx_slab_pool_t *pool;
  shared_t *sh;
} crowd_t;

/* This worker's waiting requests. */
static ngx_queue_t waiters;
static ngx_event_t poll_event;

/* What this nginx knows about keys; NULL without pop_cache_crowd. */
static crowd_t *get_crowd(void) {
  ngx_http_pop_cache_main_conf_t *main = ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_http_pop_cache_module);
  return main && main->crowd ? main->crowd->data : NULL;
}

static void forget(crowd_t *crowd, entry_t *entry) {
  ngx_queue_remove(&entry->queue);
  ngx_rbtree_delete(&crowd->sh->tree, &entry->node);
  ngx_slab_free_locked(crowd->pool, entry);
}

/* The entry of a key, created if missing and `create` is set; otherwise NULL. The caller holds the lock. */
static entry_t *find(crowd_t *crowd, u_char *key, ngx_uint_t create) {
  entry_t *entry = (entry_t *)ngx_http_pop_cache_lookup(&crowd->sh->tree, key);

  if (entry) {
    ngx_queue_remove(&entry->queue);
  } else {
    if (!create) return NULL;
    while ((entry = ngx_slab_calloc_locked(crowd->pool, sizeof *entry)) == NULL) {
      if (ngx_queue_empty(&crowd->sh->queue)) return NULL;
      forget(crowd, ngx_queue_data(ngx_queue_last(&crowd->sh->queue), entry_t, queue));
    }
    ngx_memcpy(&entry->node.key, key, sizeof entry->node.key);
    ngx_memcpy(entry->key, key + sizeof entry->node.key, sizeof entry->key);
    ngx_rbtree_insert(&crowd->sh->tree, &entry->node);
  }
  ngx_queue_insert_head(&crowd->sh->queue, &entry->queue);
  if (entry->remembered < ngx_time() && entry->kind == POP_PASSED) entry->kind = POP_UNKNOWN;
  return entry;
}

static ngx_uint_t is_fetched(entry_t *entry) {
  return entry->fetch && (ngx_msec_int_t)(entry->until - ngx_current_msec) > 0;
}

static ngx_uint_t is_worth_waiting(entry_t *entry) {
  return entry && is_fetched(entry) && !entry->shown && !entry->slow && entry->kind <= POP_SHARED;
}

static time_t served_until(ngx_http_cache_t *c) { return c->valid_sec + c->updating_sec; }

/* Lets the request continue once nginx has finished the current event. */
static void wake(ngx_http_pop_cache_ctx_t *ctx) {
  ngx_queue_remove(&ctx->queue);
  ctx->waiting = 0;
  if (ctx->wake.timer_set) ngx_del_timer(&ctx->wake);
  ngx_post_event(&ctx->wake, &ngx_posted_events);
}

static void wake_all(u_char *key) {
  ngx_queue_t *q = waiters.next, *next;
  if (q == NULL) return;
  for (; q != &waiters; q = next) {
    ngx_http_pop_cache_ctx_t *ctx = ngx_queue_data(q, ngx_http_pop_cache_ctx_t, queue);
    next = q->next;
    if (ngx_memcmp(ctx->key, key, sizeof ctx->key) == 0) wake(ctx);
  }
}

/* Polls for the end of fetches by other workers, which do not notify this one. */
static void poll(ngx_event_t *ev) {
  crowd_t *crowd = ev->data;
  ngx_queue_t *q, *next;

  ngx_shmtx_lock(&crowd->pool->mutex);
  for (q = ngx_queue_head(&waiters); q != &waiters; q = next) {
    ngx_http_pop_cache_ctx_t *ctx = ngx_queue_data(q, ngx_http_pop_cache_ctx_t, queue);
    entry_t *entry = (entry_t *)ngx_http_pop_cache_lookup(&crowd->sh->tree, ctx->key);
    next = q->next;
    if (entry == NULL || entry->fetch != ctx->awaited || !is_fetched(entry)) wake(ctx);
  }
  ngx_shmtx_unlock(&crowd->pool->mutex);
  if (!ngx_queue_empty(&waiters)) ngx_add_timer(ev, POLL);
}

/* The request was woken, or has waited its full time. */
static void resume(ngx_event_t *ev) {
  ngx_http_request_t *r = ev->data;
  ngx_http_pop_cache_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_pop_cache_module);
  ngx_connection_t *c = r->connection;

  ngx_http_set_log_request(c->log, r);
  if (ctx->waiting) {
    crowd_t *crowd = get_crowd();
    ngx_shmtx_lock(&crowd->pool->mutex);
    entry_t *entry = find(crowd, ctx->key, 0);
    if (entry && entry->fetch == ctx->awaited) entry->slow = 1;
    ngx_shmtx_unlock(&crowd->pool->mutex);
    ngx_queue_remove(&ctx->queue);
    ctx->waiting = 0;
  }
  if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
    ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
  } else {
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
  }
  ngx_http_run_posted_requests(c);
}

static void stop_waiting(void *data) {
  ngx_http_pop_cache_ctx_t *ctx = data;
  /* Braces: nginx's macros are several statements. */
  if (ctx->waiting) {
    ngx_queue_remove(&ctx->queue);
  }
  if (ctx->wake.timer_set) ngx_del_timer(&ctx->wake);
  if (ctx->wake.posted) {
    ngx_delete_posted_event(&ctx->wake);
  }
}

static ngx_int_t suspend(ngx_http_request_t *r, ngx_http_pop_cache_ctx_t *ctx, crowd_t *crowd, ngx_msec_t limit) {
  ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, 0);
  ngx_connection_t *c = r->connection;

  if (cleanup == NULL) return NGX_ERROR;
  cleanup->handler = stop_waiting;
  cleanup->data = ctx;
  /* As in ngx_http_limit_req_module: a client that disconnects is still noticed. */
  if (c->read->ready) {
    ngx_post_event(c->read, &ngx_posted_events);
  } else if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
    return NGX_ERROR;
  }
  r->read_event_handler = ngx_http_test_reading;
  r->write_event_handler = ngx_http_request_empty_handler;

  if (waiters.next == NULL) {
    ngx_queue_init(&waiters);
  }
  ngx_queue_insert_tail(&waiters, &ctx->queue);
  ctx->waiting = 1;
  ctx->wake.handler = resume;
  ctx->wake.data = r;
  ctx->wake.log = c->log;
  ngx_add_timer(&ctx->wake, limit);
  if (!poll_event.timer_set) {
    poll_event.handler = poll;
    poll_event.data = crowd;
    poll_event.log = ngx_cycle->log;
    ngx_add_timer(&poll_event, POLL);
  }
  return NGX_AGAIN;
}

/* Whether a request may wait; others are better sent to the origin at once. */
static ngx_uint_t may_wait(ngx_http_request_t *r) {
  static const u_char events[] = "text/event-stream";
  ngx_table_elt_t *accept = ngx_http_pop_cache_field(&r->headers_in.headers, "Accept");

  return r == r->main && !r->headers_in.range && !r->headers_in.authorization && !r->headers_in.upgrade &&
         !(accept && accept->value.len >= sizeof events - 1 &&
           ngx_strncasecmp(accept->value.data, (u_char *)events, sizeof events - 1) == 0);
}

/*
 * Whether a request is likely to go to the origin, and to get there without delay: a body that is still arriving would let one visitor keep the others waiting.
 * `key` is that of the stored response. The index has a lock of its own, so it is asked last, and not for requests that pass through.
 */
static ngx_uint_t is_fetching(ngx_http_request_t *r, entry_t *entry, u_char *key) {
  ngx_uint_t body = r->headers_in.content_length_n > 0 || r->headers_in.chunked || (r->stream && !r->stream->in_closed);

  if (r->method != NGX_HTTP_GET || body) return 0;
  if (entry && entry->kind > POP_SHARED) return 0;
  if (entry && ngx_time() > entry->served) return 1;
  return !ngx_http_pop_cache_is_stored(r, key);
}

/* Makes the request the fetch that others wait for, unless there is one. */
static void claim(crowd_t *crowd, entry_t *entry, ngx_http_pop_cache_ctx_t *ctx) {
  if (entry == NULL || (is_fetched(entry) && !entry->slow)) return;
  entry->fetch = ctx->fetch = ++crowd->sh->fetches;
  entry->until = ngx_current_msec + FETCH_LIMIT;
  entry->shown = 0;
  entry->awaited = 0;
}

/* The request ends, for whatever reason, before it went anywhere. */
static void give_back(void *data) { ngx_http_pop_cache_end(data); }

/* Reads the key of what is stored, and the crowd's: requests with a cookie may get other responses than those without, so they have an entry of their own. */
static ngx_int_t read_keys(ngx_http_request_t *r, ngx_http_pop_cache_ctx_t *ctx, u_char *stored) {
  ngx_http_pop_cache_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_pop_cache_module);
  ngx_http_proxy_loc_conf_t *proxy = ngx_http_get_module_loc_conf(r, ngx_http_proxy_module);
  ngx_str_t key;
  ngx_md5_t md5, own;

  if (ngx_http_complex_value(r, &proxy->cache_key, &key) != NGX_OK) return NGX_ERROR;
  ngx_md5_init(&md5);
  ngx_md5_update(&md5, key.data, key.len);
  own = md5;
  if (conf->cookies && r->headers_in.cookie) ngx_md5_update(&own, "\n", 1);
  ngx_md5_final(stored, &md5);
  ngx_md5_final(ctx->key, &own);
  ctx->has_key = 1;
  return NGX_OK;
}

/*
 * Decides whether a request waits, goes on or passes through. A request that will go to the origin is noted as the fetch now, because another worker's could
 * come before it gets there. ngx_http_pop_cache_found corrects that if the cache has the response after all.
 *
 * Responses that differ by Vary share one entry. While one of them is stored, requests for another are noted later, in ngx_http_pop_cache_begin.
 */
ngx_int_t ngx_http_pop_cache_hold(ngx_http_request_t *r) {
  ngx_http_pop_cache_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_pop_cache_module);
  ngx_http_proxy_loc_conf_t *proxy = ngx_http_get_module_loc_conf(r, ngx_http_proxy_module);
  ngx_http_pop_cache_ctx_t *ctx;
  ngx_pool_cleanup_t *cleanup;
  crowd_t *crowd = get_crowd();
  u_char key[NGX_HTTP_CACHE_KEY_LEN];

  if (!conf->zone.len || !crowd || !proxy->cache_key.value.data || !(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)))
    return NGX_DECLINED;
  ctx = ngx_http_pop_cache_get_ctx(r);
  if (ctx == NULL) return NGX_ERROR;
  /* A request that bypasses the cache passes through, and says nothing about the responses to others. */
  if (ngx_http_test_predicates(r, proxy->upstream.cache_bypass) != NGX_OK) {
    ctx->passed = 1;
    return NGX_DECLINED;
  }
  if (read_keys(r, ctx, key) != NGX_OK) return NGX_ERROR;

  ngx_uint_t held = ctx->held, patient = !held && may_wait(r);
  ngx_msec_t limit = 0;
  ctx->held = 1;
  ngx_shmtx_lock(&crowd->pool->mutex);
  entry_t *entry = find(crowd, ctx->key, 0);
  ctx->passed = entry && entry->kind == POP_PASSED;
  if (patient && is_worth_waiting(entry)) {
    limit = entry->kind == POP_SHARED ? SHARED_WAIT : UNKNOWN_WAIT;
    ctx->awaited = entry->fetch;
    entry->awaited = 1;
  } else if (is_fetching(r, entry, key)) {
    claim(crowd, entry ? entry : find(crowd, ctx->key, 1), ctx);
  }
  ngx_shmtx_unlock(&crowd->pool->mutex);
  if (limit) return suspend(r, ctx, crowd, limit);
  if (!ctx->passed) ctx->passed = !ngx_http_pop_cache_has_index_room(r);
  if (ctx->fetch == 0) return NGX_DECLINED;
  cleanup = ngx_pool_cleanup_add(r->pool, 0);
  if (cleanup == NULL) {
    ngx_http_pop_cache_end(ctx);
    return NGX_ERROR;
  }
  cleanup->handler = give_back;
  cleanup->data = ctx;
  return NGX_DECLINED;
}

/* The request goes to the origin: later requests for the same key wait for it, unless they are served a stale copy. */
void ngx_http_pop_cache_begin(ngx_http_request_t *r, ngx_http_pop_cache_ctx_t *ctx) {
  crowd_t *crowd = get_crowd();
  if (crowd == NULL || !ctx->has_key || r->method != NGX_HTTP_GET) return;
  ngx_shmtx_lock(&crowd->pool->mutex);
  entry_t *entry = find(crowd, ctx->key, 1);
  claim(crowd, entry, ctx);
  if (entry && entry->fetch == ctx->fetch) entry->shown = r->cache->stale_updating;
  ngx_shmtx_unlock(&crowd->pool->mutex);
}

static void finish(ngx_http_pop_cache_ctx_t *ctx, entry_t *entry) {
  if (entry && ctx->fetch && entry->fetch == ctx->fetch) {
    entry->fetch = 0;
    entry->slow = 0;
    if (entry->awaited) wake_all(ctx->key);
  }
  ctx->fetch = 0;
}

/* The response's header has arrived, and shows what kind of responses this key has. */
void ngx_http_pop_cache_learn(ngx_http_request_t *r, ngx_http_pop_cache_ctx_t *ctx, ngx_http_pop_cache_kind_t kind) {
  crowd_t *crowd = get_crowd();
  if (crowd == NULL || !ctx->has_key) return;
  ngx_shmtx_lock(&crowd->pool->mutex);
  entry_t *entry = find(crowd, ctx->key, kind == POP_PASSED);
  if (entry) {
    if (kind != POP_UNKNOWN || entry->kind == POP_PASSED) entry->kind = kind;
    entry->served = kind == POP_SHARED ? served_until(r->cache) : 0;
    if (kind == POP_PASSED) entry->remembered = ngx_time() + REMEMBERED;
    entry->slow = 0;
  }
  if (kind != POP_SHARED) finish(ctx, entry);
  ngx_shmtx_unlock(&crowd->pool->mutex);
}

/* The request is served a stored response. */
void ngx_http_pop_cache_found(ngx_http_request_t *r, ngx_http_pop_cache_ctx_t *ctx) {
  crowd_t *crowd = get_crowd();
  if (crowd == NULL || !ctx->fetch) return;
  ngx_shmtx_lock(&crowd->pool->mutex);
  entry_t *entry = find(crowd, ctx->key, 0);
  if (entry) entry->served = served_until(r->cache);
  finish(ctx, entry);
  ngx_shmtx_unlock(&crowd->pool->mutex);
}

/* The response is stored, or will not be. */
void ngx_http_pop_cache_end(ngx_http_pop_cache_ctx_t *ctx) {
  crowd_t *crowd = get_crowd();
  if (crowd == NULL || !ctx->fetch) return;
  ngx_shmtx_lock(&crowd->pool->mutex);
  finish(ctx, find(crowd, ctx->key, 0));
  ngx_shmtx_unlock(&crowd->pool->mutex);
}

static ngx_int_t init_zone(ngx_shm_zone_t *zone, void *data) {
  crowd_t *crowd = zone->data, *old = data;

  crowd->pool = (ngx_slab_pool_t *)zone->shm.addr;
  if (old || zone->shm.exists) {
    crowd->sh = old ? old->sh : crowd->pool->data;
    return NGX_OK;
  }
  crowd->sh = ngx_slab_calloc(crowd->pool, sizeof *crowd->sh);
  if (crowd->sh == NULL) return NGX_ERROR;
  crowd->pool->data = crowd->sh;
  /* The zone is expected to fill up: no log entry for that. */
  crowd->pool->log_nomem = 0;
  ngx_rbtree_init(&crowd->sh->tree, &crowd->sh->sentinel, ngx_rbtree_insert_value);
  ngx_queue_init(&crowd->sh->queue);
  return NGX_OK;
}

char *ngx_http_pop_cache_set_crowd(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
  static ngx_str_t name = ngx_string("pop_cache_crowd");
  ngx_http_pop_cache_main_conf_t *main = conf;
  ngx_str_t *value = cf->args->elts;
  ssize_t size = ngx_parse_size(&value[1]);

  if (main->crowd) return "is duplicate";
  if (size < (ssize_t)(8 * ngx_pagesize)) return "is smaller than eight pages";
  main->crowd = ngx_shared_memory_add(cf, &name, size, &ngx_http_pop_cache_module);
  if (main->crowd == NULL) return NGX_CONF_ERROR;
  main->crowd->init = init_zone;
  main->crowd->data = ngx_pcalloc(cf->pool, sizeof(crowd_t));
  return main->crowd->data ? NGX_CONF_OK : NGX_CONF_ERROR;
}

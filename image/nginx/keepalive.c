/*
 * Idle connections to origins. An origin closes an idle connection after some time, and a request that is already on its way is lost. nginx repeats such a
 * request if that is allowed, but counts the loss as a failure of the origin, goes on to the next one, and may pick another closed connection. This module
 * repeats the request to the same origin over a new connection and counts no failure. A request that must not be repeated uses an idle connection only within
 * the time for which the origin is known to keep it open.
 */
#include "ngx_http_pop_cache.h"

enum {
  /*
   * How many ms an origin is assumed to keep idle connections open until more is known. The shortest common default is 2 s, of gunicorn, which does not
   * announce it; uvicorn, Apache and Node close after 5 s, other proxies after a minute or more.
   */
  DEFAULT_IDLE_TIMEOUT = 1000,
  MARGIN = 1000, /* ms to stop before the origin closes: a round trip, and coarse timers */
  ORIGINS = 256  /* remembered at once; two addresses with the same slot displace each other */
};

/* What this worker knows about an address: how long idle connections stay open there, as announced or observed. */
static struct {
  uint32_t address;
  ngx_msec_t idle_timeout;
} origins[ORIGINS];

/* Allocated in the pool of a connection. */
typedef struct {
  ngx_connection_t *connection;
  uint32_t address;
  /* When the header of the last response arrived. The origin may count from here, because it may have written the rest long before it was passed on. */
  ngx_msec_t responded;
  ngx_msec_t since; /* when the last response ended */
  unsigned idle : 1;
} record_t;

struct ngx_http_pop_cache_keepalive_s {
  ngx_http_upstream_t *upstream;
  ngx_http_upstream_rr_peer_data_t round_robin;
  ngx_peer_connection_t original; /* its functions and their data */
  uintptr_t tried;     /* peers, before this attempt */
  uint32_t address;    /* of the peer */
  ngx_msec_t idle;     /* how long the connection has been idle */
  ngx_msec_t responded; /* when the header of this response arrived */
  int64_t announced;   /* in seconds, by this response; -1: not announced */
  unsigned repeatable : 1;
  unsigned lost : 1; /* on an idle connection, once */
};

static ngx_msec_t *idle_timeout_of(uint32_t address) {
  ngx_uint_t place = address % ORIGINS;
  if (origins[place].address != address) {
    origins[place].address = address;
    origins[place].idle_timeout = DEFAULT_IDLE_TIMEOUT;
  }
  return &origins[place].idle_timeout;
}

static ngx_msec_t safe_idle_time(ngx_msec_t idle_timeout) { return idle_timeout - ngx_min(idle_timeout / 2, MARGIN); }

static void learn(uint32_t address, ngx_msec_t idle, ngx_uint_t closed) {
  ngx_msec_t *idle_timeout = idle_timeout_of(address);
  if (closed || idle > *idle_timeout) *idle_timeout = idle;
}

/* Runs when the connection's pool is destroyed, which is when the connection is closed. */
static void end_record(void *data) {
  record_t *record = data;
  ngx_connection_t *c = record->connection;
  if (record->idle) learn(record->address, ngx_current_msec - record->since, c->read->ready && !c->read->timedout && !c->close);
}

static record_t *record_of(ngx_connection_t *c) {
  ngx_pool_cleanup_t *cleanup = c->pool->cleanup;
  while (cleanup && cleanup->handler != end_record) cleanup = cleanup->next;
  return cleanup ? cleanup->data : NULL;
}

static record_t *make_record(ngx_connection_t *c) {
  ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(c->pool, sizeof(record_t));
  if (cleanup == NULL) return NULL;
  cleanup->handler = end_record;
  return cleanup->data;
}

/* The same as the keepalive module does. */
static void close_idle(ngx_connection_t *c) {
  if (c->ssl) {
    c->ssl->no_wait_shutdown = 1;
    c->ssl->no_send_shutdown = 1;
    (void)ngx_ssl_shutdown(c);
  }
  ngx_destroy_pool(c->pool);
  ngx_close_connection(c);
}

static ngx_int_t get_peer(ngx_peer_connection_t *pc, void *data) {
  ngx_http_pop_cache_keepalive_t *keepalive = data;
  ngx_http_upstream_rr_peers_t *peers = keepalive->round_robin.peers;
  uintptr_t tried = keepalive->round_robin.data;
  ngx_int_t rc = keepalive->original.get(pc, keepalive->original.data);

  if (rc != NGX_OK && rc != NGX_DONE) return rc;
  keepalive->announced = -1;
  keepalive->tried = keepalive->round_robin.peers == peers ? tried : 0; /* 0: it switched to the backup peers */
  keepalive->address = ngx_crc32_short((u_char *)pc->sockaddr, pc->socklen);
  if (rc == NGX_OK) return rc;
  record_t *record = record_of(pc->connection);
  if (record) {
    record->idle = 0;
    keepalive->idle = ngx_current_msec - record->since;
    learn(keepalive->address, keepalive->idle, 0);
    if (!keepalive->lost && (keepalive->repeatable || ngx_current_msec - record->responded <= safe_idle_time(*idle_timeout_of(keepalive->address)))) return rc;
  }
  /* The peer is selected and counted: with NGX_OK nginx connects to it. */
  close_idle(pc->connection);
  pc->connection = NULL;
  pc->cached = 0;
  return NGX_OK;
}

/* Whether an idle connection ended without a byte of a response: the origin had closed it, which says nothing about its health. */
static ngx_uint_t is_lost(ngx_http_pop_cache_keepalive_t *keepalive, ngx_peer_connection_t *pc, ngx_uint_t state) {
  ngx_connection_t *c = pc->connection;
  return pc->cached && c && state & NGX_PEER_FAILED && !keepalive->upstream->response_received && !c->read->timedout && !c->write->timedout;
}

static void free_peer(ngx_peer_connection_t *pc, void *data, ngx_uint_t state) {
  ngx_http_pop_cache_keepalive_t *keepalive = data;
  ngx_connection_t *c = pc->connection;
  ngx_msec_int_t left = NGX_MAX_INT32_VALUE; /* of the announced time */

  if (is_lost(keepalive, pc, state)) {
    learn(keepalive->address, keepalive->idle, 1);
    keepalive->lost = 1;
    keepalive->round_robin.data = keepalive->tried; /* so that this peer is selected again; nginx does not count the attempt either */
    keepalive->upstream->keepalive = 0;        /* the keepalive module keeps connections that have not failed */
    state &= ~NGX_PEER_FAILED;
  }
  if (keepalive->announced >= 0) {
    *idle_timeout_of(keepalive->address) = keepalive->announced * 1000;
    left = safe_idle_time(keepalive->announced * 1000) - (ngx_current_msec - keepalive->responded);
    if (left <= 0) keepalive->upstream->keepalive = 0;
  }
  keepalive->original.free(pc, keepalive->original.data, state);
  /* A stored connection no longer belongs to the peer; if it turned out to be closed, it has been destroyed already. */
  if (c == NULL || pc->connection || c->fd == (ngx_socket_t)-1) return;
  record_t *record = record_of(c);
  if (record == NULL) record = make_record(c);
  if (record) *record = (record_t){c, keepalive->address, keepalive->responded, ngx_current_msec, 1};
  if (left < (ngx_msec_int_t)(c->read->timer.key - ngx_current_msec)) ngx_add_timer(c->read, left);
}

static ngx_int_t set_session(ngx_peer_connection_t *pc, void *data) {
  ngx_peer_connection_t *original = &((ngx_http_pop_cache_keepalive_t *)data)->original;
  return original->set_session(pc, original->data);
}

static void save_session(ngx_peer_connection_t *pc, void *data) {
  ngx_peer_connection_t *original = &((ngx_http_pop_cache_keepalive_t *)data)->original;
  original->save_session(pc, original->data);
}

/* Whether the method is idempotent (RFC 9110 9.2.2, RFC 4918 9.1) and the body can be sent again. nginx also repeats methods it does not know. */
static ngx_uint_t is_repeatable(ngx_http_request_t *r) {
  return r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD | NGX_HTTP_OPTIONS | NGX_HTTP_TRACE | NGX_HTTP_PUT | NGX_HTTP_DELETE | NGX_HTTP_PROPFIND) &&
         !r->request_body_no_buffering;
}

/* Runs the upstream's original peer.init and wraps the functions it set. Returns NULL if that fails. */
ngx_http_pop_cache_keepalive_t *ngx_http_pop_cache_init_keepalive(ngx_http_request_t *r, ngx_http_upstream_srv_conf_t *upstream,
                                                        ngx_http_upstream_init_peer_pt init) {
  ngx_http_pop_cache_keepalive_t *keepalive = ngx_pcalloc(r->pool, sizeof *keepalive);
  ngx_peer_connection_t *pc = &r->upstream->peer;

  if (keepalive == NULL) return NULL;
  /* Round robin uses the structure that it finds here; one that it allocates would be hidden behind the keepalive module's. */
  pc->data = &keepalive->round_robin;
  if (init(r, upstream) != NGX_OK) return NULL;
  keepalive->upstream = r->upstream;
  keepalive->repeatable = is_repeatable(r);
  keepalive->original = *pc;
  pc->data = keepalive;
  pc->get = get_peer;
  pc->free = free_peer;
  pc->set_session = set_session;
  pc->save_session = save_session;
  return keepalive;
}

/* The header of the origin's response has been read. */
void ngx_http_pop_cache_note_response(ngx_http_pop_cache_keepalive_t *keepalive) {
  ngx_table_elt_t *field = ngx_http_pop_cache_field(&keepalive->upstream->headers_in.headers, "Keep-Alive");
  keepalive->responded = ngx_current_msec;
  if (field) keepalive->announced = pop_keep_alive(field->value.data, field->value.len);
}

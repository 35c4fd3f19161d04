/*
 * Connections to an origin that are kept between requests. An origin closes an idle connection after some time, and a request that is already on its way
 * is lost. nginx repeats a request that may be repeated, but counts the loss as a failure of the origin, turns to the next one, and may pick another dead
 * connection. Here the same origin is asked again over a new connection and no failure is counted. A request that must not be repeated takes a kept
 * connection only within the time the origin is known to leave it open.
 */
#include "ngx_http_pop_cache.h"

enum {
  /*
   * ms an origin is assumed to leave idle connections open until more is known. The shortest default in use is gunicorn's 2 s, and gunicorn does not announce
   * it; uvicorn, Apache and Node close after 5 s, other proxies after a minute or more.
   */
  ASSUMED = 1000,
  MARGIN = 1000, /* ms to stay clear of the origin's end: a round trip, and timers that are coarse */
  ORIGINS = 256  /* remembered at once; two addresses that share a place displace each other */
};

/* What this worker knows of an address: how long idle connections stay open there, as announced or as far as seen. */
static struct {
  uint32_t address;
  ngx_msec_t patience;
} origins[ORIGINS];

/* Lies in the pool of a connection. */
typedef struct {
  ngx_connection_t *connection;
  uint32_t address;
  /* When the last answer's header came. The origin may count from here, for it can have written the rest long before it was passed on. */
  ngx_msec_t answered;
  ngx_msec_t since; /* when the last answer ended */
  unsigned idle : 1;
} record_t;

struct ngx_http_pop_cache_kept_s {
  ngx_http_upstream_t *upstream;
  ngx_http_upstream_rr_peer_data_t round_robin;
  ngx_peer_connection_t original; /* its functions and their data */
  uintptr_t tried;     /* peers, before this attempt */
  uint32_t address;    /* of the peer */
  ngx_msec_t idle;     /* how long the connection had been idle */
  ngx_msec_t answered; /* when this answer's header came */
  int64_t announced;   /* in seconds, by this answer; -1: not */
  unsigned repeatable : 1;
  unsigned lost : 1; /* on a kept connection, once */
};

static ngx_msec_t *patience_of(uint32_t address) {
  ngx_uint_t place = address % ORIGINS;
  if (origins[place].address != address) {
    origins[place].address = address;
    origins[place].patience = ASSUMED;
  }
  return &origins[place].patience;
}

static ngx_msec_t trusted(ngx_msec_t patience) { return patience - ngx_min(patience / 2, MARGIN); }

static void learn(uint32_t address, ngx_msec_t idle, ngx_uint_t closed) {
  ngx_msec_t *patience = patience_of(address);
  if (closed || idle > *patience) *patience = idle;
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

/* As the keepalive module closes its own. */
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
  ngx_http_pop_cache_kept_t *kept = data;
  ngx_http_upstream_rr_peers_t *peers = kept->round_robin.peers;
  uintptr_t tried = kept->round_robin.data;
  ngx_int_t rc = kept->original.get(pc, kept->original.data);

  if (rc != NGX_OK && rc != NGX_DONE) return rc;
  kept->announced = -1;
  kept->tried = kept->round_robin.peers == peers ? tried : 0; /* 0: it went over to the backup peers */
  kept->address = ngx_crc32_short((u_char *)pc->sockaddr, pc->socklen);
  if (rc == NGX_OK) return rc;
  record_t *record = record_of(pc->connection);
  if (record) {
    record->idle = 0;
    kept->idle = ngx_current_msec - record->since;
    learn(kept->address, kept->idle, 0);
    if (!kept->lost && (kept->repeatable || ngx_current_msec - record->answered <= trusted(*patience_of(kept->address)))) return rc;
  }
  /* The peer is chosen and counted: with NGX_OK nginx connects to it. */
  close_idle(pc->connection);
  pc->connection = NULL;
  pc->cached = 0;
  return NGX_OK;
}

/* Whether a kept connection ended without a byte of an answer: the origin had closed it, which says nothing about its health. */
static ngx_uint_t is_lost(ngx_http_pop_cache_kept_t *kept, ngx_peer_connection_t *pc, ngx_uint_t state) {
  ngx_connection_t *c = pc->connection;
  return pc->cached && c && state & NGX_PEER_FAILED && !kept->upstream->response_received && !c->read->timedout && !c->write->timedout;
}

static void free_peer(ngx_peer_connection_t *pc, void *data, ngx_uint_t state) {
  ngx_http_pop_cache_kept_t *kept = data;
  ngx_connection_t *c = pc->connection;
  ngx_msec_int_t left = NGX_MAX_INT32_VALUE; /* of the time announced */

  if (is_lost(kept, pc, state)) {
    learn(kept->address, kept->idle, 1);
    kept->lost = 1;
    kept->round_robin.data = kept->tried; /* so that this peer is chosen again; nginx does not count the attempt either */
    kept->upstream->keepalive = 0;        /* the keepalive module stores what has not failed */
    state &= ~NGX_PEER_FAILED;
  }
  if (kept->announced >= 0) {
    *patience_of(kept->address) = kept->announced * 1000;
    left = trusted(kept->announced * 1000) - (ngx_current_msec - kept->answered);
    if (left <= 0) kept->upstream->keepalive = 0;
  }
  kept->original.free(pc, kept->original.data, state);
  /* Stored, it no longer belongs to the peer; and if it turned out to be closed by then, it is gone already. */
  if (c == NULL || pc->connection || c->fd == (ngx_socket_t)-1) return;
  record_t *record = record_of(c);
  if (record == NULL) record = make_record(c);
  if (record) *record = (record_t){c, kept->address, kept->answered, ngx_current_msec, 1};
  if (left < (ngx_msec_int_t)(c->read->timer.key - ngx_current_msec)) ngx_add_timer(c->read, left);
}

static ngx_int_t set_session(ngx_peer_connection_t *pc, void *data) {
  ngx_peer_connection_t *original = &((ngx_http_pop_cache_kept_t *)data)->original;
  return original->set_session(pc, original->data);
}

static void save_session(ngx_peer_connection_t *pc, void *data) {
  ngx_peer_connection_t *original = &((ngx_http_pop_cache_kept_t *)data)->original;
  original->save_session(pc, original->data);
}

/* Whether the method is idempotent (RFC 9110 9.2.2, RFC 4918 9.1) and no part of the body is gone once it is sent. nginx also repeats methods it does not know. */
static ngx_uint_t is_repeatable(ngx_http_request_t *r) {
  return r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD | NGX_HTTP_OPTIONS | NGX_HTTP_TRACE | NGX_HTTP_PUT | NGX_HTTP_DELETE | NGX_HTTP_PROPFIND) &&
         !r->request_body_no_buffering;
}

/* Runs the upstream's own peer.init and wraps the functions it set; NULL if that fails. */
ngx_http_pop_cache_kept_t *ngx_http_pop_cache_init_kept(ngx_http_request_t *r, ngx_http_upstream_srv_conf_t *upstream,
                                                        ngx_http_upstream_init_peer_pt init) {
  ngx_http_pop_cache_kept_t *kept = ngx_pcalloc(r->pool, sizeof *kept);
  ngx_peer_connection_t *pc = &r->upstream->peer;

  if (kept == NULL) return NULL;
  /* Round robin uses the structure it finds here; one that it allocates would be hidden behind the keepalive module's. */
  pc->data = &kept->round_robin;
  if (init(r, upstream) != NGX_OK) return NULL;
  kept->upstream = r->upstream;
  kept->repeatable = is_repeatable(r);
  kept->original = *pc;
  pc->data = kept;
  pc->get = get_peer;
  pc->free = free_peer;
  pc->set_session = set_session;
  pc->save_session = save_session;
  return kept;
}

/* The header of the origin's answer is read. */
void ngx_http_pop_cache_note_answer(ngx_http_pop_cache_kept_t *kept) {
  ngx_table_elt_t *field = ngx_http_pop_cache_field(&kept->upstream->headers_in.headers, "Keep-Alive");
  kept->answered = ngx_current_msec;
  if (field) kept->announced = pop_keep_alive(field->value.data, field->value.len);
}

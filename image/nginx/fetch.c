/*
 * Corrects nginx's requests to origins, and when it falls back to a stored response. For each request, in the upstream's peer.init, it wraps the functions with
 * which the proxy module reads a response. nginx calls peer.init after it has looked in the cache, and only if it does contact the origin.
 */
#include "ngx_http_pop_cache.h"

typedef struct {
  ngx_http_upstream_srv_conf_t *upstream;
  ngx_http_upstream_init_peer_pt init;
} original_t;

/*
 * If the cache status is EXPIRED, nginx replaces an error from the origin with the stored copy, however old, and interprets a 304 as one for the stored copy,
 * even if the request had the visitor's own conditions. Where that is wrong, the status is changed to MISS.
 */
static void hide_stale(ngx_http_request_t *r, ngx_http_pop_cache_ctx_t *ctx) {
  ngx_http_upstream_t *u = r->upstream;
  ngx_uint_t status = u->headers_in.status_n;
  if (u->cache_status != NGX_HTTP_CACHE_EXPIRED) return;
  if (status == NGX_HTTP_NOT_MODIFIED ? ctx->passing : !r->cache->stale_error) u->cache_status = NGX_HTTP_CACHE_MISS;
}

/*
 * Skips interim responses (RFC 9110 15.2), which nginx would interpret as the final response, except 103, which nginx supports, and 101, which is final. They
 * are treated as empty early hints, after which the proxy module starts over.
 */
static ngx_int_t skip_interim(ngx_http_request_t *r, ngx_http_pop_cache_ctx_t *ctx) {
  ngx_http_proxy_ctx_t *proxy = ngx_http_get_module_ctx(r, ngx_http_proxy_module);
  ngx_list_t *headers = &r->upstream->headers_in.headers;

  if (proxy == NULL) return NGX_ERROR;
  ngx_memzero(&proxy->status, sizeof proxy->status);
  r->state = 0;
  headers->last = &headers->part;
  headers->part.nelts = 0;
  headers->part.next = NULL;
  ctx->process_header = ctx->first_process_header;
  return NGX_HTTP_UPSTREAM_EARLY_HINTS;
}

static ngx_int_t process_header(ngx_http_request_t *r) {
  ngx_http_pop_cache_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_pop_cache_module);
  ngx_http_upstream_t *u = r->upstream;
  ngx_int_t rc;

  if (ctx == NULL) return NGX_ERROR;
  u->process_header = ctx->process_header;
  rc = u->process_header(r);
  ctx->process_header = u->process_header;
  u->process_header = process_header;

  if (rc == NGX_OK && u->headers_in.status_n < 200 && u->headers_in.status_n != NGX_HTTP_SWITCHING_PROTOCOLS)
    return skip_interim(r, ctx);
  if (rc == NGX_OK && !r->cached && ctx->keepalive) ngx_http_pop_cache_note_response(ctx->keepalive);
  if (rc != NGX_OK || r->cache == NULL) return rc;
  if (!r->cached) {
    hide_stale(r, ctx);
    if (u->headers_in.status_n == NGX_HTTP_NOT_MODIFIED) ctx->not_modified = u->headers_in;
    return rc;
  }
  /* The stored header, read again after a 304. */
  if (u->cache_status == NGX_HTTP_CACHE_REVALIDATED) {
    ctx->revalidated = 1;
    return ngx_http_pop_cache_merge(r, &ctx->not_modified);
  }
  return rc;
}

/* Another peer is tried, or the stored copy is sent after all: the proxy module has reset its function, so wrap it again. */
static ngx_int_t reinit_request(ngx_http_request_t *r) {
  ngx_http_pop_cache_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_pop_cache_module);
  ngx_int_t rc;

  if (ctx == NULL) return NGX_ERROR;
  rc = ctx->reinit_request(r);
  ctx->process_header = r->upstream->process_header;
  r->upstream->process_header = process_header;
  return rc;
}

/* By now the response is stored, if it is going to be. */
static void finalize_request(ngx_http_request_t *r, ngx_int_t rc) {
  ngx_http_pop_cache_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_pop_cache_module);
  if (ctx == NULL) return;
  ctx->finalize_request(r, rc);
  ngx_http_pop_cache_end(ctx);
}

static void wrap(ngx_http_request_t *r, ngx_http_pop_cache_loc_conf_t *conf, ngx_http_pop_cache_ctx_t *ctx) {
  ngx_http_upstream_t *u = r->upstream;

  ctx->process_header = ctx->first_process_header = u->process_header;
  ctx->reinit_request = u->reinit_request;
  u->process_header = process_header;
  u->reinit_request = reinit_request;
  if (conf->zone.len == 0) return;
  ctx->finalize_request = u->finalize_request;
  ctx->passing = !u->cacheable;
  ctx->expired = u->cache_status == NGX_HTTP_CACHE_EXPIRED;
  u->finalize_request = finalize_request;
  if (u->cacheable && u->cache_status != NGX_HTTP_CACHE_BYPASS) ngx_http_pop_cache_begin(r, ctx);
  else ngx_http_pop_cache_end(ctx);
}

static ngx_int_t init_peer(ngx_http_request_t *r, ngx_http_upstream_srv_conf_t *upstream) {
  ngx_http_pop_cache_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_pop_cache_module);
  ngx_http_pop_cache_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_pop_cache_module);
  ngx_http_pop_cache_ctx_t *ctx = ngx_http_pop_cache_get_ctx(r);
  original_t *original = main->originals.elts;

  if (ctx == NULL) return NGX_ERROR;
  wrap(r, conf, ctx);
  while (original->upstream != upstream) original++;
  ctx->keepalive = ngx_http_pop_cache_init_keepalive(r, upstream, original->init);
  return ctx->keepalive ? NGX_OK : NGX_ERROR;
}

/* Runs after nginx's own modules have set up the upstreams. */
ngx_int_t ngx_http_pop_cache_wrap_upstreams(ngx_conf_t *cf) {
  ngx_http_pop_cache_main_conf_t *main = ngx_http_conf_get_module_main_conf(cf, ngx_http_pop_cache_module);
  ngx_http_upstream_main_conf_t *all = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);
  ngx_http_upstream_srv_conf_t **upstream = all->upstreams.elts;
  ngx_uint_t i;

  if (ngx_array_init(&main->originals, cf->pool, all->upstreams.nelts + 1, sizeof(original_t)) != NGX_OK) return NGX_ERROR;
  for (i = 0; i < all->upstreams.nelts; i++) {
    original_t *original = ngx_array_push(&main->originals);
    if (original == NULL) return NGX_ERROR;
    original->upstream = upstream[i];
    original->init = upstream[i]->peer.init;
    upstream[i]->peer.init = init_peer;
  }
  return NGX_OK;
}

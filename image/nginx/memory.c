/*
 * Limits the memory of requests in progress, whatever visitors and origins do. Each request is charged the most it can use, first for its own buffers while it
 * waits, then also for those of its response. A site may use as much as it leaves free for the others: one site can use half, two together two thirds. Above
 * that, its visitors get 503. Once half of the limit is in use, responses are not compressed, because a compressor uses more than everything else. Each worker
 * keeps its own count, so the count of a worker that dies disappears with it.
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "visitor.h"

extern ngx_module_t ngx_http_pop_memory_module;

/* Bytes, measured in the image (test/soak/bounds/requests.test.ts). */
enum {
  WAITING = 12 << 10,  /* a request without its header and body */
  BODY = 64 << 10,     /* the part of a body that is read before the origin accepts it: http2_body_preread_size */
  RESPONSE = 68 << 10, /* nginx's buffers for a response, as set in nginx.conf, if the visitor does not read */
  COMPRESSOR = 1 << 20 /* brotli's; gzip's is less */
};

typedef struct {
  size_t others; /* memory of the machine's other processes; NGX_CONF_UNSET_SIZE: no limit */
  size_t bound;  /* of a worker */
  size_t used;   /* by this worker */
} main_conf_t;

typedef struct {
  size_t used; /* by this site in this worker */
} srv_conf_t;

typedef struct {
  size_t bytes;
  main_conf_t *all;
  srv_conf_t *site;
} charge_t;

static ngx_http_output_header_filter_pt next_header_filter;

static void add(charge_t *charge, size_t bytes) {
  charge->bytes += bytes;
  charge->all->used += bytes;
  charge->site->used += bytes;
}

static void release(void *data) {
  charge_t *charge = data;
  charge->all->used -= charge->bytes;
  charge->site->used -= charge->bytes;
}

/* The charge of a request; NULL if it is not counted. Allocated in the request's pool, because an internal redirect clears the contexts of modules. */
static charge_t *charge_of(ngx_http_request_t *r) {
  for (ngx_pool_cleanup_t *cleanup = r->main->pool->cleanup; cleanup; cleanup = cleanup->next)
    if (cleanup->handler == release) return cleanup->data;
  return NULL;
}

static ngx_uint_t has_room(main_conf_t *all, srv_conf_t *site, size_t bytes) {
  return all->used + site->used + bytes <= all->bound;
}

static ngx_int_t reject(ngx_http_request_t *r, main_conf_t *all, srv_conf_t *site) {
  ngx_log_error(NGX_LOG_INFO, r->connection->log, 0, "request rejected, out of memory for requests: %uz of %uz bytes are in use, %uz by its site", all->used, all->bound, site->used);
  return NGX_HTTP_SERVICE_UNAVAILABLE;
}

static size_t headers_of(ngx_http_request_t *r) {
  size_t bytes = r->unparsed_uri.len;
  for (ngx_list_part_t *part = &r->headers_in.headers.part; part; part = part->next) {
    ngx_table_elt_t *header = part->elts;
    for (ngx_uint_t i = 0; i < part->nelts; i++) bytes += header[i].key.len + header[i].value.len;
  }
  return bytes;
}

static ngx_int_t admit(ngx_http_request_t *r) {
  main_conf_t *all = ngx_http_get_module_main_conf(r, ngx_http_pop_memory_module);
  srv_conf_t *site = ngx_http_get_module_srv_conf(r, ngx_http_pop_memory_module);
  /* Header fields count twice: as received, and as sent to the origin. */
  size_t bytes = WAITING + 2 * headers_of(r) + (r->headers_in.content_length_n > 0 || r->headers_in.chunked ? BODY : 0);
  ngx_pool_cleanup_t *cleanup;
  charge_t *charge;

  /*
   * Visitors' connections have a PROXY header; the machine's own probes and nginx's relays do not. The error page of a rejected request is a small file, so it
   * is not rejected in turn.
   */
  if (all->bound == 0 || r != r->main || !pop_is_visitors(r) || r->error_page || charge_of(r)) return NGX_DECLINED;
  if (!has_room(all, site, bytes)) return reject(r, all, site);
  cleanup = ngx_pool_cleanup_add(r->pool, sizeof *charge);
  if (cleanup == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  cleanup->handler = release;
  charge = cleanup->data;
  *charge = (charge_t){0, all, site};
  add(charge, bytes);
  return NGX_DECLINED;
}

/* Runs before the compressing filters: it can turn them off, and afterwards Content-Encoding shows whether one is active. */
static ngx_int_t header_filter(ngx_http_request_t *r) {
  charge_t *charge = r == r->main ? charge_of(r) : NULL;
  ngx_http_upstream_t *u = r->upstream;
  ngx_table_elt_t *encoding = r->headers_out.content_encoding;
  ngx_int_t rc;

  if (charge == NULL || r->filter_finalize) return next_header_filter(r);
  size_t bytes = RESPONSE + (u && u->buffering && !r->cached ? u->conf->bufs.num * u->conf->bufs.size : 0);
  if (!has_room(charge->all, charge->site, bytes)) {
    /* nginx's own bare page: after an internal redirect to another one, the upstream module would continue with the response. */
    r->error_page = 1;
    return ngx_http_filter_finalize_request(r, &ngx_http_pop_memory_module, reject(r, charge->all, charge->site));
  }
  add(charge, bytes);
  if (charge->all->used + COMPRESSOR > charge->all->bound / 2) {
    r->headers_in.accept_encoding = NULL;
    r->gzip_tested = 1;
    r->gzip_ok = 0;
  }
  rc = next_header_filter(r);
  if (r->headers_out.content_encoding != encoding) add(charge, COMPRESSOR);
  return rc;
}

static size_t number_in(const char *path) {
  size_t number = 0;
  FILE *file = fopen(path, "r");
  if (file == NULL) return 0;
  if (fscanf(file, "%zu", &number) != 1) number = 0;
  fclose(file);
  return number;
}

/* Memory of the machine, or of its control group if that has less. */
static size_t machine_memory(void) {
  static const char *const limits[] = {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
  size_t bytes = (size_t)sysconf(_SC_PHYS_PAGES) * ngx_pagesize;
  for (ngx_uint_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    size_t limit = number_in(limits[i]);
    if (limit && limit < bytes) bytes = limit;
  }
  return bytes;
}

/* Two fifths of the memory that the other processes leave free. The rest is for connections and the headers they are still receiving (image/limits.ts). */
static ngx_int_t init_module(ngx_cycle_t *cycle) {
  main_conf_t *all = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_pop_memory_module);
  ngx_core_conf_t *core = (ngx_core_conf_t *)ngx_get_conf(cycle->conf_ctx, ngx_core_module);
  size_t memory = machine_memory(), least = (size_t)16 << 20;
  if (all == NULL || all->others == NGX_CONF_UNSET_SIZE) return NGX_OK;
  size_t rest = memory > all->others ? (memory - all->others) / 5 * 2 : 0;
  all->bound = ngx_max(rest, least) / core->worker_processes;
  return NGX_OK;
}

static void *create_main_conf(ngx_conf_t *cf) {
  main_conf_t *all = ngx_pcalloc(cf->pool, sizeof *all);
  if (all) all->others = NGX_CONF_UNSET_SIZE;
  return all;
}

static void *create_srv_conf(ngx_conf_t *cf) { return ngx_pcalloc(cf->pool, sizeof(srv_conf_t)); }

static ngx_int_t postconfiguration(ngx_conf_t *cf) {
  ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
  ngx_http_handler_pt *handler = ngx_array_push(&core->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
  if (handler == NULL) return NGX_ERROR;
  *handler = admit;
  next_header_filter = ngx_http_top_header_filter;
  ngx_http_top_header_filter = header_filter;
  return NGX_OK;
}

static ngx_command_t commands[] = {
    {ngx_string("pop_memory_of_others"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_conf_set_size_slot, NGX_HTTP_MAIN_CONF_OFFSET,
     offsetof(main_conf_t, others), NULL},
    ngx_null_command};

static ngx_http_module_t context = {NULL, postconfiguration, create_main_conf, NULL, create_srv_conf, NULL, NULL, NULL};

ngx_module_t ngx_http_pop_memory_module = {
    NGX_MODULE_V1, &context, commands, NGX_HTTP_MODULE, NULL, init_module, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING};

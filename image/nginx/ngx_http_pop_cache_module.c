/* The module's directives and where it hooks into nginx. */
#include "ngx_http_pop_cache.h"

static char *set_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
  ngx_http_pop_cache_loc_conf_t *location = conf;
  ngx_str_t *value = cf->args->elts;
  if (location->zone.data) return "is duplicate";
  if (ngx_strcmp(value[1].data, "off") == 0) value[1].len = 0;
  location->zone = value[1];
  return NGX_CONF_OK;
}

/* The request's context, created if missing. NULL if out of memory. */
ngx_http_pop_cache_ctx_t *ngx_http_pop_cache_get_ctx(ngx_http_request_t *r) {
  ngx_http_pop_cache_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_pop_cache_module);
  if (ctx) return ctx;
  ctx = ngx_pcalloc(r->pool, sizeof *ctx);
  if (ctx) ngx_http_set_ctx(r, ctx, ngx_http_pop_cache_module);
  return ctx;
}

static void *create_main_conf(ngx_conf_t *cf) { return ngx_pcalloc(cf->pool, sizeof(ngx_http_pop_cache_main_conf_t)); }

static void *create_loc_conf(ngx_conf_t *cf) {
  ngx_http_pop_cache_loc_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);
  if (conf == NULL) return NULL;
  conf->max_age = NGX_CONF_UNSET;
  conf->stale_if_error = NGX_CONF_UNSET;
  conf->stale_while_revalidate = NGX_CONF_UNSET;
  conf->max_file = NGX_CONF_UNSET;
  conf->cookies = NGX_CONF_UNSET;
  conf->statuses = NGX_CONF_UNSET_PTR;
  conf->ignore_origin = NGX_CONF_UNSET;
  conf->ignored = NGX_CONF_UNSET_PTR;
  return conf;
}

static char *merge_loc_conf(ngx_conf_t *cf, void *parent, void *child) {
  ngx_http_pop_cache_loc_conf_t *prev = parent, *conf = child;
  ngx_conf_merge_str_value(conf->zone, prev->zone, "");
  ngx_conf_merge_sec_value(conf->max_age, prev->max_age, 0);
  ngx_conf_merge_sec_value(conf->stale_if_error, prev->stale_if_error, 0);
  ngx_conf_merge_sec_value(conf->stale_while_revalidate, prev->stale_while_revalidate, 0);
  ngx_conf_merge_off_value(conf->max_file, prev->max_file, 0);
  ngx_conf_merge_value(conf->cookies, prev->cookies, 1);
  ngx_conf_merge_ptr_value(conf->statuses, prev->statuses, NULL);
  ngx_conf_merge_value(conf->ignore_origin, prev->ignore_origin, 0);
  ngx_conf_merge_ptr_value(conf->ignored, prev->ignored, NULL);
  ngx_conf_merge_str_value(conf->vary, prev->vary, "");
  return NGX_CONF_OK;
}

/* Whether the request uses the cache: its site has one, and the request does not pass through. */
ngx_uint_t ngx_http_pop_cache_is_used(ngx_http_request_t *r) {
  ngx_http_pop_cache_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_pop_cache_module);
  ngx_http_pop_cache_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_pop_cache_module);
  return conf->zone.len && !(ctx && ctx->passed);
}

/* $pop_cache, for proxy_cache: the zone, or "off" for a request that passes through. */
static ngx_int_t pop_cache_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data) {
  ngx_http_pop_cache_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_pop_cache_module);
  static ngx_str_t off = ngx_string("off");
  ngx_str_t *value = ngx_http_pop_cache_is_used(r) ? &conf->zone : &off;
  v->data = value->data;
  v->len = value->len;
  v->valid = 1;
  return NGX_OK;
}

/* $pop_cache_status, for logs and headers: $upstream_cache_status, and BYPASS for requests that passed through. */
static ngx_int_t status_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data) {
  ngx_http_pop_cache_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_pop_cache_module);
  ngx_uint_t status = ctx && ctx->passed ? NGX_HTTP_CACHE_BYPASS : r->upstream ? r->upstream->cache_status : 0;
  v->not_found = status == 0;
  if (status == 0) return NGX_OK;
  v->data = ngx_http_cache_status[status - 1].data;
  v->len = ngx_http_cache_status[status - 1].len;
  v->valid = 1;
  return NGX_OK;
}

/*
 * $pop_visitor, for limits: the visitor's IPv4 address, or the /64 of its IPv6 address, because a visitor can use any address of it. Binary. A proxy that
 * listens for both families on one socket reports IPv4 addresses as IPv6 (::ffff:0:0/96), which all have the same /64.
 */
static ngx_int_t visitor_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data) {
  struct sockaddr *address = r->connection->sockaddr;
  if (address->sa_family == AF_INET) {
    v->data = (u_char *)&((struct sockaddr_in *)address)->sin_addr;
    v->len = sizeof(in_addr_t);
  } else if (address->sa_family == AF_INET6) {
    struct in6_addr *six = &((struct sockaddr_in6 *)address)->sin6_addr;
    ngx_uint_t mapped = IN6_IS_ADDR_V4MAPPED(six);
    v->data = six->s6_addr + (mapped ? 12 : 0);
    v->len = mapped ? sizeof(in_addr_t) : 8;
  } else {
    v->not_found = 1;
    return NGX_OK;
  }
  v->valid = 1;
  return NGX_OK;
}

static ngx_int_t preconfiguration(ngx_conf_t *cf) {
  static struct {
    ngx_str_t name;
    ngx_http_get_variable_pt handler;
  } variables[] = {
      {ngx_string("pop_cache"), pop_cache_variable},
      {ngx_string("pop_cache_status"), status_variable},
      {ngx_string("pop_cache_uri"), ngx_http_pop_cache_uri_variable},
      {ngx_string("pop_visitor"), visitor_variable},
  };
  for (ngx_uint_t i = 0; i < sizeof variables / sizeof *variables; i++) {
    ngx_http_variable_t *variable = ngx_http_add_variable(cf, &variables[i].name, NGX_HTTP_VAR_NOCACHEABLE);
    if (variable == NULL) return NGX_ERROR;
    variable->get_handler = variables[i].handler;
  }
  return NGX_OK;
}

/* PRECONTENT phase: runs after the modules that may reject the request. */
static ngx_int_t before_content(ngx_http_request_t *r) {
  ngx_http_pop_cache_drop_request_fields(r);
  if (ngx_http_pop_login_set_fields(r) != NGX_OK) return NGX_ERROR;
  if (ngx_http_pop_cache_restore_tags(r) != NGX_OK) return NGX_ERROR;
  ngx_int_t rc = ngx_http_pop_cache_hold(r);
  if (rc == NGX_DECLINED) ngx_http_pop_cache_drop_accept_encoding(r);
  return rc;
}

static ngx_int_t postconfiguration(ngx_conf_t *cf) {
  ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
  ngx_http_handler_pt *handler = ngx_array_push(&core->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
  if (handler == NULL) return NGX_ERROR;
  *handler = before_content;
  if (ngx_http_pop_cache_init_hidden(cf) != NGX_OK || ngx_http_pop_cache_filter_init(cf) != NGX_OK) return NGX_ERROR;
  return ngx_http_pop_cache_wrap_upstreams(cf);
}

#define LOCATION (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF)
#define FIELD(name) NGX_HTTP_LOC_CONF_OFFSET, offsetof(ngx_http_pop_cache_loc_conf_t, name), NULL

static ngx_command_t commands[] = {
    {ngx_string("pop_cache"), LOCATION | NGX_CONF_TAKE1, set_zone, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("pop_cache_max_age"), LOCATION | NGX_CONF_TAKE1, ngx_conf_set_sec_slot, FIELD(max_age)},
    {ngx_string("pop_cache_stale_if_error"), LOCATION | NGX_CONF_TAKE1, ngx_conf_set_sec_slot, FIELD(stale_if_error)},
    {ngx_string("pop_cache_stale_while_revalidate"), LOCATION | NGX_CONF_TAKE1, ngx_conf_set_sec_slot, FIELD(stale_while_revalidate)},
    {ngx_string("pop_cache_max_file"), LOCATION | NGX_CONF_TAKE1, ngx_conf_set_off_slot, FIELD(max_file)},
    {ngx_string("pop_cache_cookies"), LOCATION | NGX_CONF_FLAG, ngx_conf_set_flag_slot, FIELD(cookies)},
    {ngx_string("pop_cache_fresh"), LOCATION | NGX_CONF_TAKE2, ngx_http_pop_cache_set_status, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("pop_cache_ignore_origin"), LOCATION | NGX_CONF_FLAG, ngx_conf_set_flag_slot, FIELD(ignore_origin)},
    {ngx_string("pop_cache_ignore_query"), LOCATION | NGX_CONF_1MORE, ngx_http_pop_cache_set_ignored, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("pop_cache_vary"), LOCATION | NGX_CONF_1MORE, ngx_http_pop_cache_set_vary, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("pop_cache_purge"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1, ngx_http_pop_cache_set_purge, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("pop_hide_request_fields"), NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE, ngx_http_pop_cache_hide_fields, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    {ngx_string("pop_cache_crowd"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, ngx_http_pop_cache_set_crowd, NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
    ngx_null_command};

static ngx_http_module_t context = {
    preconfiguration, postconfiguration, create_main_conf, NULL, NULL, NULL, create_loc_conf, merge_loc_conf};

ngx_module_t ngx_http_pop_cache_module = {
    NGX_MODULE_V1, &context, commands, NGX_HTTP_MODULE, NULL, ngx_http_pop_cache_init_tags, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING};

/* The symbol that load_module looks for. Without an order the module comes last, so that its header filter runs first. */
extern ngx_module_t ngx_http_pop_grpc_module;   /* grpc.c */
extern ngx_module_t ngx_http_pop_memory_module; /* memory.c */
extern ngx_module_t ngx_http_pop_reject_module; /* reject.c */
extern ngx_module_t ngx_http_pop_login_module;  /* login.c */
extern ngx_module_t ngx_http_pop_secret_module; /* secret.c */
ngx_module_t *ngx_modules[] = {&ngx_http_pop_grpc_module,   &ngx_http_pop_cache_module, &ngx_http_pop_memory_module,
                               &ngx_http_pop_reject_module, &ngx_http_pop_login_module, &ngx_http_pop_secret_module, NULL};
char *ngx_module_names[] = {"ngx_http_pop_grpc_module",   "ngx_http_pop_cache_module", "ngx_http_pop_memory_module",
                            "ngx_http_pop_reject_module", "ngx_http_pop_login_module", "ngx_http_pop_secret_module", NULL};
char *ngx_module_order[] = {NULL};

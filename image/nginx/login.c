/*
 * Logins at a service of the user's, which is asked about each request. nginx's auth_request reports a redirect to the login page and an unreachable service as
 * errors, passes on only one cookie, and asks about the path as the visitor spelled it even if the origin gets another one.
 */
#include "ngx_http_pop_cache.h"

extern ngx_module_t ngx_http_pop_login_module;

typedef struct {
  ngx_uint_t used; /* by any location */
} main_conf_t;

typedef struct {
  ngx_str_t uri;       /* of the location that asks the service; empty: no login needed */
  const char **fields; /* of the service's response: the origin gets them, and visitors cannot send them; NULL: none */
} loc_conf_t;

/* A request, and the service's response to it. */
typedef struct {
  ngx_str_t uri; /* path and query as the origin gets them, but with the prefix that it does not see */
  ngx_uint_t started;
  ngx_uint_t status; /* 0: none yet */
  ngx_list_t *headers;
} login_t;

static ngx_http_output_header_filter_pt next_header_filter;

/* Identifies an entry in the request's pool, which survives internal redirects. A module's context does not. */
static void mark(void *data) {}

static login_t *login_of(ngx_http_request_t *r) {
  for (ngx_pool_cleanup_t *cleanup = r->main->pool->cleanup; cleanup; cleanup = cleanup->next)
    if (cleanup->handler == mark) return cleanup->data;
  return NULL;
}

static ngx_uint_t admits(login_t *login) { return login->status >= 200 && login->status < 300; }

static ngx_int_t on_response(ngx_http_request_t *r, void *data, ngx_int_t rc) {
  login_t *login = data;
  /* An error of nginx's own before it sent a response: the service did not answer. It gets no error page. */
  if (rc >= NGX_HTTP_INTERNAL_SERVER_ERROR) {
    login->status = rc;
    return NGX_OK;
  }
  login->status = r->headers_out.status ? r->headers_out.status : NGX_HTTP_BAD_GATEWAY;
  if (r->upstream) login->headers = &r->upstream->headers_in.headers;
  return rc;
}

/* The path as the visitor spelled it, or nginx's decoded path if nginx has replaced it. */
static ngx_int_t copy_uri(ngx_http_request_t *r, ngx_str_t *copy_of_uri) {
  *copy_of_uri = r->unparsed_uri;
  if (r->valid_unparsed_uri) return NGX_OK;
  size_t escaped = r->uri.len + 2 * ngx_escape_uri(NULL, r->uri.data, r->uri.len, NGX_ESCAPE_URI);
  copy_of_uri->data = ngx_pnalloc(r->pool, escaped + 1 + r->args.len);
  if (copy_of_uri->data == NULL) return NGX_ERROR;
  u_char *end = (u_char *)ngx_escape_uri(copy_of_uri->data, r->uri.data, r->uri.len, NGX_ESCAPE_URI);
  if (r->args.len) {
    *end++ = '?';
    end = ngx_cpymem(end, r->args.data, r->args.len);
  }
  copy_of_uri->len = end - copy_of_uri->data;
  return NGX_OK;
}

/* REWRITE phase, before nginx's own handler: a location that strips a prefix has not done so yet. */
static ngx_int_t save_uri(ngx_http_request_t *r) {
  loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_pop_login_module);
  if (conf->uri.len == 0 || r != r->main || login_of(r)) return NGX_DECLINED;
  ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, sizeof(login_t));
  if (cleanup == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  login_t *login = cleanup->data;
  ngx_memzero(login, sizeof *login);
  cleanup->handler = mark;
  return copy_uri(r, &login->uri) == NGX_OK ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

static ngx_int_t start_subrequest(ngx_http_request_t *r, ngx_str_t *uri, login_t *login) {
  ngx_http_request_t *subrequest;
  ngx_http_post_subrequest_t *post_subrequest = ngx_palloc(r->pool, sizeof *post_subrequest);
  if (post_subrequest == NULL) return NGX_ERROR;
  post_subrequest->handler = on_response;
  post_subrequest->data = login;
  login->started = 1;
  if (ngx_http_subrequest(r, uri, NULL, &subrequest, post_subrequest, NGX_HTTP_SUBREQUEST_WAITED) != NGX_OK) return NGX_ERROR;
  /* An empty body of its own: the visitor's is for the origin. */
  subrequest->request_body = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));
  if (subrequest->request_body == NULL) return NGX_ERROR;
  subrequest->header_only = 1;
  return NGX_AGAIN;
}

/* 302, or 303 if the same request to the login page would mean something else. */
static ngx_int_t redirect(ngx_http_request_t *r, ngx_str_t target) {
  ngx_http_clear_location(r);
  r->headers_out.location = ngx_http_pop_cache_push(&r->headers_out.headers, "Location", target);
  if (r->headers_out.location == NULL) return NGX_ERROR;
  return r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD) ? NGX_HTTP_MOVED_TEMPORARILY : NGX_HTTP_SEE_OTHER;
}

/* Copies the fields of these names from one list to another. */
static ngx_int_t copy(ngx_list_t *from, ngx_list_t *to, const char *const *names) {
  ngx_http_pop_cache_cursor_t cursor = ngx_http_pop_cache_first(from);
  ngx_table_elt_t *h;
  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL) {
    if (h->value.len == 0 || !ngx_http_pop_cache_named(h, names)) continue;
    ngx_table_elt_t *added = ngx_list_push(to);
    if (added == NULL) return NGX_ERROR;
    *added = *h;
    added->next = NULL;
  }
  return NGX_OK;
}

static ngx_int_t reject(ngx_http_request_t *r, login_t *login) {
  static const char *const challenge[] = {"WWW-Authenticate", NULL};
  ngx_table_elt_t *location = login->headers ? ngx_http_pop_cache_field(login->headers, "Location") : NULL;
  ngx_uint_t is_redirect = login->status >= NGX_HTTP_SPECIAL_RESPONSE && login->status < NGX_HTTP_BAD_REQUEST;
  if (location && location->value.len && (is_redirect || login->status == NGX_HTTP_UNAUTHORIZED)) return redirect(r, location->value);
  if (login->status == NGX_HTTP_FORBIDDEN) return NGX_HTTP_FORBIDDEN;
  if (login->status == NGX_HTTP_UNAUTHORIZED) {
    if (login->headers && copy(login->headers, &r->headers_out.headers, challenge) != NGX_OK) return NGX_ERROR;
    return NGX_HTTP_UNAUTHORIZED;
  }
  ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, "the login service returned %ui, which is neither success nor a rejection: the request gets 502", login->status);
  login->headers = NULL;
  return NGX_HTTP_BAD_GATEWAY;
}

/* ACCESS phase; nginx skips it for its own subrequests. */
static ngx_int_t admit(ngx_http_request_t *r) {
  loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_pop_login_module);
  if (conf->uri.len == 0) return NGX_DECLINED;
  login_t *login = login_of(r);
  if (login == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  if (!login->started) return start_subrequest(r, &conf->uri, login);
  if (login->status == 0) return NGX_AGAIN;
  return admits(login) ? NGX_OK : reject(r, login);
}

/* PRECONTENT phase, after the visitor's own identity fields were hidden: tells the origin who logged in. */
ngx_int_t ngx_http_pop_login_set_fields(ngx_http_request_t *r) {
  loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_pop_login_module);
  ngx_http_pop_cache_cursor_t cursor = ngx_http_pop_cache_first(&r->headers_in.headers);
  ngx_table_elt_t *h;
  if (conf->fields == NULL || r != r->main) return NGX_OK;
  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL)
    if (ngx_http_pop_cache_named(h, conf->fields)) ngx_http_pop_cache_hide(h);
  login_t *login = conf->uri.len ? login_of(r) : NULL;
  if (login == NULL || login->headers == NULL || !admits(login)) return NGX_OK;
  return copy(login->headers, &r->headers_in.headers, conf->fields);
}

/* The service's cookies are for the visitor, whether or not the request succeeds. */
static ngx_int_t header_filter(ngx_http_request_t *r) {
  static const char *const cookies[] = {"Set-Cookie", NULL};
  main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_pop_login_module);
  login_t *login = main->used && r == r->main ? login_of(r) : NULL;
  if (login && login->headers && copy(login->headers, &r->headers_out.headers, cookies) != NGX_OK) return NGX_ERROR;
  return next_header_filter(r);
}

/* $pop_login_uri, for the subrequest. */
static ngx_int_t uri_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data) {
  login_t *login = login_of(r);
  v->not_found = login == NULL;
  if (login == NULL) return NGX_OK;
  v->data = login->uri.data;
  v->len = login->uri.len;
  v->valid = 1;
  return NGX_OK;
}

static char *set_uri(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
  loc_conf_t *location = conf;
  main_conf_t *main = ngx_http_conf_get_module_main_conf(cf, ngx_http_pop_login_module);
  ngx_str_t *value = cf->args->elts;
  if (location->uri.data) return "is duplicate";
  location->uri = value[1];
  if (ngx_strcmp(value[1].data, "off") == 0) location->uri.len = 0;
  else main->used = 1;
  return NGX_CONF_OK;
}

static char *set_fields(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
  loc_conf_t *location = conf;
  ngx_str_t *names = cf->args->elts;
  if (location->fields) return "is duplicate";
  location->fields = ngx_pcalloc(cf->pool, cf->args->nelts * sizeof *location->fields);
  if (location->fields == NULL) return NGX_CONF_ERROR;
  for (ngx_uint_t i = 1; i < cf->args->nelts; i++) location->fields[i - 1] = (char *)names[i].data;
  return NGX_CONF_OK;
}

static void *create_main_conf(ngx_conf_t *cf) { return ngx_pcalloc(cf->pool, sizeof(main_conf_t)); }

static void *create_loc_conf(ngx_conf_t *cf) { return ngx_pcalloc(cf->pool, sizeof(loc_conf_t)); }

static char *merge_loc_conf(ngx_conf_t *cf, void *parent, void *child) {
  loc_conf_t *prev = parent, *conf = child;
  ngx_conf_merge_str_value(conf->uri, prev->uri, "");
  if (conf->fields == NULL) conf->fields = prev->fields;
  return NGX_CONF_OK;
}

static ngx_int_t preconfiguration(ngx_conf_t *cf) {
  static ngx_str_t name = ngx_string("pop_login_uri");
  ngx_http_variable_t *variable = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_NOCACHEABLE);
  if (variable == NULL) return NGX_ERROR;
  variable->get_handler = uri_variable;
  return NGX_OK;
}

static ngx_int_t postconfiguration(ngx_conf_t *cf) {
  ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
  ngx_http_handler_pt *first = ngx_array_push(&core->phases[NGX_HTTP_REWRITE_PHASE].handlers);
  ngx_http_handler_pt *second = ngx_array_push(&core->phases[NGX_HTTP_ACCESS_PHASE].handlers);
  if (first == NULL || second == NULL) return NGX_ERROR;
  *first = save_uri;
  *second = admit;
  next_header_filter = ngx_http_top_header_filter;
  ngx_http_top_header_filter = header_filter;
  return NGX_OK;
}

#define LOCATION (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF)

static ngx_command_t commands[] = {
    {ngx_string("pop_login"), LOCATION | NGX_CONF_TAKE1, set_uri, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("pop_login_fields"), LOCATION | NGX_CONF_1MORE, set_fields, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    ngx_null_command};

static ngx_http_module_t context = {
    preconfiguration, postconfiguration, create_main_conf, NULL, NULL, NULL, create_loc_conf, merge_loc_conf};

ngx_module_t ngx_http_pop_login_module = {
    NGX_MODULE_V1, &context, commands, NGX_HTTP_MODULE, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING};

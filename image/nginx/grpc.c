/*
 * nginx's own errors for gRPC requests: 200 with the error in `grpc-status`, and no body ("Trailers-Only"). Otherwise a client has to guess from the HTTP
 * status and shows no reason. Logs and counters keep the HTTP status. https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

extern ngx_module_t ngx_http_pop_grpc_module;

typedef struct {
  ngx_flag_t errors;
} loc_conf_t;

typedef struct {
  ngx_uint_t status; /* HTTP status; 0: all others */
  const char *code;  /* https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
  const char *message;
} grpc_error_t;

/*
 * According to https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md, plus 413. Messages use only characters that `grpc-message` does not
 * encode.
 */
static const grpc_error_t errors_by_status[] = {
    {NGX_HTTP_BAD_REQUEST, "13", "The request is malformed."},
    {NGX_HTTP_UNAUTHORIZED, "16", "You need to log in to use this service."},
    {NGX_HTTP_FORBIDDEN, "7", "You do not have access to this service."},
    {NGX_HTTP_NOT_FOUND, "12", "There is no such service."},
    {NGX_HTTP_REQUEST_ENTITY_TOO_LARGE, "8", "The request is larger than this service accepts."},
    {NGX_HTTP_TOO_MANY_REQUESTS, "14", "Too many requests from your network."},
    {NGX_HTTP_BAD_GATEWAY, "14", "The server of this service cannot be reached."},
    {NGX_HTTP_SERVICE_UNAVAILABLE, "14", "This service is not available at the moment."},
    {NGX_HTTP_GATEWAY_TIME_OUT, "14", "The server of this service does not answer in time."},
    {0, "2", "This service cannot answer at the moment."}};

static ngx_http_output_header_filter_pt next_header_filter;

/* application/grpc, also with a suffix such as +proto. Not application/grpc-web, which programs in browsers read from a body. */
static ngx_uint_t is_grpc_request(ngx_http_request_t *r) {
  static const u_char type[] = "application/grpc";
  ngx_table_elt_t *h = r->headers_in.content_type;
  size_t length = sizeof type - 1;
  if (r->http_version != NGX_HTTP_VERSION_20 || h == NULL || h->value.len < length) return 0;
  if (ngx_strncasecmp(h->value.data, (u_char *)type, length) != 0) return 0;
  return h->value.len == length || ngx_strchr("+; ", h->value.data[length]) != NULL;
}

/* Whether it is an error of nginx's own. Errors of the origin are passed on as they are. */
static ngx_uint_t is_own_error(ngx_http_request_t *r, ngx_uint_t status) {
  ngx_http_upstream_t *u = r->upstream;
  return status >= NGX_HTTP_BAD_REQUEST && (u == NULL || !u->headers_in.status_n || r->filter_finalize || !u->peer.connection);
}

static ngx_int_t add(ngx_http_request_t *r, const char *name, const char *value) {
  ngx_table_elt_t *h = ngx_list_push(&r->headers_out.headers);
  if (h == NULL) return NGX_ERROR;
  ngx_memzero(h, sizeof *h);
  h->hash = 1;
  h->key.data = (u_char *)name;
  h->key.len = ngx_strlen(name);
  h->value.data = (u_char *)value;
  h->value.len = ngx_strlen(value);
  return NGX_OK;
}

static ngx_int_t header_filter(ngx_http_request_t *r) {
  loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_pop_grpc_module);
  ngx_uint_t status = r->err_status ? r->err_status : r->headers_out.status;
  const grpc_error_t *error = errors_by_status;
  if (!conf->errors || r != r->main || !is_own_error(r, status) || !is_grpc_request(r)) return next_header_filter(r);
  while (error->status && error->status != status) error++;
  r->err_status = status; /* what $status returns */
  r->headers_out.status = NGX_HTTP_OK;
  r->headers_out.status_line.len = 0;
  ngx_str_set(&r->headers_out.content_type, "application/grpc");
  r->headers_out.content_type_len = r->headers_out.content_type.len;
  r->headers_out.content_type_lowcase = NULL;
  r->headers_out.charset.len = 0;
  ngx_http_clear_content_length(r);
  ngx_http_clear_accept_ranges(r);
  ngx_http_clear_last_modified(r);
  ngx_http_clear_etag(r);
  r->header_only = 1;
  if (add(r, "grpc-status", error->code) != NGX_OK || add(r, "grpc-message", error->message) != NGX_OK) return NGX_ERROR;
  return next_header_filter(r);
}

static void *create_loc_conf(ngx_conf_t *cf) {
  loc_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);
  if (conf) conf->errors = NGX_CONF_UNSET;
  return conf;
}

static char *merge_loc_conf(ngx_conf_t *cf, void *parent, void *child) {
  loc_conf_t *prev = parent, *conf = child;
  ngx_conf_merge_value(conf->errors, prev->errors, 0);
  return NGX_CONF_OK;
}

static ngx_int_t postconfiguration(ngx_conf_t *cf) {
  next_header_filter = ngx_http_top_header_filter;
  ngx_http_top_header_filter = header_filter;
  return NGX_OK;
}

static ngx_command_t commands[] = {
    {ngx_string("pop_grpc_errors"), NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_CONF_FLAG, ngx_conf_set_flag_slot,
     NGX_HTTP_LOC_CONF_OFFSET, offsetof(loc_conf_t, errors), NULL},
    ngx_null_command};

static ngx_http_module_t context = {NULL, postconfiguration, NULL, NULL, NULL, NULL, create_loc_conf, merge_loc_conf};

/* The first of the project's modules, so that the header filters of the others have already run: they look at the HTTP status. */
ngx_module_t ngx_http_pop_grpc_module = {
    NGX_MODULE_V1, &context, commands, NGX_HTTP_MODULE, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING};

/* The location through which `pop purge` (image/pop/purge) removes stored responses. */
#include "ngx_http_pop_cache.h"

/* POST with the names of files in the query; the response says how many were removed. */
static ngx_int_t purge(ngx_http_request_t *r) {
  static ngx_str_t type = ngx_string("text/plain");
  ngx_http_pop_cache_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_pop_cache_module);
  ngx_http_complex_value_t text;
  ngx_int_t removed, rc;

  if (r->method != NGX_HTTP_POST) return NGX_HTTP_NOT_ALLOWED;
  rc = ngx_http_discard_request_body(r);
  if (rc != NGX_OK) return rc;
  removed = ngx_http_pop_cache_remove_files(r, &conf->purged);
  if (removed == NGX_ERROR) return NGX_HTTP_BAD_REQUEST;
  ngx_memzero(&text, sizeof text);
  text.value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
  if (text.value.data == NULL) return NGX_HTTP_INTERNAL_SERVER_ERROR;
  text.value.len = ngx_sprintf(text.value.data, "%i", removed) - text.value.data;
  return ngx_http_send_response(r, NGX_HTTP_OK, &type, &text);
}

/* pop_cache_purge ZONE */
char *ngx_http_pop_cache_set_purge(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
  ngx_http_pop_cache_loc_conf_t *location = conf;
  ngx_http_core_loc_conf_t *core = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
  ngx_str_t *value = cf->args->elts;
  location->purged = value[1];
  core->handler = purge;
  return NGX_CONF_OK;
}

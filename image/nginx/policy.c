/* A site's cache settings other than times: lifetimes by status, and what distinguishes its stored responses. */
#include "ngx_http_pop_cache.h"

/* pop_cache_fresh STATUS TIME: how long responses of that status are fresh if the origin does not say. */
char *ngx_http_pop_cache_set_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
  ngx_http_pop_cache_loc_conf_t *location = conf;
  ngx_str_t *value = cf->args->elts;
  ngx_int_t status = ngx_atoi(value[1].data, value[1].len), seconds = ngx_parse_time(&value[2], 1);

  if (status < 200 || status > 599 || seconds == NGX_ERROR) return "takes a status and a time";
  if (location->statuses == NGX_CONF_UNSET_PTR) location->statuses = ngx_array_create(cf->pool, 4, sizeof(pop_lifetime_t));
  pop_lifetime_t *lifetime = location->statuses ? ngx_array_push(location->statuses) : NULL;
  if (lifetime == NULL) return NGX_CONF_ERROR;
  lifetime->status = (unsigned)status;
  lifetime->seconds = seconds;
  return NGX_CONF_OK;
}

/* pop_cache_ignore_query NAME...: `*` at the end of a name matches any text; `*` alone is the whole query. */
char *ngx_http_pop_cache_set_ignored(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
  ngx_http_pop_cache_loc_conf_t *location = conf;
  ngx_str_t *value = cf->args->elts;
  ngx_uint_t count = cf->args->nelts - 1;
  pop_ignored_t *ignored = ngx_pcalloc(cf->pool, sizeof *ignored);
  pop_parameter_t *names = ngx_pcalloc(cf->pool, count * sizeof *names);

  if (location->ignored != NGX_CONF_UNSET_PTR) return "is duplicate";
  if (ignored == NULL || names == NULL) return NGX_CONF_ERROR;
  for (ngx_uint_t i = 0; i < count; i++) {
    ngx_str_t *name = &value[i + 1];
    ngx_uint_t prefix = name->len && name->data[name->len - 1] == '*';
    if (prefix && name->len == 1) ignored->all = 1;
    names[i] = (pop_parameter_t){.text = name->data, .length = name->len - prefix, .prefix = prefix};
  }
  ignored->names = names;
  ignored->count = count;
  location->ignored = ignored;
  return NGX_CONF_OK;
}

/* pop_cache_vary FIELD...: request fields that distinguish stored responses, in addition to those of the origin's Vary. */
char *ngx_http_pop_cache_set_vary(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
  ngx_http_pop_cache_loc_conf_t *location = conf;
  ngx_str_t *value = cf->args->elts;
  pop_vary_t vary = {0};

  if (location->vary.data) return "is duplicate";
  for (ngx_uint_t i = 1; i < cf->args->nelts; i++) pop_vary_add(&vary, value[i].data, value[i].len);
  if (vary.any) return "has too many names";
  location->vary.len = vary.length;
  location->vary.data = ngx_pnalloc(cf->pool, vary.length + 1);
  if (location->vary.data == NULL) return NGX_CONF_ERROR;
  *ngx_cpymem(location->vary.data, vary.text, vary.length) = '\0';
  return NGX_CONF_OK;
}

/* A request's target without the parameters that this location ignores. If out of memory, the whole target, which is the key of no other response. */
ngx_str_t ngx_http_pop_cache_trim(ngx_http_request_t *r, ngx_str_t *target) {
  ngx_http_pop_cache_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_pop_cache_module);
  ngx_str_t trimmed;

  if (conf->ignored == NULL) return *target;
  trimmed.data = ngx_pnalloc(r->pool, target->len);
  if (trimmed.data == NULL) return *target;
  trimmed.len = pop_trim_query(trimmed.data, target->data, target->len, conf->ignored);
  return trimmed;
}

/* $pop_cache_uri, for proxy_cache_key. */
ngx_int_t ngx_http_pop_cache_uri_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data) {
  ngx_str_t uri = ngx_http_pop_cache_trim(r, &r->unparsed_uri);
  v->data = uri.data;
  v->len = uri.len;
  v->valid = 1;
  return NGX_OK;
}

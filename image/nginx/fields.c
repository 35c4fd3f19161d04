/* Header fields: iterating over nginx's lists, and removing hop-by-hop fields. */
#include "ngx_http_pop_cache.h"
#include "visitor.h"

ngx_http_pop_cache_cursor_t ngx_http_pop_cache_first(ngx_list_t *headers) {
  ngx_http_pop_cache_cursor_t cursor = {&headers->part, 0};
  return cursor;
}

/* The next field that is not deleted (hash 0), or NULL. */
ngx_table_elt_t *ngx_http_pop_cache_next(ngx_http_pop_cache_cursor_t *cursor) {
  while (cursor->part) {
    if (cursor->index >= cursor->part->nelts) {
      cursor->part = cursor->part->next;
      cursor->index = 0;
      continue;
    }
    ngx_table_elt_t *h = (ngx_table_elt_t *)cursor->part->elts + cursor->index++;
    if (h->hash) return h;
  }
  return NULL;
}

static ngx_uint_t is_named(ngx_table_elt_t *h, const char *name) {
  return ngx_strncasecmp(h->key.data, (u_char *)name, h->key.len) == 0 && name[h->key.len] == '\0';
}

/* The first field of that name, or NULL. */
ngx_table_elt_t *ngx_http_pop_cache_field(ngx_list_t *headers, const char *name) {
  ngx_http_pop_cache_cursor_t cursor = ngx_http_pop_cache_first(headers);
  ngx_table_elt_t *h;
  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL)
    if (is_named(h, name)) break;
  return h;
}

ngx_uint_t ngx_http_pop_cache_named(ngx_table_elt_t *h, const char *const *names) {
  for (; *names; names++)
    if (is_named(h, *names)) return 1;
  return 0;
}

/* RFC 9110 7.6.1, and the proxy fields that RFC 9111 3.1 excludes from storing. */
static const char *const hop_by_hop[] = {"Connection",          "Keep-Alive",  "Proxy-Authenticate", "Proxy-Authentication-Info",
                                         "Proxy-Authorization", "Proxy-Connection", "TE", "Transfer-Encoding", "Upgrade", NULL};

static ngx_uint_t is_listed(ngx_table_elt_t *connection, ngx_table_elt_t *h) {
  for (; connection; connection = connection->next)
    if (pop_list_has(connection->value.data, connection->value.len, h->key.data, h->key.len)) return 1;
  return 0;
}

/* Whether a field is hop-by-hop: by its name, or because Connection lists it. */
ngx_uint_t ngx_http_pop_cache_hop_by_hop(ngx_table_elt_t *connection, ngx_table_elt_t *h) {
  return ngx_http_pop_cache_named(h, hop_by_hop) || is_listed(connection, h);
}

/*
 * Deletes the response's hop-by-hop fields. Fields that nginx itself knows (Location, Cache-Control...) are kept even if Connection lists
 * them.
 */
void ngx_http_pop_cache_drop_response_fields(ngx_http_request_t *r) {
  static const char *const upgrade[] = {"Upgrade", NULL}, *const authenticate[] = {"Proxy-Authenticate", NULL};
  ngx_http_upstream_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_upstream_module);
  ngx_http_pop_cache_cursor_t cursor = ngx_http_pop_cache_first(&r->headers_out.headers);
  ngx_uint_t status = r->upstream->headers_in.status_n;
  ngx_table_elt_t *h;

  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL) {
    if (status == NGX_HTTP_SWITCHING_PROTOCOLS && ngx_http_pop_cache_named(h, upgrade)) continue;
    if (status == 407 && ngx_http_pop_cache_named(h, authenticate)) continue;
    if (ngx_http_pop_cache_named(h, hop_by_hop) ||
        (r->upstream->headers_in.connection && is_listed(r->upstream->headers_in.connection, h) &&
         ngx_hash_find(&main->headers_in_hash, h->hash, h->lowcase_key, h->key.len) == NULL))
      h->hash = 0;
  }
}

/* pop_hide_request_fields NAME...: request fields that are not forwarded to origins. */
char *ngx_http_pop_cache_hide_fields(ngx_conf_t *cf, ngx_command_t *cmd, void *conf) {
  ngx_http_pop_cache_main_conf_t *main = conf;
  ngx_str_t *names = cf->args->elts;

  if (main->hidden_names.elts == NULL && ngx_array_init(&main->hidden_names, cf->pool, 128, sizeof(ngx_hash_key_t)) != NGX_OK)
    return NGX_CONF_ERROR;
  for (ngx_uint_t i = 1; i < cf->args->nelts; i++) {
    ngx_hash_key_t *entry = ngx_array_push(&main->hidden_names);
    if (entry == NULL) return NGX_CONF_ERROR;
    entry->key = names[i];
    ngx_strlow(entry->key.data, entry->key.data, entry->key.len);
    entry->key_hash = ngx_hash_key(entry->key.data, entry->key.len);
    entry->value = main;
  }
  return NGX_CONF_OK;
}

ngx_int_t ngx_http_pop_cache_init_hidden(ngx_conf_t *cf) {
  ngx_http_pop_cache_main_conf_t *main = ngx_http_conf_get_module_main_conf(cf, ngx_http_pop_cache_module);
  ngx_hash_init_t hash = {&main->hidden, NULL, 1024, ngx_align(128, ngx_cacheline_size), "pop_hidden_hash", cf->pool, NULL};
  return ngx_hash_init(&hash, main->hidden_names.elts, main->hidden_names.nelts);
}

/* Hides a field from the origin. The proxy module forwards all fields except those it sets itself, such as Keep-Alive, so the field is renamed to that. */
void ngx_http_pop_cache_hide(ngx_table_elt_t *h) {
  ngx_str_set(&h->key, "Keep-Alive");
  h->lowcase_key = (u_char *)"keep-alive";
  h->hash = ngx_hash_key(h->lowcase_key, h->key.len);
}

/*
 * Hides the fields of pop_hide_request_fields, and those that the visitor's Connection lists, except fields that nginx knows. Does not apply to requests from
 * nginx itself to its relays: their fields hold what nginx knows about the visitor.
 */
void ngx_http_pop_cache_drop_request_fields(ngx_http_request_t *r) {
  if (!pop_is_visitors(r)) return;
  ngx_http_pop_cache_main_conf_t *main = ngx_http_get_module_main_conf(r, ngx_http_pop_cache_module);
  ngx_http_core_main_conf_t *core = ngx_http_get_module_main_conf(r, ngx_http_core_module);
  ngx_http_pop_cache_cursor_t cursor = ngx_http_pop_cache_first(&r->headers_in.headers);
  ngx_table_elt_t *h;

  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL) {
    ngx_uint_t listed = r->headers_in.connection && is_listed(r->headers_in.connection, h) &&
                        !ngx_hash_find(&core->headers_in_hash, h->hash, h->lowcase_key, h->key.len);
    if (listed || (main->hidden.size && ngx_hash_find(&main->hidden, h->hash, h->lowcase_key, h->key.len)))
      ngx_http_pop_cache_hide(h);
  }
}

/* Adds a field. `name` and the bytes of the value must outlive the request. Returns NULL if out of memory. */
ngx_table_elt_t *ngx_http_pop_cache_push(ngx_list_t *headers, const char *name, ngx_str_t value) {
  ngx_table_elt_t *h = ngx_list_push(headers);
  if (h == NULL) return NULL;
  ngx_memzero(h, sizeof *h);
  h->hash = 1;
  h->key.data = (u_char *)name;
  h->key.len = ngx_strlen(name);
  h->lowcase_key = h->key.data;
  h->value = value;
  return h;
}

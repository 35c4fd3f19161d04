/*
 * Makes nginx's proxy_cache follow RFC 9111. Declarations that the module's files share. nginx stores, indexes, sends and evicts responses. This module decides
 * what is stored and for how long (freshness.c, policy.c), corrects the requests that nginx sends to origins and the handling of their responses (fetch.c,
 * response.c), collapses simultaneous requests into one fetch (crowd.c), removes (store.c) or updates (revalidate.c) what is stored, and determines whether a
 * keepalive connection can still be used (keepalive.c).
 */
#ifndef NGX_HTTP_POP_CACHE_H
#define NGX_HTTP_POP_CACHE_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <ngx_http_proxy_module.h>

#include "freshness.h"
#include "query.h"

typedef struct {
  ngx_str_t zone; /* of proxy_cache_path; empty: the location has no cache */
  time_t max_age;
  time_t stale_if_error;
  time_t stale_while_revalidate;
  off_t max_file; /* 0: no limit */
  ngx_flag_t cookies;
  ngx_array_t *statuses;    /* pop_lifetime_t; NULL: none */
  ngx_flag_t ignore_origin; /* its Cache-Control, Expires and Set-Cookie */
  pop_ignored_t *ignored;   /* parameters that do not distinguish responses; NULL: all of them do */
  ngx_str_t vary;           /* names of request fields, in the form of pop_vary_t */
  ngx_str_t purged; /* zone whose responses this location removes; not inherited */
} ngx_http_pop_cache_loc_conf_t;

typedef struct {
  ngx_array_t originals; /* of {upstream, the original peer.init} */
  ngx_shm_zone_t *crowd;
  ngx_array_t hidden_names; /* ngx_hash_key_t */
  ngx_hash_t hidden;        /* request fields that are not sent to origins */
} ngx_http_pop_cache_main_conf_t;

/* What is known about the responses for a key. */
typedef enum {
  POP_UNKNOWN,
  POP_SHARED, /* stored and fresh: other requests wait for it */
  POP_ALONE,  /* stored, but each request asks the origin */
  POP_PASSED  /* not stored: requests pass through, as in a location without a cache */
} ngx_http_pop_cache_kind_t;

typedef struct ngx_http_pop_cache_keepalive_s ngx_http_pop_cache_keepalive_t;

typedef struct {
  /* crowd.c */
  u_char key[NGX_HTTP_CACHE_KEY_LEN];
  ngx_queue_t queue;  /* in the queue of this worker's waiting requests */
  ngx_event_t wake;
  ngx_uint_t awaited; /* the fetch this request waits for */
  ngx_uint_t fetch;   /* the fetch that this request is, or will be unless the cache has the response; 0: none */
  unsigned has_key : 1;
  unsigned held : 1;
  unsigned waiting : 1;
  unsigned passed : 1;
  /* fetch.c, keepalive.c */
  ngx_http_pop_cache_keepalive_t *keepalive;
  void (*finalize_request)(ngx_http_request_t *r, ngx_int_t rc);
  ngx_int_t (*input_filter_init)(void *data);
  ngx_int_t (*input_filter)(ngx_event_pipe_t *p, ngx_buf_t *buf);
  ngx_int_t (*process_header)(ngx_http_request_t *r);
  ngx_int_t (*first_process_header)(ngx_http_request_t *r); /* the one that reads the status line */
  ngx_int_t (*reinit_request)(ngx_http_request_t *r);
  ngx_http_upstream_headers_in_t not_modified; /* the 304, if there was one */
  unsigned revalidated : 1;
  unsigned passing : 1; /* the origin receives the visitor's own conditions and ranges */
  unsigned expired : 1; /* the stored response is stale */
} ngx_http_pop_cache_ctx_t;

extern ngx_module_t ngx_http_pop_cache_module;

/* ngx_http_pop_cache_module.c */
ngx_http_pop_cache_ctx_t *ngx_http_pop_cache_get_ctx(ngx_http_request_t *r);
ngx_uint_t ngx_http_pop_cache_is_used(ngx_http_request_t *r);

/* crowd.c */
char *ngx_http_pop_cache_set_crowd(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_pop_cache_hold(ngx_http_request_t *r);
void ngx_http_pop_cache_begin(ngx_http_request_t *r, ngx_http_pop_cache_ctx_t *ctx);
void ngx_http_pop_cache_learn(ngx_http_request_t *r, ngx_http_pop_cache_ctx_t *ctx, ngx_http_pop_cache_kind_t kind);
void ngx_http_pop_cache_found(ngx_http_request_t *r, ngx_http_pop_cache_ctx_t *ctx);
void ngx_http_pop_cache_end(ngx_http_pop_cache_ctx_t *ctx);

/* fetch.c */
ngx_int_t ngx_http_pop_cache_wrap_upstreams(ngx_conf_t *cf);

/* keepalive.c */
ngx_http_pop_cache_keepalive_t *ngx_http_pop_cache_init_keepalive(ngx_http_request_t *r, ngx_http_upstream_srv_conf_t *upstream,
                                                        ngx_http_upstream_init_peer_pt init);
void ngx_http_pop_cache_note_response(ngx_http_pop_cache_keepalive_t *keepalive);

/* response.c */
ngx_int_t ngx_http_pop_cache_filter_init(ngx_conf_t *cf);

/* store.c */
ngx_rbtree_node_t *ngx_http_pop_cache_lookup(ngx_rbtree_t *tree, u_char *key);
ngx_uint_t ngx_http_pop_cache_is_stored(ngx_http_request_t *r, u_char *key);
void ngx_http_pop_cache_invalidate(ngx_http_request_t *r);
ngx_uint_t ngx_http_pop_cache_has_index_room(ngx_http_request_t *r);
void ngx_http_pop_cache_remove(ngx_http_request_t *r);
ngx_int_t ngx_http_pop_cache_remove_files(ngx_http_request_t *r, ngx_str_t *zone);

/* purge.c */
char *ngx_http_pop_cache_set_purge(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* policy.c */
char *ngx_http_pop_cache_set_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_pop_cache_set_ignored(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_pop_cache_set_vary(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_str_t ngx_http_pop_cache_trim(ngx_http_request_t *r, ngx_str_t *target);
ngx_int_t ngx_http_pop_cache_uri_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);

/* cookies.c */
void ngx_http_pop_cache_drop_cookies(ngx_http_request_t *r);
void ngx_http_pop_cache_blank_cookies(ngx_http_request_t *r);

/* revalidate.c */
extern const size_t ngx_http_pop_cache_room; /* the most that make_room adds to a header */
void ngx_http_pop_cache_make_room(ngx_http_request_t *r);

/* space.c */
ngx_uint_t ngx_http_pop_cache_is_full(ngx_http_request_t *r, off_t bytes);
ngx_int_t ngx_http_pop_cache_merge(ngx_http_request_t *r, ngx_http_upstream_headers_in_t *newer);
ngx_int_t ngx_http_pop_cache_rewrite(ngx_http_request_t *r);

/* transform.c */
void ngx_http_pop_cache_drop_accept_encoding(ngx_http_request_t *r);
void ngx_http_pop_cache_respect_no_transform(ngx_http_request_t *r);
void ngx_http_pop_cache_learn_tag(ngx_http_request_t *r);
ngx_int_t ngx_http_pop_cache_restore_tags(ngx_http_request_t *r);
ngx_int_t ngx_http_pop_cache_init_tags(ngx_cycle_t *cycle);

/* login.c */
ngx_int_t ngx_http_pop_login_set_fields(ngx_http_request_t *r);

/* fields.c */
typedef struct {
  ngx_list_part_t *part;
  ngx_uint_t index;
} ngx_http_pop_cache_cursor_t;

ngx_http_pop_cache_cursor_t ngx_http_pop_cache_first(ngx_list_t *headers);
ngx_table_elt_t *ngx_http_pop_cache_next(ngx_http_pop_cache_cursor_t *cursor);
ngx_table_elt_t *ngx_http_pop_cache_field(ngx_list_t *headers, const char *name);
ngx_uint_t ngx_http_pop_cache_named(ngx_table_elt_t *h, const char *const *names);
ngx_uint_t ngx_http_pop_cache_hop_by_hop(ngx_table_elt_t *connection, ngx_table_elt_t *h);
void ngx_http_pop_cache_drop_response_fields(ngx_http_request_t *r);
void ngx_http_pop_cache_hide(ngx_table_elt_t *h);
void ngx_http_pop_cache_drop_request_fields(ngx_http_request_t *r);
char *ngx_http_pop_cache_hide_fields(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_int_t ngx_http_pop_cache_init_hidden(ngx_conf_t *cf);
ngx_table_elt_t *ngx_http_pop_cache_push(ngx_list_t *headers, const char *name, ngx_str_t value);

#endif

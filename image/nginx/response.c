/* Handles the origin's response before nginx decides whether to store it: a header filter that runs before all others. */
#include "ngx_http_pop_cache.h"

static ngx_http_output_header_filter_pt next_header_filter;

static int64_t time_of(ngx_table_elt_t *h) {
  if (h == NULL || h->value.data == NULL) return POP_ABSENT;
  time_t time = ngx_parse_http_time(h->value.data, h->value.len);
  return time == (time_t)NGX_ERROR || time < 0 ? POP_INVALID : time;
}

/* The Age of a response. More than one field, or anything but a number, is invalid. */
static int64_t age_of(ngx_list_t *headers) {
  static const char *const age[] = {"Age", NULL};
  ngx_http_pop_cache_cursor_t cursor = ngx_http_pop_cache_first(headers);
  ngx_table_elt_t *h;
  int64_t seconds = POP_ABSENT;
  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL) {
    if (!ngx_http_pop_cache_named(h, age)) continue;
    if (seconds != POP_ABSENT) return POP_INVALID;
    seconds = pop_seconds(h->value.data, h->value.len);
    if (seconds < 0) return POP_INVALID;
  }
  return seconds;
}

static pop_decision_t decide(ngx_http_request_t *r, ngx_http_pop_cache_loc_conf_t *conf, pop_vary_t *vary) {
  ngx_http_upstream_headers_in_t *in = &r->upstream->headers_in;
  pop_rules_t rules = {.max_age = conf->max_age,
                       .stale_if_error = conf->stale_if_error,
                       .stale_while_revalidate = conf->stale_while_revalidate,
                       .statuses = conf->statuses ? conf->statuses->elts : NULL,
                       .statuses_count = conf->statuses ? conf->statuses->nelts : 0,
                       .ignore_origin = conf->ignore_origin};
  pop_response_t response;
  ngx_table_elt_t *h;

  ngx_memzero(&response, sizeof response);
  ngx_memzero(vary, sizeof *vary);
  pop_control_init(&response.control);
  for (h = in->cache_control; h; h = h->next) pop_control_add(&response.control, h->value.data, h->value.len);
  pop_vary_add(vary, conf->vary.data, conf->vary.len);
  for (h = in->vary; h; h = h->next) pop_vary_add(vary, h->value.data, h->value.len);
  response.status = in->status_n;
  response.date = time_of(in->date);
  response.expires = time_of(in->expires);
  response.age = age_of(&in->headers);
  response.validator = in->etag != NULL || in->last_modified_time != -1;
  response.set_cookie = in->set_cookie != NULL && !r->cached;
  response.vary_any = vary->any;
  response.authorized = r->headers_in.authorization != NULL;
  response.cookie = r->headers_in.cookie != NULL && conf->cookies;
  pop_decision_t decision = pop_decide(&response, &rules, ngx_time());
  /* If the origin does not say, the response may depend on the visitor. */
  if (decision.by_rule && conf->cookies) {
    static const u_char visitor[] = "authorization, cookie";
    pop_vary_add(vary, visitor, sizeof visitor - 1);
    if (vary->any) decision.store = 0;
  }
  return decision;
}

/* A secondary copy is found by the Vary it was stored with, so that must not change. */
static ngx_uint_t has_same_vary(ngx_http_cache_t *c, pop_vary_t *vary) {
  ngx_http_file_cache_header_t *header = (ngx_http_file_cache_header_t *)c->buf->start;
  return !c->secondary || (header->vary_len == vary->length && ngx_memcmp(header->vary, vary->text, vary->length) == 0);
}

static ngx_int_t apply_decision(ngx_http_request_t *r, pop_decision_t *decision, pop_vary_t *vary) {
  ngx_http_cache_t *c = r->cache;
  c->valid_sec = decision->expires;
  c->error_sec = decision->stale_if_error;
  c->updating_sec = decision->stale_while_revalidate;
  c->vary.len = vary->length;
  c->vary.data = ngx_pnalloc(r->pool, vary->length + 1);
  if (c->vary.data == NULL) return NGX_ERROR;
  ngx_memcpy(c->vary.data, vary->text, vary->length);
  return NGX_OK;
}

/* Whether a response that is not stored makes the stored one obsolete. */
static ngx_uint_t makes_obsolete(ngx_http_request_t *r) {
  ngx_uint_t status = r->upstream->headers_in.status_n;
  if (status >= 500 || status == NGX_HTTP_PARTIAL_CONTENT || status == NGX_HTTP_NOT_MODIFIED ||
      status == NGX_HTTP_RANGE_NOT_SATISFIABLE || status == NGX_HTTP_PRECONDITION_FAILED)
    return 0;
  return r->method != NGX_HTTP_HEAD || status != NGX_HTTP_OK;
}

/* The origin did not see the visitor's conditions, so nginx evaluates them. Conditions on tags take precedence over dates: RFC 9110 13.2.2. */
static void evaluate_conditions(ngx_http_request_t *r) {
  r->disable_not_modified = 0;
  if (r->headers_in.if_none_match) r->headers_in.if_modified_since = NULL;
  if (r->headers_in.if_match) r->headers_in.if_unmodified_since = NULL;
}

/*
 * Whether this response may have been caused by parameters that do not distinguish stored responses: an error, or a redirect that repeats them. Otherwise one
 * visitor's query could get such a response served to everybody.
 */
static ngx_uint_t is_due_to_query(ngx_http_request_t *r, ngx_http_pop_cache_loc_conf_t *conf) {
  return conf->ignored && r->upstream->headers_in.status_n >= NGX_HTTP_SPECIAL_RESPONSE &&
         ngx_http_pop_cache_trim(r, &r->unparsed_uri).len < r->unparsed_uri.len;
}

/* Records what this response shows about other responses for the same key. */
static void record_outcome(ngx_http_request_t *r, ngx_http_pop_cache_loc_conf_t *conf, ngx_http_pop_cache_ctx_t *ctx, pop_decision_t *decision) {
  if (r->method != NGX_HTTP_GET) return;
  if (decision->store) {
    /* This request bypassed the cache, so the response is not stored; the next one will be. */
    ngx_http_pop_cache_learn(r, ctx, r->cache == NULL ? POP_UNKNOWN : decision->fresh ? POP_SHARED : POP_ALONE);
  } else if (makes_obsolete(r) && !r->headers_in.authorization && !r->headers_in.range && !is_due_to_query(r, conf)) {
    ngx_http_pop_cache_learn(r, ctx, POP_PASSED);
  } else {
    ngx_http_pop_cache_end(ctx);
  }
}

/* If a response turns out to be larger than max_file, or than the free space on the volume, it is sent to the visitor but not stored. */
static ngx_int_t input_filter(ngx_event_pipe_t *p, ngx_buf_t *buf) {
  ngx_http_request_t *r = p->input_ctx;
  ngx_http_pop_cache_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_pop_cache_module);
  ngx_http_pop_cache_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_pop_cache_module);

  if (ctx == NULL) return NGX_ERROR;
  ngx_uint_t large = conf->max_file && p->read_length > conf->max_file;
  if (p->cacheable && (large || ngx_http_pop_cache_is_full(r, 0))) {
    p->cacheable = 0;
    r->upstream->cacheable = 0;
    if (ctx->expired) ngx_http_pop_cache_remove(r);
    ngx_http_file_cache_free(r->cache, p->temp_file);
    /* An existing file has been deleted by now; one not yet created is only a buffer. */
    if (p->temp_file->file.fd == NGX_INVALID_FILE) {
      p->temp_file->persistent = 0;
      p->temp_file->clean = 1;
    }
    ngx_http_pop_cache_learn(r, ctx, large ? POP_PASSED : POP_UNKNOWN);
  }
  return ctx->input_filter(p, buf);
}

static ngx_int_t input_filter_init(void *data) {
  ngx_http_request_t *r = data;
  ngx_http_pop_cache_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_pop_cache_module);
  ngx_int_t rc;

  if (ctx == NULL) return NGX_ERROR;
  rc = ctx->input_filter_init(data);
  ctx->input_filter = r->upstream->pipe->input_filter;
  r->upstream->pipe->input_filter = input_filter;
  return rc;
}

/* nginx keeps the length of a stored header in 16 bits (u_short body_start); a longer one could never be served from the cache. */
static ngx_uint_t is_header_too_long(ngx_http_upstream_t *u) {
  return (size_t)(u->buffer.pos - u->buffer.start) + ngx_http_pop_cache_room > UINT16_MAX;
}

static ngx_int_t handle_fetched(ngx_http_request_t *r, ngx_http_pop_cache_loc_conf_t *conf, ngx_http_pop_cache_ctx_t *ctx) {
  ngx_http_upstream_t *u = r->upstream;
  pop_vary_t vary;
  pop_decision_t decision = decide(r, conf, &vary);

  if (conf->max_file && u->headers_in.content_length_n > conf->max_file) decision.store = 0;
  if (!u->buffering || r->method != NGX_HTTP_GET || is_header_too_long(u) || is_due_to_query(r, conf)) decision.store = 0;
  ngx_uint_t full = decision.store && r->cache && ngx_http_pop_cache_is_full(r, u->headers_in.content_length_n);
  if (full) decision.store = 0;
  if (r->cache) {
    if (ctx->expired) u->cache_status = NGX_HTTP_CACHE_EXPIRED;
    if (!decision.store) u->cacheable = 0;
    if (u->cacheable) {
      if (apply_decision(r, &decision, &vary) != NGX_OK) return NGX_ERROR;
      if (conf->ignore_origin) {
        ngx_http_pop_cache_drop_cookies(r);
        ngx_http_pop_cache_blank_cookies(r);
      }
      ngx_http_pop_cache_make_room(r);
      ctx->input_filter_init = u->input_filter_init;
      u->input_filter_init = input_filter_init;
    } else if (ctx->expired && makes_obsolete(r) && !decision.personal) {
      ngx_http_pop_cache_remove(r);
    }
    evaluate_conditions(r);
  }
  /* The next response is stored if there is room again. */
  if (full) ngx_http_pop_cache_learn(r, ctx, POP_UNKNOWN);
  else record_outcome(r, conf, ctx, &decision);
  return NGX_OK;
}

static ngx_int_t set_age(ngx_http_request_t *r, int64_t age) {
  static const char *const names[] = {"Age", NULL};
  ngx_http_pop_cache_cursor_t cursor = ngx_http_pop_cache_first(&r->headers_out.headers);
  ngx_table_elt_t *h;
  ngx_str_t value;

  while ((h = ngx_http_pop_cache_next(&cursor)) != NULL)
    if (ngx_http_pop_cache_named(h, names)) h->hash = 0;
  value.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
  if (value.data == NULL) return NGX_ERROR;
  value.len = ngx_sprintf(value.data, "%L", age) - value.data;
  return ngx_http_pop_cache_push(&r->headers_out.headers, "Age", value) ? NGX_OK : NGX_ERROR;
}

static ngx_int_t handle_stored(ngx_http_request_t *r, ngx_http_pop_cache_loc_conf_t *conf, ngx_http_pop_cache_ctx_t *ctx) {
  ngx_http_upstream_headers_in_t *in = &r->upstream->headers_in;
  ngx_http_cache_t *c = r->cache;
  time_t now = ngx_time(), arrived = c->date;

  if (ctx && ctx->revalidated) {
    pop_vary_t vary;
    pop_decision_t decision = decide(r, conf, &vary);
    arrived = now;
    /* nginx writes these into the file after this filter. */
    if (decision.personal) {
      /* A response personal to this visitor changes nothing for others. */
    } else if (decision.store && has_same_vary(c, &vary)) {
      if (apply_decision(r, &decision, &vary) != NGX_OK) return NGX_ERROR;
      if (ngx_http_pop_cache_rewrite(r) != NGX_OK) ngx_http_pop_cache_remove(r);
    } else {
      ngx_http_pop_cache_remove(r);
    }
    record_outcome(r, conf, ctx, &decision);
    if (conf->ignore_origin) ngx_http_pop_cache_drop_cookies(r);
  } else if (ctx) {
    ngx_http_pop_cache_found(r, ctx);
  }
  /* nginx would make the visitor's next request on this connection wait for the background update. */
  if (c->background && r->http_version < NGX_HTTP_VERSION_20) r->keepalive = 0;
  evaluate_conditions(r);
  if (in->status_n == NGX_HTTP_OK) {
    r->allow_ranges = 1;
    /* It arrived in chunks, but is stored in one piece. */
    if (r->headers_out.content_length_n == -1) r->headers_out.content_length_n = c->length - (off_t)c->body_start;
  }
  return set_age(r, now - arrived + pop_age(age_of(&in->headers), time_of(in->date), arrived));
}

/* Methods that change nothing at the origin: RFC 9110 9.2.1, and WebDAV's. */
static ngx_uint_t is_safe(ngx_http_request_t *r) {
  static const char *const safe[] = {"OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", NULL};
  for (ngx_uint_t i = 0; safe[i]; i++)
    if (r->method_name.len == ngx_strlen(safe[i]) && ngx_strncmp(r->method_name.data, safe[i], r->method_name.len) == 0) return 1;
  return 0;
}

static ngx_int_t header_filter(ngx_http_request_t *r) {
  ngx_http_pop_cache_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_pop_cache_module);
  ngx_http_pop_cache_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_pop_cache_module);
  ngx_http_upstream_t *u = r->upstream;
  ngx_int_t rc = NGX_OK;

  /* Without a connection it is nginx's own error response. */
  if (u == NULL || !u->headers_in.status_n || r->filter_finalize || !(r->cached || u->peer.connection))
    return next_header_filter(r);
  ngx_http_pop_cache_drop_response_fields(r);
  ngx_http_pop_cache_respect_no_transform(r);
  if (!r->cached) ngx_http_pop_cache_learn_tag(r);
  if (conf->zone.len == 0) return next_header_filter(r);
  /* Caches between the PoP and the visitor need to know. */
  if (conf->vary.len && !ngx_http_pop_cache_push(&r->headers_out.headers, "Vary", conf->vary)) return NGX_ERROR;

  if (r->cached) rc = handle_stored(r, conf, ctx);
  else if (ctx && r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) rc = handle_fetched(r, conf, ctx);
  else if (u->headers_in.status_n < 400 && !is_safe(r)) ngx_http_pop_cache_invalidate(r);
  if (rc != NGX_OK) return NGX_ERROR;
  /* Responses that are not stored are passed on as they arrive. */
  if (!r->cached && !u->cacheable) u->buffering = 0;
  /* Origin without a clock: nginx adds Date, unless it mistakes the removed field for one. */
  if (r->headers_out.date && r->headers_out.date->hash == 0) r->headers_out.date = NULL;
  /* The visitor has disconnected and nginx would discard the response, but other requests may be waiting for it. */
  if (u->cacheable && !r->cached && r->connection->error) {
    r->header_sent = 1;
    r->header_only = 1;
    return NGX_OK;
  }
  return next_header_filter(r);
}

ngx_int_t ngx_http_pop_cache_filter_init(ngx_conf_t *cf) {
  next_header_filter = ngx_http_top_header_filter;
  ngx_http_top_header_filter = header_filter;
  return NGX_OK;
}

/*
 * What nginx's stream module lacks for a stack's ports (`ports`) and for sites whose TLS ends at the origin (`passThrough`). Closes connections of visitors
 * that an operator blocked or that `access` denies, as image/nginx/reject.c does for requests. And sends the visitor's address to targets with version 2 of the
 * PROXY protocol: nginx 1.30 itself sends only version 1, with its own address as the destination, which has the wrong family for an IPv6 visitor.
 *
 * pop_denied VALUE: closes connections for which VALUE is not empty.
 *
 * pop_proxy_protocol on|off: sends the header to the target.
 *
 * pop_sorts on|off: the server only reads the name that a visitor requests, and passes the connection to another server of this nginx. That server rejects
 * visitors: a site whose TLS ends here has a response for them.
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stream.h>

#include "../blocked.h"
#include "proxy_v2.h"

extern ngx_module_t ngx_stream_pop_module;

typedef struct {
  ngx_flag_t proxy_protocol;
  ngx_flag_t sorts;
  ngx_stream_complex_value_t *denied;
  /* Handler of `pass`, which a `pop_sorts` server calls at the end. */
  ngx_stream_content_handler_pt pass;
} srv_conf_t;

static ngx_int_t endpoint_of(const struct sockaddr *from, pop_endpoint_t *end) {
  static const u_char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (from->sa_family == AF_INET6) {
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
    memcpy(end->address, in6->sin6_addr.s6_addr, 16);
    end->port = ntohs(in6->sin6_port);
    return NGX_OK;
  }
  if (from->sa_family != AF_INET) return NGX_ERROR;
  const struct sockaddr_in *in = (const struct sockaddr_in *)from;
  memcpy(end->address, mapped, sizeof mapped);
  memcpy(end->address + sizeof mapped, &in->sin_addr, 4);
  end->port = ntohs(in->sin_port);
  return NGX_OK;
}

/* The public address that the visitor connected to, according to Fly's PROXY header, or this machine's own address if the header has none. */
static ngx_int_t destination(ngx_connection_t *c, pop_endpoint_t *end) {
  ngx_addr_t address;
  if (c->proxy_protocol && ngx_parse_addr(c->pool, &address, c->proxy_protocol->dst_addr.data, c->proxy_protocol->dst_addr.len) == NGX_OK) {
    ngx_int_t found = endpoint_of(address.sockaddr, end);
    end->port = c->proxy_protocol->dst_port;
    return found;
  }
  return ngx_connection_local_sockaddr(c, NULL, 0) == NGX_OK ? endpoint_of(c->local_sockaddr, end) : NGX_ERROR;
}

static ngx_int_t is_denied(ngx_stream_session_t *s, srv_conf_t *conf) {
  ngx_str_t value;
  if (conf->denied == NULL) return NGX_DECLINED;
  if (ngx_stream_complex_value(s, conf->denied, &value) != NGX_OK) return NGX_ERROR;
  return value.len ? NGX_OK : NGX_DECLINED;
}

/*
 * ACCESS phase: the visitor's address is known, nothing was read from the visitor, and the target is not connected. nginx's proxy sends the content of the
 * connection's buffer first, before anything from the visitor, and at once.
 */
static ngx_int_t admit(ngx_stream_session_t *s) {
  srv_conf_t *conf = ngx_stream_get_module_srv_conf(s, ngx_stream_pop_module);
  ngx_connection_t *c = s->connection;
  pop_endpoint_t from, to;
  if (conf->sorts) return NGX_DECLINED;
  if (c->proxy_protocol && ngx_pop_is_blocked(c->sockaddr, c->log)) return NGX_STREAM_FORBIDDEN;
  ngx_int_t denied = is_denied(s, conf);
  if (denied != NGX_DECLINED) return denied == NGX_OK ? NGX_STREAM_FORBIDDEN : denied;
  if (!conf->proxy_protocol || c->buffer) return NGX_DECLINED;
  if (endpoint_of(c->sockaddr, &from) != NGX_OK || destination(c, &to) != NGX_OK) return NGX_ERROR;
  ngx_buf_t *buffer = ngx_create_temp_buf(c->pool, POP_PROXY_V2_MAX);
  if (buffer == NULL) return NGX_ERROR;
  buffer->last = buffer->pos + pop_proxy_v2(buffer->pos, &from, &to);
  c->buffer = buffer;
  return NGX_DECLINED;
}

/*
 * The ClientHello was only peeked at (ngx_stream_preread_peek) and is still in the socket. Otherwise its buffer of 16 KB would be kept as long as the
 * connection.
 */
static void pass_on(ngx_stream_session_t *s) {
  srv_conf_t *conf = ngx_stream_get_module_srv_conf(s, ngx_stream_pop_module);
  ngx_connection_t *c = s->connection;
  if (c->buffer && c->buffer->pos == c->buffer->last && ngx_pfree(c->pool, c->buffer->start) == NGX_OK) c->buffer = NULL;
  conf->pass(s);
}

static void *create_srv_conf(ngx_conf_t *cf) {
  srv_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);
  if (conf == NULL) return NULL;
  conf->proxy_protocol = NGX_CONF_UNSET;
  conf->sorts = NGX_CONF_UNSET;
  conf->denied = NGX_CONF_UNSET_PTR;
  return conf;
}

static char *merge_srv_conf(ngx_conf_t *cf, void *parent, void *child) {
  srv_conf_t *prev = parent, *conf = child;
  ngx_conf_merge_value(conf->proxy_protocol, prev->proxy_protocol, 0);
  ngx_conf_merge_value(conf->sorts, prev->sorts, 0);
  ngx_conf_merge_ptr_value(conf->denied, prev->denied, NULL);
  if (!conf->sorts) return NGX_CONF_OK;
  ngx_stream_core_srv_conf_t *core = ngx_stream_conf_get_module_srv_conf(cf, ngx_stream_core_module);
  if (core->handler == NULL) return "is in a server without \"pass\"";
  conf->pass = core->handler;
  core->handler = pass_on;
  return NGX_CONF_OK;
}

static ngx_int_t postconfiguration(ngx_conf_t *cf) {
  ngx_stream_core_main_conf_t *core = ngx_stream_conf_get_module_main_conf(cf, ngx_stream_core_module);
  ngx_stream_handler_pt *handler = ngx_array_push(&core->phases[NGX_STREAM_ACCESS_PHASE].handlers);
  if (handler == NULL) return NGX_ERROR;
  *handler = admit;
  return NGX_OK;
}

static ngx_command_t commands[] = {
    {ngx_string("pop_proxy_protocol"), NGX_STREAM_MAIN_CONF | NGX_STREAM_SRV_CONF | NGX_CONF_FLAG, ngx_conf_set_flag_slot, NGX_STREAM_SRV_CONF_OFFSET,
     offsetof(srv_conf_t, proxy_protocol), NULL},
    {ngx_string("pop_sorts"), NGX_STREAM_SRV_CONF | NGX_CONF_FLAG, ngx_conf_set_flag_slot, NGX_STREAM_SRV_CONF_OFFSET, offsetof(srv_conf_t, sorts), NULL},
    {ngx_string("pop_denied"), NGX_STREAM_MAIN_CONF | NGX_STREAM_SRV_CONF | NGX_CONF_TAKE1, ngx_stream_set_complex_value_slot, NGX_STREAM_SRV_CONF_OFFSET,
     offsetof(srv_conf_t, denied), NULL},
    ngx_null_command};

static ngx_stream_module_t context = {NULL, postconfiguration, NULL, NULL, create_srv_conf, merge_srv_conf};

ngx_module_t ngx_stream_pop_module = {
    NGX_MODULE_V1, &context, commands, NGX_STREAM_MODULE, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NGX_MODULE_V1_PADDING};

/* The symbol that load_module looks for. */
ngx_module_t *ngx_modules[] = {&ngx_stream_pop_module, NULL};
char *ngx_module_names[] = {"ngx_stream_pop_module", NULL};
char *ngx_module_order[] = {NULL};

/* Tells requests of visitors from internal ones. */
#ifndef POP_VISITOR_H
#define POP_VISITOR_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

/*
 * Connections of visitors have the PROXY header of Fly's proxy, no matter which server accepted them (image/render/nginx-pass-through.ts hands connections
 * over). Connections of the machine's own probes and of nginx's relays have none.
 */
static ngx_inline ngx_uint_t pop_is_visitors(ngx_http_request_t *r) {
  return r->connection->proxy_protocol != NULL;
}

#endif

/* The header of the PROXY protocol, version 2: https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt. Does not need nginx. */
#ifndef POP_PROXY_V2_H
#define POP_PROXY_V2_H

#include <stddef.h>
#include <stdint.h>

enum { POP_PROXY_V2_MAX = 52 };

/* IPv4 addresses are represented as IPv6, ::ffff:0:0/96. */
typedef struct {
  unsigned char address[16];
  uint16_t port;
} pop_endpoint_t;

/* Writes the header of a TCP connection and returns its length. If one end has an IPv4 address and the other does not, both are sent as IPv6. */
size_t pop_proxy_v2(unsigned char out[POP_PROXY_V2_MAX], const pop_endpoint_t *from, const pop_endpoint_t *to);

#endif

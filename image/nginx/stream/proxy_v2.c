#include "proxy_v2.h"

#include <string.h>

enum { VERSION_2_PROXY = 0x21, TCP_OVER_IPV4 = 0x11, TCP_OVER_IPV6 = 0x21, PREFIX = 16 };

static int is_v4(const pop_endpoint_t *end) {
  static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return memcmp(end->address, mapped, sizeof mapped) == 0;
}

static unsigned char *put_port(unsigned char *out, uint16_t port) {
  *out++ = (unsigned char)(port >> 8);
  *out++ = (unsigned char)port;
  return out;
}

size_t pop_proxy_v2(unsigned char out[POP_PROXY_V2_MAX], const pop_endpoint_t *from, const pop_endpoint_t *to) {
  size_t bytes = is_v4(from) && is_v4(to) ? 4 : 16, skipped = 16 - bytes;
  memcpy(out, "\r\n\r\n\0\r\nQUIT\n", 12);
  out[12] = VERSION_2_PROXY;
  out[13] = bytes == 4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6;
  put_port(out + 14, (uint16_t)(2 * bytes + 4)); /* length of the rest, in network byte order */
  unsigned char *end = out + PREFIX;
  memcpy(end, from->address + skipped, bytes);
  memcpy(end + bytes, to->address + skipped, bytes);
  end = put_port(end + 2 * bytes, from->port);
  return (size_t)(put_port(end, to->port) - out);
}

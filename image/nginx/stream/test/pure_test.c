/* Tests of proxy_v2.c, compiled and run under sanitizers like ../../test/pure_test.c. */
#include <stdio.h>
#include <string.h>

#include "../proxy_v2.h"

static int failures;

static pop_endpoint_t v4(unsigned char last, uint16_t port) {
  pop_endpoint_t end = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, last}, port};
  return end;
}

static pop_endpoint_t v6(unsigned char last, uint16_t port) {
  pop_endpoint_t end = {{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last}, port};
  return end;
}

static void expect(const char *what, pop_endpoint_t from, pop_endpoint_t to, const unsigned char *wanted, size_t length) {
  unsigned char out[POP_PROXY_V2_MAX];
  size_t got = pop_proxy_v2(out, &from, &to);
  if (got == length && memcmp(out, wanted, length) == 0) return;
  failures++;
  printf("%s: %zu bytes, not %zu, or others\n", what, got, length);
}

#define EXPECT(what, from, to, bytes) expect(what, from, to, (const unsigned char *)bytes, sizeof bytes - 1)
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n\x21"

int main(void) {
  EXPECT("IPv4", v4(9, 40000), v4(1, 22), SIGNATURE "\x11\0\x0c" "\xcb\0\x71\x09" "\xcb\0\x71\x01" "\x9c\x40" "\0\x16");
  EXPECT("IPv6", v6(9, 40000), v6(1, 2222),
         SIGNATURE "\x21\0\x24" "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09" "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" "\x9c\x40" "\x08\xae");
  EXPECT("IPv6 to IPv4", v6(9, 65535), v4(1, 1),
         SIGNATURE "\x21\0\x24" "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09" "\0\0\0\0\0\0\0\0\0\0\xff\xff\xcb\0\x71\x01" "\xff\xff" "\0\x01");
  if (failures == 0) printf("proxy_v2.c: all as it should be\n");
  return failures != 0;
}

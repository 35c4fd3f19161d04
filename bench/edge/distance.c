/*
 * distance MILLISECONDS: what iptables hands to queue 0 (-j NFQUEUE) goes on that much later, in the order in which it came. Whole packets wait, those of
 * TCP's handshake among them, so each end sees a round trip that long. netem does the same, where a kernel has it.
 * https://netfilter.org/projects/libnetfilter_queue/doxygen/html/
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum { capacity = 1 << 16, receive_buffer = 8 << 20 };

struct held {
  uint32_t id;
  int64_t due;
};

/* A ring: the packets that wait are those from first to before next. The kernel hands out no more than `capacity` at a time. */
static struct held ring[capacity];
static uint64_t first, next;
static int64_t distance;

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static int hold(struct nfq_q_handle *queue, struct nfgenmsg *message, struct nfq_data *packet, void *data) {
  (void)queue, (void)message, (void)data;
  ring[next++ % capacity] = (struct held){ntohl(nfq_get_msg_packet_hdr(packet)->packet_id), now() + distance};
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 2 || atoi(argv[1]) <= 0) errx(2, "usage: distance MILLISECONDS");
  distance = atoi(argv[1]) * INT64_C(1000000);
  struct nfq_handle *netfilter = nfq_open();
  if (!netfilter) err(1, "cannot reach netfilter");
  struct nfq_q_handle *queue = nfq_create_queue(netfilter, 0, hold, NULL);
  if (!queue) err(1, "cannot take queue 0: has the kernel NETFILTER_NETLINK_QUEUE?");
  /* Of a packet only its number is needed, and large ones are left whole (GSO). */
  if (nfq_set_mode(queue, NFQNL_COPY_META, 0) < 0 || nfq_set_queue_maxlen(queue, capacity) < 0 ||
      nfq_set_queue_flags(queue, NFQA_CFG_F_GSO, NFQA_CFG_F_GSO) < 0)
    err(1, "cannot set up queue 0");
  nfnl_rcvbufsiz(nfq_nfnlh(netfilter), receive_buffer);
  puts("ready");
  fflush(stdout);

  struct pollfd kernel = {.fd = nfq_fd(netfilter), .events = POLLIN};
  for (;;) {
    for (; first < next && ring[first % capacity].due <= now(); first++)
      nfq_set_verdict(queue, ring[first % capacity].id, NF_ACCEPT, 0, NULL);
    int64_t wait = first < next ? ring[first % capacity].due - now() : 0;
    struct timespec timeout = {wait > 0 ? wait / 1000000000 : 0, wait > 0 ? wait % 1000000000 : 0};
    if (ppoll(&kernel, 1, first < next ? &timeout : NULL, NULL) <= 0) continue;
    char messages[1 << 16] __attribute__((aligned));
    ssize_t bytes = recv(kernel.fd, messages, sizeof messages, MSG_DONTWAIT);
    /* Packets for which there was no space in the socket's buffer are lost, which would pass for a bad network. */
    if (bytes < 0 && errno != EAGAIN && errno != EINTR) err(1, "cannot read from queue 0");
    if (bytes > 0) nfq_handle_packet(netfilter, messages, bytes);
  }
}

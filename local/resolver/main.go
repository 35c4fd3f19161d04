// Resolver is the name server of one private network of local Fly. It takes questions by UDP and TCP and knows no answer: each goes to local Fly as it is,
// over standard output, and what comes back over standard input goes to who asked. Names that are not local Fly's are asked of the container's own name
// server, the engine's. It ends with its standard input, and so with local Fly.
//
// A question, numbers in network order: length of what follows (4 bytes), its number (4), 1 by TCP or 0 by UDP, the asker's address (16), the message.
// An answer: length of what follows (4), the question's number (4), the message; an empty one says that the name is not local Fly's.
package main

import (
	"context"
	"log"
	"net"
	"os"
	"strings"
	"syscall"
)

// early listens on an address that was set a moment ago, which the kernel does not count as its own yet.
var early = net.ListenConfig{Control: func(network, _ string, socket syscall.RawConn) error {
	if strings.HasSuffix(network, "4") {
		return nil
	}
	var failed error
	err := socket.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, ipv6FreeBind, 1)
	})
	if err != nil {
		return err
	}
	return failed
}}

// ipv6FreeBind is IPV6_FREEBIND of linux/in6.h, which syscall does not have.
const ipv6FreeBind = 78

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("resolver: takes the address of the engine's name server, such as 127.0.0.11:53, and those to listen on, such as [fdaa::3]:53")
	}
	relay := newRelay(os.Stdout, os.Args[1])
	for _, address := range os.Args[2:] {
		packets, err := early.ListenPacket(context.Background(), "udp", address)
		if err != nil {
			log.Fatalf("resolver: %v", err)
		}
		listener, err := early.Listen(context.Background(), "tcp", address)
		if err != nil {
			log.Fatalf("resolver: %v", err)
		}
		go relay.servePackets(packets)
		go relay.serveStreams(listener)
	}
	log.Print("resolver: ready")
	if err := relay.readAnswers(os.Stdin); err != nil {
		log.Fatalf("resolver: %v", err)
	}
}

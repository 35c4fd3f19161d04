// Door is where the anycast addresses of local Fly are, as containers see them: what connects to them is passed on to local Fly's edge. It does not connect
// there itself, as firewalls and virtual machines may be in the way: local Fly connects to it and keeps some connections at hand. One that is taken gets a
// line with the address that was visited, such as 203.0.113.1:80, and is the visitor's from then on. It ends with its standard input, and so with local Fly.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"
)

// timeout is how long a visitor waits for a connection of local Fly's.
const timeout = 5 * time.Second

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("door: takes the address for local Fly, such as :7000, and those for visitors, such as :80")
	}
	links := make(chan *net.TCPConn)
	listen(os.Args[1], func(link *net.TCPConn) { links <- link })
	for _, address := range os.Args[2:] {
		listen(address, func(visitor *net.TCPConn) { welcome(visitor, links) })
	}
	log.Print("door: ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func listen(address string, serve func(*net.TCPConn)) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatalf("door: %v", err)
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				log.Fatalf("door: %v", err)
			}
			go serve(client.(*net.TCPConn))
		}
	}()
}

func welcome(visitor *net.TCPConn, links <-chan *net.TCPConn) {
	defer visitor.Close()
	late := time.After(timeout)
	for {
		select {
		case link := <-links:
			// Skips one that local Fly has closed in between.
			if _, err := fmt.Fprintf(link, "%s\n", visitor.LocalAddr()); err != nil {
				link.Close()
				continue
			}
			join(visitor, link)
			return
		case <-late:
			return
		}
	}
}

// join passes bytes both ways until both sides have ended.
func join(visitor, link *net.TCPConn) {
	defer link.Close()
	inward := make(chan struct{})
	go func() {
		defer close(inward)
		pass(link, visitor)
	}()
	pass(visitor, link)
	<-inward
}

func pass(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		// One side is gone: the other one need not wait.
		to.Close()
		from.Close()
		return
	}
	_ = to.CloseWrite()
}

package main

import (
	"net"
	"net/http"
	"slices"
	"sync"
)

// connections limits how many connections a server holds. Above the limit the oldest is closed: a response takes some seconds at most, so the oldest client
// sends or reads too slowly, or is idle. A new connection, which may be Fly's check, is always accepted.
type connections struct {
	most int

	lock sync.Mutex
	// Oldest first.
	open []net.Conn
}

// track is the server's ConnState, https://pkg.go.dev/net/http#Server.
func (c *connections) track(connection net.Conn, state http.ConnState) {
	c.lock.Lock()
	defer c.lock.Unlock()
	switch state {
	case http.StateNew:
		c.open = append(c.open, connection)
		if len(c.open) > c.most {
			// The server notices by itself.
			_ = c.open[0].Close()
			c.open = slices.Delete(c.open, 0, 1)
		}
	case http.StateClosed, http.StateHijacked:
		if at := slices.Index(c.open, connection); at >= 0 {
			c.open = slices.Delete(c.open, at, at+1)
		}
	}
}

package main

import (
	"net"
	"net/http"
	"slices"
	"sync"
)

// connections bounds how many a server holds. Beyond that the oldest is closed: an answer takes some seconds at most, so the oldest is somebody who
// sends or reads too slowly, or keeps a connection for later. A newcomer, which may be Fly's check, always gets in.
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

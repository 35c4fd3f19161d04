package health

import (
	"net"
	"net/http"
	"slices"
	"sync"
)

// connectionLimit limits the connections of a server. Above the limit the oldest one is closed: a response takes some seconds at most, so the oldest client
// sends or reads too slowly, or is idle. A new connection, which may be Fly's check, is always accepted.
type connectionLimit struct {
	max int

	lock sync.Mutex
	// Oldest first.
	open []net.Conn
}

// track is the server's ConnState, https://pkg.go.dev/net/http#Server.
func (c *connectionLimit) track(connection net.Conn, state http.ConnState) {
	c.lock.Lock()
	defer c.lock.Unlock()
	switch state {
	case http.StateNew:
		c.open = append(c.open, connection)
		if len(c.open) > c.max {
			// The server notices that it is closed.
			_ = c.open[0].Close()
			c.open = slices.Delete(c.open, 0, 1)
		}
	case http.StateClosed, http.StateHijacked:
		if i := slices.Index(c.open, connection); i >= 0 {
			c.open = slices.Delete(c.open, i, i+1)
		}
	}
}

// Package resolve queries a given name server: the system's resolver supports neither the names of a tailnet nor DNSSEC.
package resolve

import (
	"context"
	"net"
)

// By returns a resolver that uses one name server, such as 127.0.0.1:1104. nil, for "", is the system's resolver.
func By(server string) *net.Resolver {
	if server == "" {
		return nil
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server)
	}}
}

// Package resolve asks a name server of the PoP's own choice: the machine's own resolver knows neither the names of a tailnet nor DNSSEC.
package resolve

import (
	"context"
	"net"
)

// By asks one name server, such as 127.0.0.1:1104, for everything; nil, for "", is the system's way.
func By(server string) *net.Resolver {
	if server == "" {
		return nil
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server)
	}}
}

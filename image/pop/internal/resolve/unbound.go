package resolve

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// Unbound is the address of the PoP's own resolver.
func Unbound(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// ByUnbound asks the PoP's own resolver.
func ByUnbound(port int) *net.Resolver { return By(Unbound(port)) }

// LookupByUnbound returns a function that looks up the addresses of a host.
func LookupByUnbound(port int) func(ctx context.Context, host string) ([]netip.Addr, error) {
	resolver := ByUnbound(port)
	return func(ctx context.Context, host string) ([]netip.Addr, error) {
		// The final dot disables search lists.
		return resolver.LookupNetIP(ctx, "ip", strings.TrimSuffix(host, ".")+".")
	}
}

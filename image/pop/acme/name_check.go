package acme

import (
	"context"
	"net"
	"net/netip"
)

// Reach is where a name leads, as far as this PoP can tell.
type Reach int

const (
	// This PoP cannot tell.
	reachUnknown Reach = iota
	// Not to this edge.
	reachElsewhere
	// To an address where nobody answers as one of our PoPs would.
	reachUnanswered
	// To another PoP, which does not answer challenges, or not yet.
	reachUnready
	// To this PoP.
	reachDirect
	// To another PoP of the app, which asked this one.
	reachViaPeer
)

// nameChecker checks names as the world sees them before anything is ordered: a validation that fails counts against the name at the authority.
type nameChecker struct {
	tokens *tokenStore
	// The app's addresses; empty: not known.
	edge []netip.Addr
	// Whether a name's addresses are what the world sees.
	isPrivateName func(name string) bool
	// Why DNS fails for a name, such as "signature expired"; "": not known. nil: never known.
	failureReason func(ctx context.Context, name string) string
	lookup        func(ctx context.Context, network, name string) ([]netip.Addr, error)
	dial          func(ctx context.Context, network, address string) (net.Conn, error)
}

// check says where a name leads, and what would keep an authority from reaching this PoP by it.
func (c *nameChecker) check(ctx context.Context, name string) (Reach, error) {
	addresses, reach, err := c.resolve(ctx, name)
	if err != nil {
		return reach, err
	}
	return c.probe(ctx, name, addresses)
}

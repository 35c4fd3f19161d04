package acme

import (
	"context"
	"net"
	"net/netip"
)

// Reach is where a name leads, as seen from this PoP.
type Reach int

const (
	// Not known.
	reachUnknown Reach = iota
	// To an address outside of this edge.
	reachElsewhere
	// To an address that does not respond like one of our PoPs.
	reachUnanswered
	// To another PoP, which does not respond to challenges, or not yet.
	reachUnready
	// To this PoP.
	reachDirect
	// To another PoP of the app, which asked this one.
	reachViaPeer
)

// nameChecker checks names from outside before anything is ordered: a failed validation counts against the name at the authority.
type nameChecker struct {
	tokens *tokenStore
	// The app's addresses. Empty: not known.
	edge []netip.Addr
	// Whether private name servers resolve a name, so that its addresses may differ from the public ones.
	isPrivateName func(name string) bool
	// Returns why DNS fails for a name, such as "signature expired". "": not known. nil: never known.
	failureReason func(ctx context.Context, name string) string
	lookup        func(ctx context.Context, network, name string) ([]netip.Addr, error)
	dial          func(ctx context.Context, network, address string) (net.Conn, error)
}

// check returns where a name leads, and what would prevent an authority from reaching this PoP through it.
func (c *nameChecker) check(ctx context.Context, name string) (Reach, error) {
	addresses, reach, err := c.resolve(ctx, name)
	if err != nil {
		return reach, err
	}
	return c.probe(ctx, name, addresses)
}

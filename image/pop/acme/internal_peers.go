package acme

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"fly-pops/pop/internal/resolve"
)

// internalPeers looks the app's addresses up in Fly's private DNS: https://fly.io/docs/networking/private-networking/#fly-io-internal-addresses
type internalPeers struct {
	app, resolver string
	now           func() time.Time

	lock  sync.Mutex
	known []netip.Addr
	until time.Time
}

// peerCacheTTL is how long addresses are cached.
const peerCacheTTL = 5 * time.Second

func (p *internalPeers) Addresses(ctx context.Context) ([]netip.Addr, error) {
	p.lock.Lock()
	known, until := p.known, p.until
	p.lock.Unlock()
	if p.now().Before(until) {
		return known, nil
	}
	// The final dot prevents that a search list applies.
	found, err := resolve.By(p.resolver).LookupNetIP(ctx, "ip6", p.app+".internal.")
	if err != nil {
		return nil, err
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	p.known, p.until = found, p.now().Add(peerCacheTTL)
	return found, nil
}

// newPeers returns nil if the machine has no private network.
func newPeers(environment Environment, now func() time.Time) Peers {
	if environment.App == "" || !environment.Private.IsValid() {
		return nil
	}
	return &internalPeers{app: environment.App, resolver: environment.PeerResolver, now: now}
}

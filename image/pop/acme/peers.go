package acme

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"fly-pops/pop/internal/resolve"
)

// internalPeers are what Fly's resolver says of the app: https://fly.io/docs/networking/private-networking/#fly-io-internal-addresses
type internalPeers struct {
	app, resolver string
	now           func() time.Time

	lock  sync.Mutex
	known []netip.Addr
	until time.Time
}

// A machine that comes or goes is noticed within this.
const peersKeptFor = 5 * time.Second

func (it *internalPeers) Addresses(ctx context.Context) ([]netip.Addr, error) {
	it.lock.Lock()
	known, until := it.known, it.until
	it.lock.Unlock()
	if it.now().Before(until) {
		return known, nil
	}
	// With its final dot no search list applies.
	found, err := resolve.By(it.resolver).LookupNetIP(ctx, "ip6", it.app+".internal.")
	if err != nil {
		return nil, err
	}
	it.lock.Lock()
	defer it.lock.Unlock()
	it.known, it.until = found, it.now().Add(peersKeptFor)
	return found, nil
}

// peersOf is nil where the machine has no private network.
func peersOf(environment Environment, now func() time.Time) Peers {
	if environment.App == "" || !environment.Private.IsValid() {
		return nil
	}
	return &internalPeers{app: environment.App, resolver: environment.PeerResolver, now: now}
}

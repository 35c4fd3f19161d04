package health

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"fly-pops/pop/tailnet"
)

const (
	// A PoP with origins at home is failing until it reaches one of them, but for no longer than this after its boot: then it serves what it has cached.
	lookForHomeFor = 20 * time.Second
	// How long nginx may take to find a name after unbound does: it asks every 2 seconds (nginx-common.ts).
	nginxLag = 3 * time.Second
)

// home is what a PoP knows about the way to its origins since its boot. Without this wait a boot would be followed by seconds in which each request that is not
// in the cache fails, and an update would go on to the next PoP in the meantime: two PoPs could fail all such requests.
type home struct {
	// When an origin was reached for the first time. nil: not yet.
	found atomic.Pointer[time.Time]
	// Whether there are origins to look for.
	isThere bool
}

func (h *health) isLookingForHome() bool {
	if !h.home.isThere {
		return false
	}
	now := h.now()
	// Written at each boot, by postInit.
	boot, err := os.Stat(filepath.Join(h.run, "name"))
	if err != nil {
		return false
	}
	// Before its boot, if the clock was set back since.
	if age := now.Sub(boot.ModTime()); age < 0 || age >= lookForHomeFor {
		return false
	}
	found := h.home.found.Load()
	return found == nil || now.Sub(*found) < nginxLag
}

// noteWayHome takes one origin for all: another one may be switched off.
func (h *health) noteWayHome(paths []tailnet.Path) {
	if slices.ContainsFunc(paths, func(path tailnet.Path) bool { return path.Problem == "" }) {
		now := h.now()
		h.home.found.CompareAndSwap(nil, &now)
	}
}

// hasOriginsAtHome returns whether an origin has a name or an address of the tailnet, or of a network behind it.
func hasOriginsAtHome(origins []string, wanted *tailnet.Wanted) bool {
	return wanted != nil && slices.ContainsFunc(origins, func(origin string) bool {
		host := tailnet.HostOf(origin)
		address, err := netip.ParseAddr(host)
		return wanted.IsName(host) || err == nil && tailnet.IsPrivate(address)
	})
}

package tailnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"time"
)

// Path to an origin through the tailnet.
type Path struct {
	// As in the stack file, e.g. https://web.tail1234.ts.net:8443.
	Origin string `json:"origin"`
	// The node that handles it, such as a subnet router.
	Node string `json:"node,omitempty"`
	// "direct" by UDP, "relay" through a DERP region, "peer" through another node; empty if there was no response.
	Via string `json:"via,omitempty"`
	// The DERP region's code.
	Relay string `json:"relay,omitempty"`
	// From the request to the response.
	LatencySeconds float64 `json:"latencySeconds,omitempty"`
	// Why there is no path, as a sentence without the origin.
	Problem string `json:"problem,omitempty"`
}

const (
	Direct = "direct"
	Relay  = "relay"
	Peer   = "peer"

	pingTimeout = 3 * time.Second
	// The first responses of an idle node come through a relay, while both sides look for a direct path.
	mostPings, pingPause = 3, time.Second
	atOnce               = 4
)

// Tailscale's addresses, https://tailscale.com/kb/1015/100.x-addresses and 1033/ip-and-dns-addresses.
var ranges = []netip.Prefix{netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fd7a:115c:a1e0::/48")}

// Fly's private networks: between the machine and Fly Proxy, and 6PN. No route of the tailnet may replace theirs.
var flyProxy, flyPrivate = netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("fdaa::/16")

// Prober finds the paths to origins.
type Prober struct {
	Wanted  *Wanted
	Origins []string
	Ping    func(context.Context, netip.Addr) (*Pong, error)
	// Port of the PoP's own resolver.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Probe returns the paths to the origins in the tailnet, in the order of Origins. Origins with a public address have none.
func (p *Prober) Probe(ctx context.Context) []Path {
	found := make([]*Path, len(p.Origins))
	turns := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for at, origin := range p.Origins {
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			found[at] = p.path(ctx, origin)
		})
	}
	all.Wait()
	paths := []Path{}
	for _, path := range found {
		if path != nil {
			paths = append(paths, *path)
		}
	}
	return paths
}

// path is nil if the origin is not in the tailnet.
func (p *Prober) path(ctx context.Context, origin string) *Path {
	host := HostOf(origin)
	address, err := p.address(ctx, host)
	switch {
	case err != nil && p.Wanted.IsName(host):
		return &Path{Origin: origin, Problem: noName(host, err)}
	case err != nil || !IsPrivate(address):
		return nil
	case flyProxy.Contains(address):
		return &Path{Origin: origin, Problem: fmt.Sprintf("%s is in %s, Fly's own network in each machine: give the origin another address", address, flyProxy)}
	}
	path := p.ping(ctx, address)
	path.Origin = origin
	return &path
}

func (p *Prober) address(ctx context.Context, host string) (netip.Addr, error) {
	if address, err := netip.ParseAddr(host); err == nil {
		return address, nil
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	all, err := p.Lookup(ctx, host)
	if err != nil {
		return netip.Addr{}, err
	}
	if len(all) == 0 {
		return netip.Addr{}, errors.New("no address")
	}
	// IPv4 first, like nginx.
	for _, address := range all {
		if address.Unmap().Is4() {
			return address.Unmap(), nil
		}
	}
	return all[0], nil
}

// noName explains a failed look-up: MagicDNS responds with SERVFAIL to unknown names if it is not the system's resolver, which hides the reason.
func noName(host string, err error) string {
	var failed *net.DNSError
	if errors.As(err, &failed) && failed.IsTimeout {
		return fmt.Sprintf("MagicDNS did not answer for %s in time", host)
	}
	return fmt.Sprintf("the tailnet has no node %s, or its policy hides it from this one", host)
}

func (p *Prober) ping(ctx context.Context, address netip.Addr) Path {
	var pong *Pong
	var err error
	for try := range mostPings {
		if try > 0 {
			select {
			case <-time.After(pingPause):
			case <-ctx.Done():
			}
		}
		once, cancel := context.WithTimeout(ctx, pingTimeout)
		response, failure := p.Ping(once, address)
		cancel()
		if failure != nil {
			err = failure
			continue
		}
		pong, err = response, nil
		if pong.Err != "" || pong.Endpoint != "" {
			break
		}
	}
	switch {
	case pong == nil:
		return Path{Problem: fmt.Sprintf("no answer from %s over the tailnet: %s", address, shortly(err))}
	case pong.Err == "no matching peer":
		return Path{Problem: p.noPeer(address)}
	case pong.Err != "":
		return Path{Node: pong.NodeName, Problem: pong.Err}
	}
	path := Path{Node: pong.NodeName, LatencySeconds: pong.LatencySeconds, Via: Relay, Relay: pong.DERPRegionCode}
	if pong.PeerRelay != "" {
		path.Via, path.Relay = Peer, ""
	} else if pong.Endpoint != "" {
		path.Via, path.Relay = Direct, ""
	}
	return path
}

func (p *Prober) noPeer(address netip.Addr) string {
	switch {
	case within(address, ranges) && !p.Wanted.AcceptRoutes:
		return fmt.Sprintf("the tailnet has no node with %s that this one may see; for a Tailscale Service set tailnet.acceptRoutes: true", address)
	case within(address, ranges):
		return fmt.Sprintf("the tailnet has no node or Service with %s that this one may see", address)
	case !p.Wanted.AcceptRoutes:
		return fmt.Sprintf("%s is a private address, and routes of the tailnet are not accepted: set tailnet.acceptRoutes: true", address)
	default:
		return fmt.Sprintf("no subnet router of the tailnet offers a way to %s: advertise the route there, and approve it at the control server", address)
	}
}

func shortly(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("%d pings", mostPings)
	}
	return err.Error()
}

// IsPrivate says whether an address is in a tailnet, or in a network behind it.
func IsPrivate(address netip.Addr) bool {
	return within(address, ranges) || address.IsPrivate() && !flyPrivate.Contains(address)
}

func within(address netip.Addr, all []netip.Prefix) bool {
	for _, prefix := range all {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}

// HostOf returns the host of an origin's URL, an IPv6 address without brackets.
func HostOf(origin string) string {
	parsed, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return parsed.Hostname()
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"

	"fly-pops/pop/internal/resolve"
	"fly-pops/pop/tailnet"
)

// tailnet is the component of that name and the paths to origins. No component when there is no socket, for then the PoP has no tailnet (or, said by "expects", should
// have).
func (h *health) tailnet(ctx context.Context) answer {
	if _, err := os.Stat(h.tailscaled); errors.Is(err, fs.ErrNotExist) {
		return isIfAny("tailnet", nil)
	}
	paths := h.origins.get()
	local := tailnet.NewLocalAPI(h.tailscaled)
	status, err := local.Status(ctx)
	if err != nil {
		return is("tailnet", h.asked(degraded, err))
	}
	// Without it there are numbers missing, no more.
	traffic, _ := local.Traffic(ctx)
	faults := tailnet.Faults(status, h.manifest.Tailnet, h.now())
	if len(faults) == 0 {
		faults = pathProblems(paths)
	}
	return func(to *snapshot) {
		to.Components["tailnet"] = judge(degraded, told(strings.Join(faults, "; ")))
		to.Origins, to.tailnet = paths, traffic
	}
}

// pathProblems: a node that is itself not well explains all of them.
func pathProblems(paths []tailnet.Path) []string {
	problems := []string{}
	for _, path := range paths {
		if path.Problem != "" {
			problems = append(problems, fmt.Sprintf("origin %s: %s", path.Origin, path.Problem))
		}
	}
	return problems
}

// probeOrigins returns the paths to the origins, and false if one of them has none.
func (h *health) probeOrigins(ctx context.Context) ([]tailnet.Path, bool) {
	local := tailnet.NewLocalAPI(h.tailscaled)
	status, err := local.Status(ctx)
	if err != nil || status.BackendState != "Running" {
		return nil, false
	}
	resolver := unboundResolver(h.manifest.Ports.DNS)
	prober := tailnet.Prober{
		Wanted: h.manifest.Tailnet, Origins: h.manifest.Origins, Ping: local.Ping,
		Lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			// With its final dot no search list applies.
			return resolver.LookupNetIP(ctx, "ip", host+".")
		},
	}
	paths := prober.Probe(ctx)
	return paths, len(pathProblems(paths)) == 0
}

func unboundResolver(port int) *net.Resolver {
	return resolve.By(fmt.Sprintf("127.0.0.1:%d", port))
}

// pathMetrics: what does not answer has no latency.
func pathMetrics(paths []tailnet.Path) []metric {
	up := metric{"pop_origin_up", "gauge", "1 while an origin's node answers over the tailnet.", nil}
	direct := metric{"pop_origin_direct", "gauge", "1 while the path to an origin's node is direct, 0 while it goes through a relay.", nil}
	latency := metric{"pop_origin_latency_seconds", "gauge", "Round trip to an origin's node over the tailnet, in seconds.", nil}
	for _, path := range paths {
		up.samples = append(up.samples, one(truth(path.Via != ""), "origin", path.Origin))
		if path.Via != "" {
			direct.samples = append(direct.samples, one(truth(path.Via == tailnet.Direct), "origin", path.Origin, "node", path.Node, "relay", path.Relay))
			latency.samples = append(latency.samples, one(path.LatencySeconds, "origin", path.Origin, "node", path.Node))
		}
	}
	return []metric{up, direct, latency}
}

func tailnetMetrics(traffic []tailnet.Traffic) []metric {
	received := metric{"pop_tailnet_received_bytes_total", "counter", "Bytes from all nodes since tailscaled started, by path.", nil}
	sent := metric{"pop_tailnet_sent_bytes_total", "counter", "Bytes to all nodes since tailscaled started, by path.", nil}
	for _, sum := range traffic {
		family := &received
		if sum.Direction == "out" {
			family = &sent
		}
		family.samples = append(family.samples, one(sum.Bytes, "path", sum.Path))
	}
	return []metric{received, sent}
}

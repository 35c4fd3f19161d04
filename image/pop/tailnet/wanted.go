package tailnet

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Wanted is the tailnet of the stack file, as it stands in /etc/pop/pop.json.
type Wanted struct {
	// MagicDNS domain, e.g. tail1234.ts.net.
	Domain string `json:"domain"`
	// Tags of the node, with their "tag:". At least one.
	Tags []string `json:"tags"`
	// Control server; empty is Tailscale's own.
	LoginServer string `json:"loginServer"`
	// Put before the PoP's name to make the node's.
	HostPrefix string `json:"hostPrefix"`
	// Use what subnet routers and Tailscale Services offer.
	AcceptRoutes bool `json:"acceptRoutes"`
}

// Problem is nil if pop.json can be used.
func (w *Wanted) Problem() error {
	if w.Domain == "" || len(w.Tags) == 0 {
		return errors.New("needs domain and tags")
	}
	for _, tag := range w.Tags {
		if !strings.HasPrefix(tag, "tag:") {
			return fmt.Errorf("tags has %q, expected tag:NAME", tag)
		}
	}
	return nil
}

// usesHeadscale: every control server but Tailscale's own is taken for one. It gives a node the tags of the key it first joined with, and never others.
func (w *Wanted) usesHeadscale() bool { return w.LoginServer != "" }

func (w *Wanted) hasTags(tags []string) bool {
	return slices.Equal(sorted(w.Tags), sorted(tags))
}

func sorted(tags []string) []string { return slices.Sorted(slices.Values(tags)) }

// isName of a node of the tailnet.
func (w *Wanted) isName(host string) bool {
	return strings.HasSuffix(strings.ToLower(host), "."+strings.ToLower(w.Domain))
}

package tailnet

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Wanted describes the tailnet of the stack file, as in /etc/pop/pop.json.
type Wanted struct {
	// MagicDNS domain, e.g. tail1234.ts.net.
	Domain string `json:"domain"`
	// Tags of the node with the prefix "tag:". At least one.
	Tags []string `json:"tags"`
	// Control server. Empty: Tailscale's own.
	LoginServer string `json:"loginServer"`
	// Prefix of the node's name, which is followed by the PoP's name.
	HostPrefix string `json:"hostPrefix"`
	// Whether to use routes of subnet routers and Tailscale Services.
	AcceptRoutes bool `json:"acceptRoutes"`
}

// Problem returns what is invalid in pop.json. nil: nothing.
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

// usesHeadscale: any control server but Tailscale's own counts as headscale, which gives a node the tags of its first key, and never changes them.
func (w *Wanted) usesHeadscale() bool { return w.LoginServer != "" }

func (w *Wanted) hasTags(tags []string) bool {
	return slices.Equal(sorted(w.Tags), sorted(tags))
}

func sorted(tags []string) []string { return slices.Sorted(slices.Values(tags)) }

// IsName says whether a text is a name of a node of the tailnet.
func (w *Wanted) IsName(host string) bool {
	return strings.HasSuffix(strings.ToLower(host), "."+strings.ToLower(w.Domain))
}

// Package manifest reads /etc/pop/pop.json, what `pop` needs to know about the image. image/render/manifest.ts writes it.
package manifest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"fly-pops/pop/internal/strict"
	"fly-pops/pop/luggage"
	"fly-pops/pop/syslog"
	"fly-pops/pop/tailnet"
)

// Path of the manifest in the image.
const Path = "/etc/pop/pop.json"

// OptionalComponents are the components of /healthz that Expects may require.
var OptionalComponents = []string{"tailnet", "secrets", "certs", "acme"}

// Manifest is what `pop` needs to know about the image.
type Manifest struct {
	// Hosts whose TLS nginx terminates.
	Hosts []string `json:"hosts"`
	// Further names of sites, each with its own certificate. Their requests are counted for the site's host.
	Aliases []string `json:"aliases"`
	// Hosts and aliases whose certificates an ACME authority issues.
	ACMEHosts []string `json:"acmeHosts"`
	// Components that must report a status, besides those every PoP has: tailnet, secrets, certs, acme. If one does not, the PoP is degraded.
	Expects []string `json:"expects"`
	Ports   struct {
		NginxStatus int `json:"nginxStatus"`
		DNS         int `json:"dns"`
		Health      int `json:"health"`
	} `json:"ports"`
	// Timeout of Fly's check of /healthz, in seconds.
	CheckTimeoutSeconds int `json:"checkTimeoutSeconds"`
	// URLs of all origins, e.g. https://web.tail1234.ts.net:8443, and of the targets of raw TCP ports, e.g. tcp://git.tail1234.ts.net:22.
	Origins []string `json:"origins"`
	// Public ports of raw TCP.
	TCPPorts []int `json:"tcpPorts"`
	// Hosts of sites whose TLS ends at home.
	PassThrough []string `json:"passThrough"`
	// nil: none.
	Tailnet *tailnet.Wanted `json:"tailnet"`
	// Where nginx's log messages go; nil: nowhere.
	Syslog *syslog.Config `json:"syslog"`
	// Checks of luggage, by its name.
	Luggage map[string]luggage.Check `json:"luggage"`
}

// Read reads and validates a m.
func Read(path string) (*Manifest, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err := strict.Decode(text, m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, component := range m.Expects {
		if !slices.Contains(OptionalComponents, component) {
			return nil, fmt.Errorf("%s: expects has %q, allowed values: %s", path, component, strings.Join(OptionalComponents, ", "))
		}
	}
	for name, port := range map[string]int{
		"nginxStatus": m.Ports.NginxStatus, "dns": m.Ports.DNS, "health": m.Ports.Health,
	} {
		if port < 1 || port > 65535 {
			return nil, fmt.Errorf("%s: ports.%s is %d, expected 1 to 65535", path, name, port)
		}
	}
	if m.CheckTimeoutSeconds < 1 {
		return nil, fmt.Errorf("%s: checkTimeoutSeconds is %d, it must be at least 1", path, m.CheckTimeoutSeconds)
	}
	for _, port := range m.TCPPorts {
		if port < 1 || port > 65535 {
			return nil, fmt.Errorf("%s: tcpPorts has %d, expected 1 to 65535", path, port)
		}
	}
	for _, origin := range m.Origins {
		if tailnet.HostOf(origin) == "" {
			return nil, fmt.Errorf("%s: origins has %q, expected a URL", path, origin)
		}
	}
	if m.Tailnet != nil {
		if err := m.Tailnet.Problem(); err != nil {
			return nil, fmt.Errorf("%s: tailnet %w", path, err)
		}
	}
	if m.Syslog != nil {
		if err := m.Syslog.Validate(); err != nil {
			return nil, fmt.Errorf("%s: syslog %w", path, err)
		}
	}
	for name, check := range m.Luggage {
		if err := check.Validate(); err != nil {
			return nil, fmt.Errorf("%s: luggage.%s %w", path, name, err)
		}
	}
	return m, nil
}

// CheckTimeout is the timeout of Fly's check of /healthz.
func (m *Manifest) CheckTimeout() time.Duration {
	return time.Duration(m.CheckTimeoutSeconds) * time.Second
}

// ExpectsComponent returns whether the component must report a status.
func (m *Manifest) ExpectsComponent(component string) bool {
	return slices.Contains(m.Expects, component)
}

// HealthTimeout is how long `pop health` waits for its checks. The other half of the timeout is for connecting, and for a busy machine.
func (m *Manifest) HealthTimeout() time.Duration { return m.CheckTimeout() / 2 }

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"fly-pops/pop/internal/strict"
	"fly-pops/pop/tailnet"
)

const (
	// On the volume: one PEM a host, key and chain together. nginx reads them by its group.
	certificateFolder = "/var/lib/pop/certs"
	// In the machine's own root, new at each boot: what one process tells the others.
	runFolder = "/run/pop"
)

// Manifest is what the image was rendered from, as far as the helper must know it.
type Manifest struct {
	// Hosts nginx ends TLS for.
	Hosts []string `json:"hosts"`
	// Further names of sites, each with a certificate of its own. Requests for them count for their site's host.
	Aliases []string `json:"aliases"`
	// Of these and their aliases, the ones whose certificates an authority gives.
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
	// URLs of all origins, e.g. https://web.tail1234.ts.net:8443, and of what ports of raw TCP lead to, e.g. tcp://git.tail1234.ts.net:22.
	Origins []string `json:"origins"`
	// Public ports of raw TCP.
	TCPPorts []int `json:"tcpPorts"`
	// Hosts of sites whose TLS ends at home.
	PassThrough []string `json:"passThrough"`
	// nil: none.
	Tailnet *tailnet.Wanted `json:"tailnet"`
	// Where nginx's log messages go; nil: nowhere.
	Syslog *Syslog `json:"syslog"`
	// Luggage that says how it is, by its name.
	Luggage map[string]Check `json:"luggage"`
}

func readManifest(path string) (*Manifest, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	manifest := &Manifest{}
	if err := strict.Decode(text, manifest); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, component := range manifest.Expects {
		if !slices.Contains(optionalComponents, component) {
			return nil, fmt.Errorf("%s: expects has %q, allowed are %s", path, component, strings.Join(optionalComponents, ", "))
		}
	}
	for name, port := range map[string]int{
		"nginxStatus": manifest.Ports.NginxStatus, "dns": manifest.Ports.DNS, "health": manifest.Ports.Health,
	} {
		if port < 1 || port > 65535 {
			return nil, fmt.Errorf("%s: ports.%s is %d, allowed are 1 to 65535", path, name, port)
		}
	}
	if manifest.CheckTimeoutSeconds < 1 {
		return nil, fmt.Errorf("%s: checkTimeoutSeconds is %d, it must be at least 1", path, manifest.CheckTimeoutSeconds)
	}
	for _, port := range manifest.TCPPorts {
		if port < 1 || port > 65535 {
			return nil, fmt.Errorf("%s: tcpPorts has %d, allowed are 1 to 65535", path, port)
		}
	}
	for _, origin := range manifest.Origins {
		if tailnet.HostOf(origin) == "" {
			return nil, fmt.Errorf("%s: origins has %q, expected a URL", path, origin)
		}
	}
	if manifest.Tailnet != nil {
		if err := manifest.Tailnet.Problem(); err != nil {
			return nil, fmt.Errorf("%s: tailnet %w", path, err)
		}
	}
	if manifest.Syslog != nil {
		if err := manifest.Syslog.problem(); err != nil {
			return nil, fmt.Errorf("%s: syslog %w", path, err)
		}
	}
	for name, how := range manifest.Luggage {
		if err := how.problem(); err != nil {
			return nil, fmt.Errorf("%s: luggage.%s %w", path, name, err)
		}
	}
	return manifest, nil
}

// checkTimeout is the timeout of Fly's check of /healthz.
func (m *Manifest) checkTimeout() time.Duration {
	return time.Duration(m.CheckTimeoutSeconds) * time.Second
}

func (m *Manifest) expects(component string) bool { return slices.Contains(m.Expects, component) }

// patience is how long `pop health` waits for its checks. The other half of the timeout is for connecting, and for a busy machine.
func (m *Manifest) patience() time.Duration { return m.checkTimeout() / 2 }

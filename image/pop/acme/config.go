package acme

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"fly-pops/pop/internal/dnsupdate"
)

// Config says which certificates to order where. It contains no secrets.
type Config struct {
	// Directory URLs of authorities, at least one. The others are tried in their order if the first fails and a certificate is urgent.
	Directories []string `json:"directories"`
	// Contact address for authorities. Absent: none.
	Email string `json:"email"`
	// Certificate profile at the first authority, such as shortlived. Absent: the authority's default.
	Profile string `json:"profile"`
	// PEM file with CA certificates to trust for directories. Absent: the system's.
	CAFile string `json:"caFile"`
	// File with the key id and the HMAC key (base64url) of an external account at the first authority, separated by white space. Absent: none is needed.
	EABFile string `json:"eabFile"`
	// File with the secret for sharing certificates between PoPs. Absent: each PoP orders its own.
	ShareFile string `json:"shareFile"`
	// Name server for the names of authorities and sites, such as 127.0.0.1:1104. Absent: the system's.
	NameServer string `json:"nameServer"`
	// Zones that private name servers resolve. Their records may differ from the public ones.
	PrivateZones []string `json:"privateZones"`
	// Port on FLY_PRIVATE_IP for challenge requests of other PoPs.
	PeerPort int `json:"peerPort"`
	// How to prove names by DNS-01. Absent: HTTP-01 is used.
	DNS *DNS `json:"dns"`
	// How long nginx may serve an earlier version of a PEM file (its ssl_certificate_cache). Absent: 0.
	NginxCacheSeconds int `json:"nginxCacheSeconds"`
	// Names of all PEM files that nginx serves, including those from the vault. Absent: not known, so none is removed.
	ServedNames []string `json:"servedNames"`
	// At least one.
	Certificates []Certificate `json:"certificates"`
	// Directory of account keys, orders and pairs, which no other user can read. Absent: /var/lib/pop/acme.
	Dir string `json:"dir"`
	// Directory of the PEM files for nginx, <name>.pem each. Absent: /var/lib/pop/certs.
	ServedDir string `json:"served"`
	// Unix socket to which nginx forwards challenge requests. Absent: /run/pop/challenges/socket.
	Socket string `json:"socket"`
	// Absent: /run/pop/certs/acme.json.
	Status string `json:"status"`
	// File with the problem that postInit found with the volume at boot. It is empty if there is none. Absent: /run/pop/volume.
	Volume string `json:"volume"`
}

// Certificate is the certificate of one site.
type Certificate struct {
	// The site's host, then its aliases. Files are named after the first.
	Names []string `json:"names"`
}

const (
	defaultDir    = "/var/lib/pop/acme"
	defaultServed = "/var/lib/pop/certs"
	defaultSocket = "/run/pop/challenges/socket"
	defaultVolume = "/run/pop/volume"
	// StatusFile is read by `pop health`.
	StatusFile = "/run/pop/certs/acme.json"
	// maxNames is the limit of authorities for one certificate.
	maxNames = 100
)

var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$`)

// isSiteName says whether a name is a host name or a wildcard.
func isSiteName(name string) bool { return hostName.MatchString(strings.TrimPrefix(name, "*.")) }

// SetDefaults sets absent fields to their defaults.
func (c *Config) SetDefaults() {
	for field, fallback := range map[*string]string{
		&c.Dir: defaultDir, &c.ServedDir: defaultServed, &c.Socket: defaultSocket, &c.Status: StatusFile, &c.Volume: defaultVolume,
	} {
		if *field == "" {
			*field = fallback
		}
	}
	if c.DNS != nil && c.DNS.Algorithm == "" {
		c.DNS.Algorithm = dnsupdate.Algorithms[0]
	}
}

// Validate returns all errors of a complete configuration, joined.
func (c *Config) Validate() error {
	var found []error
	say := func(format string, arguments ...any) { found = append(found, fmt.Errorf("acme."+format, arguments...)) }
	if len(c.Directories) == 0 {
		say("directories: expected at least one")
	}
	for i, directory := range c.Directories {
		if address, err := url.Parse(directory); err != nil || address.Scheme != "https" || address.Host == "" || address.User != nil {
			say("directories[%d] is %q: expected an https URL without a user", i, directory)
		}
	}
	if c.NameServer != "" {
		if _, err := netip.ParseAddrPort(c.NameServer); err != nil {
			say("nameServer is %q: expected an address and a port, such as 127.0.0.1:53", c.NameServer)
		}
	}
	if c.PeerPort < 1 || c.PeerPort > 65535 {
		say("peerPort is %d: expected 1 to 65535", c.PeerPort)
	}
	if len(c.Certificates) == 0 {
		say("certificates: expected at least one")
	}
	if c.DNS != nil {
		found = append(found, c.DNS.validate(c.NameServer))
	}
	seen := map[string]bool{}
	for i, certificate := range c.Certificates {
		if len(certificate.Names) == 0 || len(certificate.Names) > maxNames {
			say("certificates[%d] has %d names: expected 1 to %d", i, len(certificate.Names), maxNames)
		}
		for _, name := range certificate.Names {
			// It becomes part of a file name.
			if !isSiteName(name) || strings.HasPrefix(name, "*.") && c.DNS == nil {
				say("certificates[%d] has %q: not a host name in lower case. A wildcard needs dns or the vault: HTTP-01 proves single names only", i, name)
			}
			if seen[name] {
				say("certificates[%d] has %q, which another has too", i, name)
			}
			seen[name] = true
		}
	}
	for _, path := range []struct{ field, value string }{
		{"dir", c.Dir}, {"served", c.ServedDir}, {"socket", c.Socket}, {"status", c.Status}, {"volume", c.Volume},
	} {
		if !filepath.IsAbs(path.value) {
			say("%s is %q: expected an absolute path", path.field, path.value)
		}
	}
	return errors.Join(found...)
}

// isPrivateName says whether private name servers resolve a name.
func (c *Config) isPrivateName(name string) bool {
	return slices.ContainsFunc(c.PrivateZones, func(zone string) bool { return name == zone || strings.HasSuffix(name, "."+zone) })
}

func (c *Config) servedFile(name string) string { return filepath.Join(c.ServedDir, name+".pem") }

// requestFile exists while a renewal is requested.
func (c *Config) requestFile(certificate Certificate) string {
	return filepath.Join(c.Dir, certificate.Names[0]+".renew")
}

// pairFile is the last good pair of a certificate. nginx reads a copy of it.
func (c *Config) pairFile(certificate Certificate) string {
	return filepath.Join(c.Dir, certificate.Names[0]+".pem")
}

func (c *Config) orderFile(certificate Certificate) string {
	return filepath.Join(c.Dir, certificate.Names[0]+".json")
}

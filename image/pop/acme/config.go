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

// Config says which certificates to order where. Nothing in it is secret.
type Config struct {
	// Directory URLs of authorities: the first is asked, the others in their order once it fails and a certificate is urgent. At least one.
	Directories []string `json:"directories"`
	// Where an authority may write to. Absent: nowhere.
	Email string `json:"email"`
	// Profile of certificates at the first authority, such as shortlived. Absent: the authority's own choice.
	Profile string `json:"profile"`
	// PEM file with the authorities of the directories' own certificates. Absent: the system's.
	CAFile string `json:"caFile"`
	// File with the key id and the HMAC key (base64url) of an external account at the first authority, white space between them. Absent: none is needed.
	EABFile string `json:"eabFile"`
	// File with the secret that the PoPs share certificates by. Absent: each orders its own.
	ShareFile string `json:"shareFile"`
	// Name server for the authorities' names and the sites', such as 127.0.0.1:1104. Absent: the system's.
	NameServer string `json:"nameServer"`
	// Zones whose names are asked of name servers of the user's own: what those say is not what the world sees.
	PrivateZones []string `json:"privateZones"`
	// Port of FLY_PRIVATE_IP where other PoPs ask for challenges.
	PeerPort int `json:"peerPort"`
	// How names are proved by records of DNS. Absent: by requests to port 80.
	DNS *DNS `json:"dns"`
	// For so long nginx may serve what it read of a PEM before: its ssl_certificate_cache. Absent: 0.
	NginxCacheSeconds int `json:"nginxCacheSeconds"`
	// Names of the PEMs nginx serves, those of the vault among them. Absent: not known, and none is removed.
	ServedNames []string `json:"servedNames"`
	// At least one.
	Certificates []Certificate `json:"certificates"`
	// Where account keys, orders and pairs are kept, for nobody else to read. Absent: /var/lib/pop/acme.
	Dir string `json:"dir"`
	// Where nginx finds PEMs, <name>.pem each. Absent: /var/lib/pop/certs.
	ServedDir string `json:"served"`
	// Unix socket where nginx passes challenges on to. Absent: /run/pop/challenges/socket.
	Socket string `json:"socket"`
	// Absent: /run/pop/certs/acme.json.
	Status string `json:"status"`
	// What postInit found wrong with the volume at boot; empty when nothing is. Absent: /run/pop/volume.
	Volume string `json:"volume"`
}

// Certificate is that of one site.
type Certificate struct {
	// The site's host, then its aliases. The first names the files.
	Names []string `json:"names"`
}

const (
	defaultDir    = "/var/lib/pop/acme"
	defaultServed = "/var/lib/pop/certs"
	defaultSocket = "/run/pop/challenges/socket"
	defaultVolume = "/run/pop/volume"
	// StatusFile is where `pop health` looks.
	StatusFile = "/run/pop/certs/acme.json"
	// maxNames is what authorities allow in one certificate.
	maxNames = 100
)

var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$`)

// isSiteName says that a name is a host's or a wildcard.
func isSiteName(name string) bool { return hostName.MatchString(strings.TrimPrefix(name, "*.")) }

// SetDefaults fills in what is absent.
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
		found = append(found, c.DNS.mistakes(c.NameServer))
	}
	seen := map[string]bool{}
	for i, certificate := range c.Certificates {
		if len(certificate.Names) == 0 || len(certificate.Names) > maxNames {
			say("certificates[%d] has %d names: expected 1 to %d", i, len(certificate.Names), maxNames)
		}
		for _, name := range certificate.Names {
			// It becomes the name of a file.
			if !isSiteName(name) || strings.HasPrefix(name, "*.") && c.DNS == nil {
				say("certificates[%d] has %q: not a host name in small letters. A wildcard needs dns or the vault: HTTP-01 proves single names only", i, name)
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

// isPrivateName says that a name's addresses come from the user's own name servers.
func (c *Config) isPrivateName(name string) bool {
	return slices.ContainsFunc(c.PrivateZones, func(zone string) bool { return name == zone || strings.HasSuffix(name, "."+zone) })
}

func (c *Config) servedFile(name string) string { return filepath.Join(c.ServedDir, name+".pem") }

// requestFile is there while somebody waits for a renewal.
func (c *Config) requestFile(certificate Certificate) string {
	return filepath.Join(c.Dir, certificate.Names[0]+".renew")
}

// pairFile is the last good pair of a certificate, kept apart from what nginx reads.
func (c *Config) pairFile(certificate Certificate) string {
	return filepath.Join(c.Dir, certificate.Names[0]+".pem")
}

func (c *Config) orderFile(certificate Certificate) string {
	return filepath.Join(c.Dir, certificate.Names[0]+".json")
}

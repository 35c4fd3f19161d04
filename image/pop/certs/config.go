package certs

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"fly-pops/pop/acme"
	"fly-pops/pop/internal/strict"
	"fly-pops/pop/vault"
)

// Config is the file of --config. Nothing in it is secret. What stands outside of acme is about the vault, and absent where there is none.
type Config struct {
	// Certificates from an authority. Absent: none are.
	ACME *acme.Config `json:"acme"`
	// https://vault.example:8200. http:// only where the way there is encrypted by other means (a tailnet).
	Address string `json:"address"`
	// PEM file with the authorities of the vault's certificate. Absent: the system's.
	CAFile string `json:"caFile"`
	// Name in the vault's certificate. Absent: the address's host.
	ServerName string `json:"serverName"`
	// Absent: none.
	Namespace string `json:"namespace"`
	// Name server that knows the address's host, such as 127.0.0.1:1104: names of a tailnet are not in public DNS. Absent: the system's.
	NameServer string `json:"nameServer"`
	// Files with the AppRole's two halves; read at each login, white space around them is cut.
	RoleIDFile   string `json:"roleIdFile"`
	SecretIDFile string `json:"secretIdFile"`
	// Where AppRole is mounted. Absent: approle.
	AuthMount string `json:"authMount"`
	// Where the KV store is mounted. Absent: kv.
	Mount string `json:"mount"`
	// Version of the KV store, 1 or 2. Absent: 2.
	KVVersion int `json:"kvVersion"`
	// Path of a certificate in it, {domain} in its place. Absent: certbot/domains/{domain}.
	Path string `json:"path"`
	// Its fields.
	Fields Fields `json:"fields"`
	// What somebody says of the secret_id; the vault's own word counts for more. Absent: nothing.
	SecretID *StatedSecretID `json:"secretId"`
	// The hosts to have certificates for; at least one.
	Certificates []Certificate `json:"certificates"`
	// Where the PEMs go, <host>.pem each. Absent: /var/lib/pop/certs.
	Dir string `json:"dir"`
	// Absent: /run/pop/certs/vault.json.
	Status string `json:"status"`
	// From one look into the vault to the next, give or take a fifth. Absent: 30. Allowed: 5 to 3600.
	IntervalSeconds *int `json:"intervalSeconds"`
}

// StatedSecretID is for a vault whose policy does not let PoPs look.
type StatedSecretID struct {
	CreatedAt time.Time `json:"createdAt"`
	EndsAt    time.Time `json:"endsAt"`
}

// Certificate is what one host is served with.
type Certificate struct {
	// The host name nginx serves, or *. and a name for all below it; the certificate must cover it.
	Host string `json:"host"`
	// Its name in the vault. Absent: the host. Differs where one certificate covers several hosts.
	Domain string `json:"domain"`
}

const (
	defaultDir = "/var/lib/pop/certs"
	// StatusFile is where `pop health` looks.
	StatusFile = "/run/pop/certs/vault.json"
)

var (
	domainName = regexp.MustCompile(`^[a-z0-9_*]([a-z0-9_-]{0,62})(\.[a-z0-9_-]{1,63})*$`)
	vaultPath  = regexp.MustCompile(`^[A-Za-z0-9_.{}*-]+(/[A-Za-z0-9_.{}*-]+)*$`)
)

func readConfig(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	config := &Config{}
	if err := strict.Decode(text, config); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	config.complete()
	var wrong []error
	if config.ACME != nil {
		config.ACME.SetDefaults()
		wrong = append(wrong, config.ACME.Validate())
	}
	if config.ACME == nil || config.hasVault() {
		wrong = append(wrong, config.mistakes())
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return config, nil
}

func (c *Config) hasVault() bool { return c.Address != "" || len(c.Certificates) > 0 }

func (c *Config) complete() {
	for field, fallback := range map[*string]string{
		&c.AuthMount: "approle", &c.Mount: "kv", &c.Path: "certbot/domains/{domain}",
		&c.Dir: defaultDir, &c.Status: StatusFile,
	} {
		if *field == "" {
			*field = fallback
		}
	}
	c.Fields.complete()
	if c.KVVersion == 0 {
		c.KVVersion = vault.KV2
	}
	if c.IntervalSeconds == nil {
		c.IntervalSeconds = new(30)
	}
	for i := range c.Certificates {
		if c.Certificates[i].Domain == "" {
			c.Certificates[i].Domain = c.Certificates[i].Host
		}
	}
}

func (c *Config) mistakes() error {
	var found []error
	say := func(format string, arguments ...any) { found = append(found, fmt.Errorf(format, arguments...)) }
	if err := vault.CheckAddress(c.Address); err != nil {
		found = append(found, err)
	}
	if c.NameServer != "" {
		if _, err := netip.ParseAddrPort(c.NameServer); err != nil {
			say("nameServer is %q: expected an address and a port, such as 127.0.0.1:53", c.NameServer)
		}
	}
	if c.RoleIDFile == "" || c.SecretIDFile == "" {
		say("roleIdFile and secretIdFile are wanted, both")
	}
	if len(c.Certificates) == 0 {
		say("certificates: expected at least one")
	}
	hosts := map[string]bool{}
	for i, certificate := range c.Certificates {
		// It becomes the name of a file.
		if !domainName.MatchString(certificate.Host) || strings.Contains(strings.TrimPrefix(certificate.Host, "*."), "*") {
			say("certificates[%d].host is %q: no host name in small letters", i, certificate.Host)
		}
		if !domainName.MatchString(certificate.Domain) {
			say("certificates[%d].domain is %q: no domain name in small letters", i, certificate.Domain)
		}
		if hosts[certificate.Host] {
			say("certificates[%d].host is %q, twice", i, certificate.Host)
		}
		hosts[certificate.Host] = true
	}
	for _, path := range []struct{ field, value string }{{"authMount", c.AuthMount}, {"mount", c.Mount}, {"path", c.Path}} {
		if !vaultPath.MatchString(path.value) || strings.Contains("/"+path.value+"/", "/../") || strings.Contains("/"+path.value+"/", "/./") {
			say("%s is %q: no path in a vault", path.field, path.value)
		}
	}
	if c.KVVersion != vault.KV1 && c.KVVersion != vault.KV2 {
		say("kvVersion is %d: expected 1 or 2", c.KVVersion)
	}
	if c.Fields.PEM != "" && c.Fields != (Fields{PEM: c.Fields.PEM}) {
		say("fields.pem replaces the other fields: remove them")
	}
	if stated := c.SecretID; stated != nil && (stated.CreatedAt.IsZero() || !stated.CreatedAt.Before(stated.EndsAt)) {
		say("secretId: expected createdAt and a later endsAt")
	}
	for _, path := range []struct{ field, value string }{{"dir", c.Dir}, {"status", c.Status}} {
		if !filepath.IsAbs(path.value) {
			say("%s is %q: expected an absolute path", path.field, path.value)
		}
	}
	if *c.IntervalSeconds < 5 || *c.IntervalSeconds > 3600 {
		say("intervalSeconds is %d: expected 5 to 3600", *c.IntervalSeconds)
	}
	return errors.Join(found...)
}

func (c *Config) interval() time.Duration { return time.Duration(*c.IntervalSeconds) * time.Second }

func (c *Config) store() vault.Store { return vault.Store{Mount: c.Mount, Version: c.KVVersion} }

func (c *Config) pathOf(certificate Certificate) string {
	return strings.ReplaceAll(c.Path, "{domain}", certificate.Domain)
}

func (c *Config) file(certificate Certificate) string {
	return filepath.Join(c.Dir, certificate.Host+".pem")
}

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

// Config is the file of --config. It contains no secrets. All fields but acme are about the vault, and absent without one.
type Config struct {
	// Certificates from an ACME authority. Absent: none.
	ACME *acme.Config `json:"acme"`
	// https://vault.example:8200. http:// only if the connection is encrypted by other means (a tailnet).
	Address string `json:"address"`
	// PEM file with CA certificates to trust for the vault. Absent: the system's.
	CAFile string `json:"caFile"`
	// Name in the vault's certificate. Absent: the address's host.
	ServerName string `json:"serverName"`
	// Absent: none.
	Namespace string `json:"namespace"`
	// Name server for the address's host, such as 127.0.0.1:1104: names of a tailnet are not in public DNS. Absent: the system's.
	NameServer string `json:"nameServer"`
	// Files with the AppRole's role_id and secret_id. They are read at each login; surrounding white space is ignored.
	RoleIDFile   string `json:"roleIdFile"`
	SecretIDFile string `json:"secretIdFile"`
	// Mount path of AppRole. Absent: approle.
	AuthMount string `json:"authMount"`
	// Mount path of the KV store. Absent: kv.
	Mount string `json:"mount"`
	// Version of the KV store, 1 or 2. Absent: 2.
	KVVersion int `json:"kvVersion"`
	// Path of a certificate in the store, with {domain} as placeholder. Absent: certbot/domains/{domain}.
	Path string `json:"path"`
	// Fields of the secret at that path.
	Fields Fields `json:"fields"`
	// Configured validity of the secret_id, used if the vault does not tell. Absent: not known.
	SecretID *StatedSecretID `json:"secretId"`
	// The hosts to install certificates for, at least one.
	Certificates []Certificate `json:"certificates"`
	// Directory of the PEM files, <host>.pem each. Absent: /var/lib/pop/certs.
	Dir string `json:"dir"`
	// Absent: /run/pop/certs/vault.json.
	Status string `json:"status"`
	// Seconds between polls, varied by a fifth. Absent: 30. Allowed: 5 to 3600.
	IntervalSeconds *int `json:"intervalSeconds"`
}

// StatedSecretID is for a vault whose policy does not let PoPs look it up.
type StatedSecretID struct {
	CreatedAt time.Time `json:"createdAt"`
	EndsAt    time.Time `json:"endsAt"`
}

// Certificate is the certificate of one host.
type Certificate struct {
	// The host name or wildcard (*.example.org) that nginx serves. The certificate must cover it.
	Host string `json:"host"`
	// Its name in the vault, which differs if one certificate covers several hosts. Absent: the host.
	Domain string `json:"domain"`
}

const (
	defaultDir = "/var/lib/pop/certs"
	// StatusFile is read by `pop health`.
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
		wrong = append(wrong, config.validate())
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

func (c *Config) validate() error {
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
		say("roleIdFile and secretIdFile are required")
	}
	if len(c.Certificates) == 0 {
		say("certificates: expected at least one")
	}
	hosts := map[string]bool{}
	for i, certificate := range c.Certificates {
		// It becomes part of a file name.
		if !domainName.MatchString(certificate.Host) || strings.Contains(strings.TrimPrefix(certificate.Host, "*."), "*") {
			say("certificates[%d].host is %q: not a host name in lower case", i, certificate.Host)
		}
		if !domainName.MatchString(certificate.Domain) {
			say("certificates[%d].domain is %q: not a domain name in lower case", i, certificate.Domain)
		}
		if hosts[certificate.Host] {
			say("certificates[%d].host is %q, which another has too", i, certificate.Host)
		}
		hosts[certificate.Host] = true
	}
	for _, path := range []struct{ field, value string }{{"authMount", c.AuthMount}, {"mount", c.Mount}, {"path", c.Path}} {
		if !vaultPath.MatchString(path.value) || strings.Contains("/"+path.value+"/", "/../") || strings.Contains("/"+path.value+"/", "/./") {
			say("%s is %q: not a path in a vault", path.field, path.value)
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

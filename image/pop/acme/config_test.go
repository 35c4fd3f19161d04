package acme

import (
	"net/netip"
	"strings"
	"testing"
)

func good() Config {
	return Config{Directories: []string{"https://ca.example.test/dir"}, PeerPort: 1107, Certificates: []Certificate{{Names: []string{host, alias}}}}
}

func TestInvalidConfigurations(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"no authority":              {func(c *Config) { c.Directories = nil }, "acme.directories: expected at least one"},
		"an authority by http":      {func(c *Config) { c.Directories[0] = "http://ca.example.test" }, "expected an https URL"},
		"a user in the URL":         {func(c *Config) { c.Directories[0] = "https://a:b@ca.example.test" }, "without a user"},
		"no certificate":            {func(c *Config) { c.Certificates = nil }, "acme.certificates: expected at least one"},
		"a certificate for no name": {func(c *Config) { c.Certificates[0].Names = nil }, "has 0 names"},
		"a wildcard":                {func(c *Config) { c.Certificates[0].Names = []string{"*.example.test"} }, "A wildcard needs dns or the vault"},
		"a path for a name":         {func(c *Config) { c.Certificates[0].Names = []string{"../identity"} }, "not a host name"},
		"one label":                 {func(c *Config) { c.Certificates[0].Names = []string{"localhost"} }, "not a host name"},
		"a name twice":              {func(c *Config) { c.Certificates = append(c.Certificates, Certificate{[]string{alias}}) }, "which another has too"},
		"a name server's name":      {func(c *Config) { c.NameServer = "dns.example.test:53" }, "acme.nameServer"},
		"no port for peers":         {func(c *Config) { c.PeerPort = 0 }, "acme.peerPort is 0"},
		"a relative directory":      {func(c *Config) { c.Dir = "acme" }, "acme.dir"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good()
			test.change(&config)
			config.SetDefaults()
			if err := config.Validate(); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("says %v", err)
			}
		})
	}
	config := good()
	config.SetDefaults()
	if err := config.Validate(); err != nil {
		t.Error(err)
	}
}

func TestReadEnvironment(t *testing.T) {
	read := func(variables map[string]string) (Environment, []string) {
		return ReadEnvironment(func(name string) string { return variables[name] })
	}
	found, problems := read(map[string]string{
		"POP_ADDRESSES": "66.241.125.4  2a09:8280:1::7", "FLY_APP_NAME": "my-edge", "FLY_PRIVATE_IP": "fdaa:0:1::2", "POP_NAME": "cdg-1",
	})
	if len(problems) != 0 || len(found.Addresses) != 2 || found.Private != netip.MustParseAddr("fdaa:0:1::2") || found.PeerResolver != "[fdaa::3]:53" {
		t.Errorf("%+v, %v", found, problems)
	}
	if newPeers(found, nil) == nil {
		t.Error("no peers")
	}
	found, problems = read(map[string]string{"POP_ADDRESSES": "here", "FLY_PRIVATE_IP": "there", "POP_PEER_RESOLVER": "somewhere"})
	if len(problems) != 3 || len(found.Addresses) != 0 || found.Private.IsValid() || found.PeerResolver != "[fdaa::3]:53" {
		t.Errorf("%+v, %v", found, problems)
	}
	if newPeers(found, nil) != nil {
		t.Error("peers without a private network")
	}
}

func TestPrivateZones(t *testing.T) {
	config := Config{PrivateZones: []string{"example.test"}}
	for name, want := range map[string]bool{"example.test": true, "www.example.test": true, "anexample.test": false, "test": false} {
		if config.isPrivateName(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

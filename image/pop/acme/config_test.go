package acme

import (
	"net/netip"
	"strings"
	"testing"
)

func good() Config {
	return Config{Directories: []string{"https://ca.example.test/dir"}, PeerPort: 1107, Certificates: []Certificate{{Names: []string{host, alias}}}}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"no authority":              {func(it *Config) { it.Directories = nil }, "acme.directories: expected one at least"},
		"an authority by http":      {func(it *Config) { it.Directories[0] = "http://ca.example.test" }, "expected an https URL"},
		"a user in the URL":         {func(it *Config) { it.Directories[0] = "https://a:b@ca.example.test" }, "without a user"},
		"no certificate":            {func(it *Config) { it.Certificates = nil }, "acme.certificates: expected one at least"},
		"a certificate for no name": {func(it *Config) { it.Certificates[0].Names = nil }, "has 0 names"},
		"a wildcard":                {func(it *Config) { it.Certificates[0].Names = []string{"*.example.test"} }, "A wildcard needs the vault"},
		"a path for a name":         {func(it *Config) { it.Certificates[0].Names = []string{"../identity"} }, "not a host name"},
		"one label":                 {func(it *Config) { it.Certificates[0].Names = []string{"localhost"} }, "not a host name"},
		"a name twice":              {func(it *Config) { it.Certificates = append(it.Certificates, Certificate{[]string{alias}}) }, "which another has too"},
		"a name server's name":      {func(it *Config) { it.NameServer = "dns.example.test:53" }, "acme.nameServer"},
		"no port for peers":         {func(it *Config) { it.PeerPort = 0 }, "acme.peerPort is 0"},
		"a relative folder":         {func(it *Config) { it.Folder = "acme" }, "acme.folder"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good()
			test.change(&config)
			config.Complete()
			if err := config.Mistakes(); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("says %v", err)
			}
		})
	}
	config := good()
	config.Complete()
	if err := config.Mistakes(); err != nil {
		t.Error(err)
	}
}

func TestTheMachinesOwnWord(t *testing.T) {
	read := func(variables map[string]string) (Environment, []string) {
		return ReadEnvironment(func(name string) string { return variables[name] })
	}
	found, problems := read(map[string]string{
		"POP_ADDRESSES": "66.241.125.4  2a09:8280:1::7", "FLY_APP_NAME": "my-edge", "FLY_PRIVATE_IP": "fdaa:0:1::2", "POP_NAME": "cdg-1",
	})
	if len(problems) != 0 || len(found.Addresses) != 2 || found.Private != netip.MustParseAddr("fdaa:0:1::2") || found.PeerResolver != "[fdaa::3]:53" {
		t.Errorf("%+v, %v", found, problems)
	}
	if peersOf(found, nil) == nil {
		t.Error("no peers")
	}
	found, problems = read(map[string]string{"POP_ADDRESSES": "here", "FLY_PRIVATE_IP": "there", "POP_PEER_RESOLVER": "somewhere"})
	if len(problems) != 3 || len(found.Addresses) != 0 || found.Private.IsValid() || found.PeerResolver != "[fdaa::3]:53" {
		t.Errorf("%+v, %v", found, problems)
	}
	if peersOf(found, nil) != nil {
		t.Error("peers without a private network")
	}
}

func TestPrivateZones(t *testing.T) {
	config := Config{PrivateZones: []string{"example.test"}}
	for name, want := range map[string]bool{"example.test": true, "www.example.test": true, "anexample.test": false, "test": false} {
		if config.isPrivate(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

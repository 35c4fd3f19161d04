package certs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fly-pops/pop/internal/exit"
)

const wholeConfig = `{"address": "https://vault.example.test:8200", "roleIdFile": "/run/secrets/role", "secretIdFile": "/run/secrets/id",
	"certificates": [{"host": "www.example.test"}, {"host": "a.example.test", "domain": "*.example.test"}]}`

func check(t *testing.T, text string) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "certs.json")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return Run([]string{"--config", file, "--check"})
}

func TestInvalidConfigurations(t *testing.T) {
	for name, test := range map[string]struct{ from, to, says string }{
		"none":                       {"", "", ""},
		"a typo":                     {`"address"`, `"adress"`, "unknown: adress"},
		"a typo below":               {`"domain"`, `"domian"`, "unknown: certificates[1].domian"},
		"not JSON":                   {`{"address"`, `{address`, "not JSON"},
		"a name server by name":      {`{"address"`, `{"nameServer": "localhost:53", "address"`, `nameServer is "localhost:53"`},
		"a name server with no port": {`{"address"`, `{"nameServer": "127.0.0.1", "address"`, `nameServer is "127.0.0.1"`},
		"no credentials":             {`"roleIdFile": "/run/secrets/role", `, ``, "roleIdFile and secretIdFile"},
		"no certificates":            {`"certificates": [{"host": "www.example.test"}, {"host": "a.example.test", "domain": "*.example.test"}]`, `"certificates": []`, "expected at least one"},
		"a host with a slash":        {`"www.example.test"`, `"../www"`, `certificates[0].host is "../www"`},
		"a host for all below it":    {`"www.example.test"`, `"*.example.test"`, ""},
		"a host with a star":         {`"www.example.test"`, `"w*.example.test"`, `certificates[0].host is "w*.example.test"`},
		"a host with two stars":      {`"www.example.test"`, `"*.*.example.test"`, `certificates[0].host is "*.*.example.test"`},
		"a host in capitals":         {`"www.example.test"`, `"WWW.example.test"`, "certificates[0].host"},
		"a host twice":               {`"a.example.test"`, `"www.example.test"`, "twice"},
		"a domain that climbs":       {`"*.example.test"`, `"../../sys"`, "certificates[1].domain"},
		"a path that climbs":         {`{"address"`, `{"path": "a/../../sys", "address"`, `path is "a/../../sys"`},
		"a mount with a query":       {`{"address"`, `{"mount": "kv?x", "address"`, `mount is "kv?x"`},
		"a relative directory":       {`{"address"`, `{"dir": "certs", "address"`, `dir is "certs"`},
		"an interval of no time":     {`{"address"`, `{"intervalSeconds": 0, "address"`, "intervalSeconds is 0"},
		"an interval that is text":   {`{"address"`, `{"intervalSeconds": "30", "address"`, "intervalSeconds is a string"},
		"an address without scheme":  {`https://`, ``, "expected https://host:port"},
		"an address with a password": {`https://`, `https://me:word@`, "expected https://host:port"},
		"no address":                 {`"address": "https://vault.example.test:8200", `, ``, "expected https://host:port"},
	} {
		t.Run(name, func(t *testing.T) {
			err := check(t, strings.Replace(wholeConfig, test.from, test.to, 1))
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if exit.Code(err) != exit.Usage || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "me:word") {
				t.Errorf("code %d: %v, want %q", exit.Code(err), err, test.says)
			}
		})
	}
}

func TestArguments(t *testing.T) {
	for says, test := range map[string]struct {
		arguments []string
		code      int
	}{
		"--config FILE is missing": {nil, exit.Usage},
		`"more"`:                   {[]string{"--config", "x", "more"}, exit.Usage},
		"colour":                   {[]string{"--colour"}, exit.Usage},
		"no such file":             {[]string{"--config", "/nowhere.json"}, exit.Retryable},
	} {
		if err := Run(test.arguments); exit.Code(err) != test.code || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: code %d: %v", test.arguments, exit.Code(err), err)
		}
	}
}

func TestAnAuthorityBesideAVaultOrInstead(t *testing.T) {
	const authority = `"acme": {"directories": ["https://ca.example.test/dir"], "peerPort": 1107, "certificates": [{"names": ["www.example.test"]}]}`
	const vault = `"address": "https://vault.test", "roleIdFile": "/r", "secretIdFile": "/s", "certificates": [{"host": "shop.example.test"}]`
	for name, test := range map[string]struct {
		text    string
		vault   bool
		says    string
		acmeDir string
	}{
		"instead":             {"{" + authority + "}", false, "", "/var/lib/pop/acme"},
		"beside":              {"{" + authority + "," + vault + "}", true, "", "/var/lib/pop/acme"},
		"half a vault":        {"{" + authority + `, "address": "https://vault.test"}`, true, "roleIdFile and secretIdFile", ""},
		"a mistake in it":     {`{"acme": {"directories": [], "peerPort": 1107, "certificates": [{"names": ["www.example.test"]}]}}`, false, "acme.directories", ""},
		"an unknown field":    {`{"acme": {"directory": "https://ca.example.test"}}`, false, "acme.directory", ""},
		"neither":             {`{}`, false, "address", ""},
		"mistakes of the two": {`{"acme": {}, "address": "https://vault.test"}`, true, "acme.peerPort is 0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "certs.json")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			config, err := readConfig(path)
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("says %v", err)
				}
				return
			}
			if err != nil || config.hasVault() != test.vault || config.ACME.Dir != test.acmeDir {
				t.Errorf("%+v: %v", config, err)
			}
		})
	}
}

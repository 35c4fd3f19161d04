package secrets

import (
	"strings"
	"testing"
)

func TestManifestErrorsHavePaths(t *testing.T) {
	const secret = `"name": "a", "key": "a", "sopsFile": "f", "mode": "0400"`
	one := func(fields string) string { return `{"secrets": [{` + fields + `}]}` }
	for name, test := range map[string]struct{ text, says string }{
		"not JSON":                   {`{`, "not JSON"},
		"two objects":                {`{}{}`, "expected one object, but there is more"},
		"a list":                     {`[]`, "it is a array"},
		"an unknown field":           {`{"secretMountPoint": "/x"}`, "unknown: secretMountPoint"},
		"an unknown field, deep":     {`{"templates": [{}, {"contents": ""}]}`, "unknown: templates[1].contents"},
		"an unknown field, logging":  {`{"logging": {"secretChange": true}}`, "unknown: logging.secretChange"},
		"another case":               {one(`"Name": "a"`), "unknown: secrets[0].Name"},
		"several at once":            {`{"a": 1, "secrets": [{"b": 2}]}`, "unknown: a, secrets[0].b"},
		"a wrong type":               {one(`"name": 1`), "secrets.name is a number, expected string"},
		"a mode that is a number":    {one(`"mode": 256`), "secrets.mode is a number, expected string"},
		"an invalid mode":            {one(secret + `, "mode": "u+r"`), `secrets[0].mode is "u+r"`},
		"a mode with setuid":         {one(secret + `, "mode": "4755"`), `secrets[0].mode is "4755"`},
		"no mode":                    {one(`"name": "a", "key": "a", "sopsFile": "f"`), `secrets[0].mode is ""`},
		"no key":                     {one(`"name": "a", "sopsFile": "f", "mode": "0400"`), `secrets[0].key is missing`},
		"an empty step in the key":   {one(secret + `, "key": "a//b"`), `secrets[0].key is "a//b"`},
		"no sops file":               {one(`"name": "a", "key": "a", "mode": "0400"`), "secrets[0].sopsFile is missing"},
		"an unknown format":          {one(secret + `, "format": "toml"`), `secrets[0].format is "toml": expected one of yaml`},
		"ini":                        {one(secret + `, "format": "ini"`), `expected one of yaml, json, dotenv, binary`},
		"no name":                    {one(secret + `, "name": ""`), `secrets[0].name is ""`},
		"a name that climbs":         {one(secret + `, "name": "../a"`), `secrets[0].name is "../a"`},
		"a name from the root":       {one(secret + `, "name": "/etc/passwd"`), `secrets[0].name`},
		"a name in templates' way":   {one(secret + `, "name": "rendered/a"`), `secrets[0].name is "rendered/a"`},
		"a name twice":               {`{"secrets": [{` + secret + `}, {` + secret + `}]}`, "secrets[1].name is \"a\": it conflicts with secrets[0]"},
		"a name that is a directory": {`{"secrets": [{` + secret + `}, {` + secret + `, "name": "a/b"}]}`, "it conflicts with secrets[0]"},
		"a path twice":               {`{"secrets": [{` + secret + `, "path": "/p"}, {` + secret + `, "name": "b", "path": "/p"}]}`, "secrets[0] has the same"},
		"a path that is relative":    {one(secret + `, "path": "p"`), "secrets[0].path is \"p\""},
		"units to restart":           {one(secret + `, "restartUnits": ["nginx.service"]`), "no units in a PoP"},
		"user mode":                  {`{"userMode": true}`, "userMode is not supported"},
		"a PGP home":                 {`{"gnupgHome": "/root/.gnupg"}`, "gnupgHome is not supported"},
		"PGP by RSA host keys":       {`{"sshKeyPaths": ["/etc/ssh/ssh_host_rsa_key"]}`, "sshKeyPaths is not supported"},
		"an age key file":            {`{"ageKeyFile": "/key.txt"}`, "ageKeyFile is not supported"},
		"fewer than no generations":  {`{"keepGenerations": -1}`, "keepGenerations is -1"},
		"a mount point in the link":  {`{"secretsMountPoint": "/run/s/d", "symlinkPath": "/run/s"}`, "one is inside the other"},
		"a relative mount point":     {`{"secretsMountPoint": "run"}`, `secretsMountPoint is "run"`},
		"a template's two texts":     {`{"templates": [{"name": "t", "mode": "0400", "content": "x", "file": "y"}]}`, "templates[0] needs either content or file"},
		"no placeholder":             {`{"secrets": [{` + secret + `}], "templates": [{"name": "t", "mode": "0400"}]}`, `"a" has no placeholder`},
		"a placeholder of nothing":   {`{"placeholderBySecretName": {"b": "<b>"}}`, `there is no secret "b"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseManifest([]byte(test.text), "/etc/pop")
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error is %v, want %q in it", err, test.says)
			}
		})
	}
}

func TestAllErrorsAreReportedAtOnce(t *testing.T) {
	_, err := parseManifest([]byte(`{"userMode": true, "keepGenerations": -1, "secrets": [{"name": "..", "mode": "x"}]}`), "/")
	if lines := strings.Count(err.Error(), "\n") + 1; lines != 6 {
		t.Errorf("%d mistakes:\n%v", lines, err)
	}
}

func TestDefaults(t *testing.T) {
	m, err := parseManifest([]byte(`{"secrets": [{"name": "a", "key": "a", "sopsFile": "f.yaml", "mode": "0400"}]}`), "/etc/pop")
	if err != nil {
		t.Fatal(err)
	}
	if m.SecretsMountPoint != "/run/secrets.d" || m.SymlinkPath != "/run/secrets" || *m.KeepGenerations != 1 ||
		m.AgeSSHKeyPaths[0] != "/var/lib/pop/identity/ssh_host_ed25519_key" || m.Secrets[0].SopsFile != "/etc/pop/f.yaml" || m.Secrets[0].Format != "yaml" {
		t.Errorf("%+v", m)
	}
}

package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestManifest(t *testing.T) {
	const blogCheck = `{"url":"http://127.0.0.1:9000/","everySeconds":10,"timeoutSeconds":3}`
	const whole = `{"hosts":["a.example.test"],"ports":{"nginxStatus":1103,"dns":1104,"health":1105},"checkTimeoutSeconds":5}`
	for name, test := range map[string]struct{ text, failure string }{
		"whole":                            {whole, ""},
		"a newline after":                  {whole + "\n", ""},
		"empty":                            {"", "EOF"},
		"half":                             {whole[:40], "unexpected EOF"},
		"a typo":                           {strings.Replace(whole, "hosts", "host", 1), "unknown: host"},
		"two objects":                      {whole + whole, "expected one object, but there is more"},
		"a port too high":                  {strings.Replace(whole, "1104", "65536", 1), "ports.dns is 65536"},
		"a port left out":                  {strings.Replace(whole, `"dns":1104,`, "", 1), "ports.dns is 0"},
		"a timeout of zero":                {strings.Replace(whole, `"checkTimeoutSeconds":5`, `"checkTimeoutSeconds":0`, 1), "checkTimeoutSeconds is 0"},
		"an expected component":            {strings.Replace(whole, `{"hosts"`, `{"expects":["certs","tailnet"],"hosts"`, 1), ""},
		"an unknown component":             {strings.Replace(whole, `{"hosts"`, `{"expects":["cert"],"hosts"`, 1), `expects has "cert", allowed values: tailnet, secrets, certs`},
		"luggage":                          {strings.Replace(whole, `{"hosts"`, `{"luggage":{"blog":`+blogCheck+`},"hosts"`, 1), ""},
		"a typo in luggage":                {strings.Replace(whole, `{"hosts"`, `{"luggage":{"blog":{"ulr":"http://127.0.0.1:1/"}},"hosts"`, 1), "unknown: luggage.blog.ulr"},
		"luggage without a check":          {strings.Replace(whole, `{"hosts"`, `{"luggage":{"blog":{"everySeconds":1,"timeoutSeconds":1}},"hosts"`, 1), "luggage.blog needs either url or command"},
		"luggage with an interval of zero": {strings.Replace(whole, `{"hosts"`, `{"luggage":{"blog":`+strings.Replace(blogCheck, "10", "0", 1)+`},"hosts"`, 1), "everySeconds and timeoutSeconds must be at least 1"},
		"a port that is text":              {strings.Replace(whole, "1104", `"1104"`, 1), "ports.dns is a string, expected int"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pop.json")
			if err := os.WriteFile(path, []byte(test.text), 0o644); err != nil {
				t.Fatal(err)
			}
			m, err := Read(path)
			if test.failure == "" {
				if err != nil || m.Hosts[0] != "a.example.test" || m.Ports.Health != 1105 {
					t.Errorf("%+v %v", m, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), test.failure) {
				t.Errorf("error is %v, want %q", err, test.failure)
			}
		})
	}
	if _, err := Read(filepath.Join(t.TempDir(), "nowhere")); !os.IsNotExist(err) {
		t.Errorf("error is %v", err)
	}
}

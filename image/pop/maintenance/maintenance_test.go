package maintenance

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestMaintenance(t *testing.T) {
	dir := t.TempDir()
	sites := Sites{Hosts: []string{"www.example.org", "api.example.org"}, PassThrough: []string{"git.example.org"}}
	set := func(words string) string {
		t.Helper()
		var out bytes.Buffer
		if err := Run(sites, dir, strings.Fields(words), time.Unix(0, 0), &out); err != nil {
			return err.Error()
		}
		return strings.TrimSpace(out.String())
	}
	for _, test := range []struct{ words, says, now string }{
		{"on www.example.org", `{"changed":true,"host":"www.example.org","maintenance":true}`, "www.example.org"},
		{"on www.example.org", `{"changed":false,"host":"www.example.org","maintenance":true}`, "www.example.org"},
		{"on api.example.org", `{"changed":true,"host":"api.example.org","maintenance":true}`, "api.example.org www.example.org"},
		{"off www.example.org", `{"changed":true,"host":"www.example.org","maintenance":false}`, "api.example.org"},
		{"off www.example.org", `{"changed":false,"host":"www.example.org","maintenance":false}`, "api.example.org"},
		{"on ../../etc/passwd", "maintenance: this image has no site ../../etc/passwd. Its sites: www.example.org, api.example.org", "api.example.org"},
		{"on git.example.org", "maintenance: TLS of git.example.org is passed through, so only its own server can show a page to visitors", "api.example.org"},
		{"away api.example.org", "maintenance: expected on or off, and a host", "api.example.org"},
		{"on", "maintenance: expected on or off, and a host", "api.example.org"},
	} {
		if says := set(test.words); says != test.says {
			t.Errorf("%s: %s", test.words, says)
		}
		if now := strings.Join(Active(sites.Hosts, dir), " "); now != test.now {
			t.Errorf("%s: now %q", test.words, now)
		}
	}
}

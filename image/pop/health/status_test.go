package health

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fly-pops/pop/manifest"
	"fly-pops/pop/selfsigned"
)

func TestOptionalComponents(t *testing.T) {
	const past, recent = "2026-11-24T09:00:00Z", "2026-11-24T11:59:30Z"
	for name, test := range map[string]struct {
		file, text string
		component  string
		want       component
	}{
		"secrets, set up":           {"secrets.json", `{"recipient":"ssh-ed25519 AAAA","at":"` + recent + `","generation":1}`, "secrets", component{ok, ""}},
		"secrets, sealed to others": {"secrets.json", `{"recipient":"ssh-ed25519 AAAA","error":"sealed to others"}`, "secrets", component{degraded, "sealed to others"}},
		"certs, at work":            {"certs/vault.json", `{"vault":{"reachable":true,"at":"` + recent + `"}}`, "certs", component{ok, ""}},
		"certs, vault away":         {"certs/vault.json", `{"vault":{"at":"` + past + `","error":"connection refused"}}`, "certs", component{degraded, "connection refused"}},
		"certs, silent":             {"certs/vault.json", `{"vault":{"reachable":true,"at":"` + past + `"}}`, "certs", component{degraded, "no status since " + past}},
		"certs, before its first":   {"certs/vault.json", `{"vault":{}}`, "certs", component{ok, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			h := popWith(t, fine)
			if err := os.MkdirAll(filepath.Dir(filepath.Join(h.run, test.file)), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, h, test.file, test.text)
			status, seen := get(t, h, "GET", "/healthz")
			if found, there := seen.Components[test.component]; status != 200 || !there || found != test.want {
				t.Errorf("%d, there %v: %+v, want %+v", status, there, found, test.want)
			}
		})
	}
}

func TestComponentsWithoutAStatus(t *testing.T) {
	for name, leave := range map[string]func(*health){
		"nothing":     func(*health) {},
		"half a file": func(h *health) { write(t, h, "secrets.json", `{"recip`) },
	} {
		t.Run(name, func(t *testing.T) {
			h := popWith(t, fine)
			leave(h)
			_, seen := get(t, h, "GET", "/healthz")
			for _, name := range manifest.OptionalComponents {
				if _, there := seen.Components[name]; there {
					t.Errorf("%s is there", name)
				}
			}
			h.manifest.Expects = manifest.OptionalComponents
			h.now = func() time.Time { return now.Add(time.Minute) }
			_, seen = get(t, h, "GET", "/healthz")
			for _, name := range manifest.OptionalComponents {
				if found := seen.Components[name]; found.Status != degraded || found.Reason != "no status reported" {
					t.Errorf("%s is %+v", name, found)
				}
			}
		})
	}
}

func TestTheRecipientIsReportedEvenIfNothingCanBeDecrypted(t *testing.T) {
	h := popWith(t, fine)
	write(t, h, "secrets.json", `{"recipient":"ssh-ed25519 AAAA","error":"sealed to others"}`)
	if _, seen := get(t, h, "GET", "/healthz"); seen.Recipient != "ssh-ed25519 AAAA" {
		t.Errorf("%+v", seen)
	}
}

func TestCertificatesOfBothSources(t *testing.T) {
	far, near := now.AddDate(0, 3, 0), now.Add(time.Hour)
	made := now.AddDate(0, 0, -1)
	boot := func(notAfter time.Time, failure string) string {
		return fmt.Sprintf(`[{"host":%q,"notBefore":%q,"notAfter":%q,"selfSigned":true,"error":%q}]`, host, made.Format(time.RFC3339), notAfter.Format(time.RFC3339), failure)
	}
	agent := func(notAfter time.Time, source, failure string) string {
		return fmt.Sprintf(`{"vault":{},"certificates":[{"host":%q,"domain":%q,"notBefore":%q,"notAfter":%q,"serial":"7f","source":%q,"error":%q}]}`,
			host, host, made.Format(time.RFC3339), notAfter.Format(time.RFC3339), source, failure)
	}
	for name, test := range map[string]struct {
		boot, agent string
		status      string
		says        string
		want        selfsigned.Status
	}{
		"the vault's in place of ours":     {boot(near, ""), agent(far, "vault", ""), ok, "", selfsigned.Status{Host: host, NotBefore: made, NotAfter: far, Source: "vault", Serial: "7f"}},
		"ours, read from the volume":       {boot(far, ""), agent(far, "volume", ""), ok, "", selfsigned.Status{Host: host, NotBefore: made, NotAfter: far, SelfSigned: true, Source: "volume", Serial: "7f"}},
		"the vault's is refused":           {boot(far, ""), agent(far, "vault", "does not belong"), degraded, "www.example.test: does not belong", selfsigned.Status{Host: host, NotBefore: made, NotAfter: far, Source: "vault", Serial: "7f", Error: "does not belong"}},
		"the vault's has an hour left":     {boot(far, ""), agent(near, "vault", ""), degraded, "expires at", selfsigned.Status{Host: host, NotBefore: made, NotAfter: near, Source: "vault", Serial: "7f"}},
		"what was wrong at boot is over":   {boot(time.Time{}, "no space"), agent(far, "vault", ""), ok, "", selfsigned.Status{Host: host, NotBefore: made, NotAfter: far, Source: "vault", Serial: "7f"}},
		"put aside, the vault not asked":   {boot(far, "cannot be used"), agent(far, "volume", ""), degraded, "www.example.test: cannot be used", selfsigned.Status{Host: host, NotBefore: made, NotAfter: far, SelfSigned: true, Source: "volume", Serial: "7f", Error: "cannot be used"}},
		"a host self-signed knows nothing": {`[]`, agent(far, "vault", ""), ok, "", selfsigned.Status{Host: host, NotBefore: made, NotAfter: far, Source: "vault", Serial: "7f"}},
		"nothing of ours can be read":      {`[{`, agent(far, "vault", ""), degraded, "unexpected end of JSON", selfsigned.Status{Host: host, NotBefore: made, NotAfter: far, Source: "vault", Serial: "7f"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := popWith(t, fine)
			write(t, h, "certs/status.json", test.boot)
			write(t, h, "certs/vault.json", test.agent)
			_, seen := get(t, h, "GET", "/healthz")
			if found := seen.Components["certificates"]; found.Status != test.status || !strings.Contains(found.Reason, test.says) {
				t.Errorf("component %+v", found)
			}
			found, err := json.Marshal(seen.Certificates)
			want, _ := json.Marshal([]selfsigned.Status{test.want})
			if err != nil || string(found) != string(want) {
				t.Errorf("certificates %s, want %s: %v", found, want, err)
			}
		})
	}
}

// A PoP without any certificate that browsers accept gets no visitors if one is to arrive. A PoP that has one, even for another host only, serves.
func TestWaitsForTheFirstCertificate(t *testing.T) {
	made, far := now.Format(time.RFC3339), now.AddDate(0, 3, 0).Format(time.RFC3339)
	boot := func(hosts map[string]bool) string {
		var all []string
		for _, host := range []string{"a.test", "b.test"} {
			all = append(all, fmt.Sprintf(`{"host":%q,"notBefore":%q,"notAfter":%q,"selfSigned":%v}`, host, made, far, hosts[host]))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	agent := func(source string) string {
		return fmt.Sprintf(`{"vault":{"error":"the vault does not answer"},"certificates":[{"host":"a.test","notBefore":%q,"notAfter":%q,"source":%q}]}`, made, far, source)
	}
	both, one := map[string]bool{"a.test": true, "b.test": true}, map[string]bool{"b.test": true}
	for name, test := range map[string]struct {
		boot, agent string
		expects     []string
		code        int
		says        string
	}{
		"new, the agent silent":              {boot(both), "", []string{"certs"}, 503, "a.test: only a self-signed certificate so far"},
		"new, the vault away":                {boot(both), agent("volume"), []string{"certs"}, 503, "b.test: only a self-signed"},
		"one host has the vault's":           {boot(both), agent("vault"), []string{"certs"}, 200, "b.test: only a self-signed"},
		"the other has one from before":      {boot(map[string]bool{"a.test": true}), agent("vault"), []string{"certs"}, 200, ""},
		"all from before, the vault away":    {boot(nil), agent("volume"), []string{"certs"}, 200, ""},
		"all from before, the agent silent":  {boot(nil), "", []string{"certs"}, 200, ""},
		"self-signed, as the stack wants it": {boot(both), "", nil, 200, ""},
		"one host new on a volume of before": {boot(one), agent("volume"), []string{"certs"}, 200, "b.test: only a self-signed"},
	} {
		t.Run(name, func(t *testing.T) {
			h := popWith(t, fine)
			h.manifest.Expects = test.expects
			write(t, h, "certs/status.json", test.boot)
			if test.agent != "" {
				write(t, h, "certs/vault.json", test.agent)
			}
			code, seen := get(t, h, "GET", "/healthz")
			want := ok
			if test.says != "" {
				want = degraded
			}
			if test.code == 503 {
				want = failing
			}
			if found := seen.Components["certificates"]; code != test.code || found.Status != want || !strings.Contains(found.Reason, test.says) {
				t.Errorf("%d %+v, want %s", code, found, want)
			}
		})
	}
}

// With an authority, a PoP that is held waits; a PoP that challenges must reach does not.
func TestWaitsForTheFirstCertificateOfAnAuthority(t *testing.T) {
	boot := fmt.Sprintf(`[{"host":"a.test","notBefore":%[1]q,"notAfter":%[2]q,"selfSigned":true},{"host":"b.test","notBefore":%[1]q,"notAfter":%[2]q,"selfSigned":true}]`,
		now.Format(time.RFC3339), now.AddDate(0, 3, 0).Format(time.RFC3339))
	status := func(held bool, certificates string) string {
		return fmt.Sprintf(`{"at":%q,"held":%v,"certificates":[%s]}`, now.Format(time.RFC3339), held, certificates)
	}
	given := fmt.Sprintf(`{"host":"a.test","notBefore":%q,"notAfter":%q,"serial":"7F"}`, now.Format(time.RFC3339), now.AddDate(0, 0, 6).Format(time.RFC3339))
	refused := `{"host":"a.test","error":"a.test resolves to 203.0.113.9, not to this edge (66.241.125.4): set its A record"}`
	for name, test := range map[string]struct {
		acme    string
		hosts   []string
		expects []string
		code    int
		want    string
		says    string
	}{
		"no status yet":                {"", []string{"a.test", "b.test"}, []string{"acme"}, 503, failing, "b.test: only a self-signed certificate so far, the authority's has not arrived yet"},
		"held":                         {status(true, refused), []string{"a.test", "b.test"}, []string{"acme"}, 503, failing, "a.test: only a self-signed certificate so far: a.test resolves to 203.0.113.9"},
		"DNS does not lead here yet":   {status(false, refused), []string{"a.test", "b.test"}, []string{"acme"}, 200, degraded, "set its A record"},
		"one has its certificate":      {status(true, given), []string{"a.test", "b.test"}, []string{"acme"}, 200, degraded, "b.test: only a self-signed"},
		"the other one's is the vault": {status(false, refused), []string{"a.test"}, []string{"acme", "certs"}, 503, failing, "b.test: only a self-signed certificate so far, the vault's has not arrived yet"},
	} {
		t.Run(name, func(t *testing.T) {
			h := popWith(t, fine)
			h.manifest.Expects, h.manifest.ACMEHosts = test.expects, test.hosts
			write(t, h, "certs/status.json", boot)
			if test.acme != "" {
				write(t, h, "certs/acme.json", test.acme)
			}
			code, seen := get(t, h, "GET", "/healthz")
			if found := seen.Components["certificates"]; code != test.code || found.Status != test.want || !strings.Contains(found.Reason, test.says) {
				t.Errorf("%d %+v", code, found)
			}
		})
	}
}

func TestTheComponentOfTheAuthority(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"all right":         {fmt.Sprintf(`{"at":%q}`, now.Format(time.RFC3339)), ""},
		"an obstacle":       {fmt.Sprintf(`{"at":%q,"error":"the clock here says 1970"}`, now.Format(time.RFC3339)), "the clock here says 1970"},
		"silent since then": {fmt.Sprintf(`{"at":%q}`, now.Add(-3*time.Hour).Format(time.RFC3339)), "no status since 2026-11-24T09:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			h := popWith(t, fine)
			write(t, h, "certs/status.json", "[]")
			write(t, h, "certs/acme.json", test.text)
			if _, seen := get(t, h, "GET", "/healthz"); seen.Components["acme"].Reason != test.want {
				t.Errorf("%+v", seen.Components["acme"])
			}
		})
	}
}

// tailscaled answers on a socket with the test's handler.
func tailscaled(t *testing.T, h *health, handler http.HandlerFunc) {
	t.Helper()
	// Not in the test's own directory: the path of a socket must be short.
	dir, err := os.MkdirTemp("", "ts")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h.tailscaled = filepath.Join(dir, "sock")
	listener, err := net.Listen("unix", h.tailscaled)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
}

func TestTailnet(t *testing.T) {
	says := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Host != "local-tailscaled.sock" || r.URL.Path != "/localapi/v0/status" {
				http.NotFound(w, r)
				return
			}
			fmt.Fprint(w, text)
		}
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		status  string
		says    string
	}{
		"at home":             {says(`{"BackendState":"Running","Self":{"Online":true},"Health":[]}`), ok, ""},
		"with a warning":      {says(`{"BackendState":"Running","Self":{"Online":true},"Health":["no DERP home"]}`), ok, ""},
		"not logged in":       {says(`{"BackendState":"NeedsLogin","Health":["You are logged out."]}`), degraded, `state "NeedsLogin": You are logged out.`},
		"out of contact":      {says(`{"BackendState":"Running","Self":{"Online":false},"Health":["not connected"]}`), degraded, "control server: not connected"},
		"a response of 500":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, degraded, "responded with 500"},
		"an invalid response": {says("hello"), degraded, "tailscaled's response"},
	} {
		t.Run(name, func(t *testing.T) {
			h := popWith(t, fine)
			tailscaled(t, h, test.handler)
			status, seen := get(t, h, "GET", "/healthz")
			if found := seen.Components["tailnet"]; status != 200 || found.Status != test.status || !strings.Contains(found.Reason, test.says) {
				t.Errorf("%d %+v", status, found)
			}
		})
	}
	t.Run("a socket without a listener", func(t *testing.T) {
		h := popWith(t, fine)
		h.tailscaled = filepath.Join(t.TempDir(), "sock")
		if err := os.WriteFile(h.tailscaled, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, seen := get(t, h, "GET", "/healthz"); seen.Components["tailnet"].Status != degraded {
			t.Errorf("%+v", seen.Components["tailnet"])
		}
	})
}

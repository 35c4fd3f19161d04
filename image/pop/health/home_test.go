package health

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"fly-pops/pop/tailnet"
)

// bootedPoP is a PoP with origins at home whose boot began this long ago, and a tailscaled in the given state.
func bootedPoP(t *testing.T, ago time.Duration, state string) *health {
	t.Helper()
	h := popWith(t, fine)
	h.home.isThere = true
	boot := now.Add(-ago)
	if err := os.Chtimes(filepath.Join(h.run, "name"), boot, boot); err != nil {
		t.Fatal(err)
	}
	tailscaled(t, h, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"BackendState":%q,"Self":{"Online":true},"Health":[]}`, state)
	})
	return h
}

var (
	reached = tailnet.Path{Origin: "http://web.tail1234.ts.net", Node: "web"}
	away    = tailnet.Path{Origin: "http://nas.tail1234.ts.net", Problem: "no answer"}
)

func TestAPoPWaitsForItsOriginsAfterABoot(t *testing.T) {
	for name, test := range map[string]struct {
		sinceBoot  time.Duration
		state      string
		paths      []tailnet.Path
		sincePaths time.Duration
		code       int
		component  component
	}{
		"before tailscaled has its state":   {2 * time.Second, "NoState", nil, 0, 503, component{failing, `tailscaled is in state "NoState"`}},
		"joined, nothing probed yet":        {5 * time.Second, "Running", nil, 0, 503, component{failing, "after the boot, waiting until nginx reaches the origins at home"}},
		"joined, none reached":              {5 * time.Second, "Running", []tailnet.Path{away}, 4 * time.Second, 503, component{failing, "origin http://nas.tail1234.ts.net: no answer"}},
		"one of two reached just now":       {9 * time.Second, "Running", []tailnet.Path{away, reached}, time.Second, 503, component{failing, "origin http://nas.tail1234.ts.net: no answer"}},
		"one of two reached":                {9 * time.Second, "Running", []tailnet.Path{away, reached}, nginxLag, 200, component{degraded, "origin http://nas.tail1234.ts.net: no answer"}},
		"all reached":                       {9 * time.Second, "Running", []tailnet.Path{reached}, nginxLag, 200, component{ok, ""}},
		"home is away for longer":           {lookForHomeFor, "NoState", nil, 0, 200, component{degraded, `tailscaled is in state "NoState"`}},
		"home is away, and joined":          {lookForHomeFor, "Running", []tailnet.Path{away}, 9 * time.Second, 200, component{degraded, "origin http://nas.tail1234.ts.net: no answer"}},
		"home went away after it was there": {10 * time.Second, "Starting", []tailnet.Path{reached}, 5 * time.Second, 200, component{degraded, `tailscaled is in state "Starting"`}},
		"the clock was set back":            {-time.Hour, "NoState", nil, 0, 200, component{degraded, `tailscaled is in state "NoState"`}},
	} {
		t.Run(name, func(t *testing.T) {
			h := bootedPoP(t, test.sinceBoot, test.state)
			h.now = func() time.Time { return now.Add(-test.sincePaths) }
			h.noteWayHome(test.paths)
			h.now = func() time.Time { return now }
			h.origins.last.Store(&test.paths)
			code, seen := get(t, h, "GET", "/healthz")
			if found := seen.Components["tailnet"]; code != test.code || found != test.component {
				t.Errorf("%d %+v", code, found)
			}
		})
	}
}

func TestBeforeTailscaledIsThere(t *testing.T) {
	h := bootedPoP(t, time.Second, "NoState")
	h.tailscaled = filepath.Join(t.TempDir(), "none")
	if code, seen := get(t, h, "GET", "/healthz"); code != 503 || seen.Components["tailnet"].Status != failing {
		t.Errorf("%d %+v", code, seen)
	}
}

func TestWithoutOriginsAtHomeNothingIsWaitedFor(t *testing.T) {
	h := bootedPoP(t, time.Second, "NoState")
	h.home.isThere = false
	if code, _ := get(t, h, "GET", "/healthz"); code != 200 {
		t.Error(code)
	}
}

func TestOriginsAtHome(t *testing.T) {
	wanted := &tailnet.Wanted{Domain: "tail1234.ts.net"}
	for origin, expected := range map[string]bool{
		"https://web.tail1234.ts.net:8443": true,
		"http://WEB.Tail1234.ts.net":       true,
		"tcp://100.101.102.103:22":         true,
		"http://192.168.1.10:8096":         true,
		"http://[fd7a:115c:a1e0::1]":       true,
		"https://www.example.org":          false,
		"http://203.0.113.7":               false,
		"http://[fdaa:0:1::3]:8080":        false, // Fly's private network
	} {
		if found := hasOriginsAtHome([]string{"https://public.example", origin}, wanted); found != expected {
			t.Errorf("%s: %v", origin, found)
		}
	}
	if hasOriginsAtHome([]string{"http://192.168.1.10"}, nil) {
		t.Error("without a tailnet")
	}
}

package health

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fly-pops/pop/luggage"
	"fly-pops/pop/manifest"
	"fly-pops/pop/probe"
	"fly-pops/pop/selfsigned"
)

const host = "www.example.test"

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// popWith returns a health with the test's nginx. Nothing listens on unbound's port.
func popWith(t *testing.T, nginx http.HandlerFunc) *health {
	t.Helper()
	server := httptest.NewServer(nginx)
	t.Cleanup(server.Close)
	m := &manifest.Manifest{Hosts: []string{host}, CheckTimeoutSeconds: 10}
	m.Ports.NginxStatus = int(netip.MustParseAddrPort(server.Listener.Addr().String()).Port())
	m.Ports.DNS = closedPort(t)
	h := newHealth(m, t.TempDir())
	h.now = func() time.Time { return now }
	h.volume = func() (volume, error) { return volume{sizeBytes: 3 << 30, freeBytes: 2 << 30}, nil }
	if err := os.Mkdir(filepath.Join(h.run, "certs"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, h, "name", "cdg-1\n")
	write(t, h, "volume", "")
	write(t, h, "certs/status.json", "[]")
	return h
}

func closedPort(t *testing.T) int {
	t.Helper()
	listener, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.LocalAddr().(*net.UDPAddr).Port
}

func write(t *testing.T, h *health, path, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.run, path), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, h *health, method, path string) (int, report) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	var seen report
	if w.Header().Get("Content-Type") == "application/json" {
		if err := json.Unmarshal(w.Body.Bytes(), &seen); err != nil {
			t.Fatal(err)
		}
	}
	return w.Code, seen
}

func fine(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

func TestADegradedPoPServes(t *testing.T) {
	h := popWith(t, fine)
	status, seen := get(t, h, "GET", "/healthz")
	if status != 200 || seen.Status != degraded || seen.Components["unbound"].Status != degraded || seen.Components["unbound"].Reason == "" {
		t.Errorf("%d %+v", status, seen)
	}
	if seen.Components["nginx"].Status != ok || seen.Pop != "cdg-1" {
		t.Errorf("%+v", seen)
	}
}

func TestWithoutNginxThePoPFails(t *testing.T) {
	for name, nginx := range map[string]http.HandlerFunc{
		"an error":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"no response": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			status, seen := get(t, popWith(t, nginx), "GET", "/healthz")
			if status != 503 || seen.Status != failing || seen.Components["nginx"].Reason == "" {
				t.Errorf("%d %+v", status, seen)
			}
		})
	}
}

func TestMethodsAndPaths(t *testing.T) {
	h := popWith(t, fine)
	for _, test := range []struct {
		method, path string
		status       int
	}{{"GET", "/", 404}, {"GET", "/healthz/x", 404}, {"HEAD", "/healthz", 200}, {"POST", "/healthz", 405}} {
		if status, _ := get(t, h, test.method, test.path); status != test.status {
			t.Errorf("%s %s is %d, want %d", test.method, test.path, status, test.status)
		}
	}
}

func TestManyCallersShareOneRound(t *testing.T) {
	asked := 0
	h := popWith(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			asked++
		}
		fine(w, r)
	})
	for range 5 {
		get(t, h, "GET", "/healthz")
	}
	if asked != 1 {
		t.Errorf("nginx was asked %d times", asked)
	}
	h.now = func() time.Time { return now.Add(freshFor) }
	get(t, h, "GET", "/healthz")
	if asked != 2 {
		t.Errorf("and later %d times", asked)
	}
}

func TestCertificates(t *testing.T) {
	for name, test := range map[string]struct {
		notAfter time.Time
		failure  string
		status   string
	}{
		"in time":    {now.Add(30 * 24 * time.Hour), "", ok},
		"near":       {now.Add(24 * time.Hour), "", degraded},
		"expired":    {now.Add(-time.Second), "", degraded},
		"missing":    {time.Time{}, "no space left on device", degraded},
		"both wrong": {now.Add(-time.Second), "no space left on device", degraded},
	} {
		t.Run(name, func(t *testing.T) {
			h := popWith(t, fine)
			text, err := json.Marshal([]selfsigned.Status{{Host: host, NotBefore: now.AddDate(0, 0, -60), NotAfter: test.notAfter, Error: test.failure}})
			if err != nil {
				t.Fatal(err)
			}
			write(t, h, "certs/status.json", string(text))
			status, seen := get(t, h, "GET", "/healthz")
			if status != 200 || seen.Components["certificates"].Status != test.status || len(seen.Certificates) != 1 {
				t.Errorf("%d %+v", status, seen)
			}
		})
	}
	for name, text := range map[string]string{"half-written": "[{", "of another shape": `{"a":1}`} {
		t.Run(name, func(t *testing.T) {
			h := popWith(t, fine)
			write(t, h, "certs/status.json", text)
			if status, seen := get(t, h, "GET", "/healthz"); status != 200 || seen.Components["certificates"].Status != degraded {
				t.Errorf("%d %+v", status, seen)
			}
		})
	}
}

func TestAClockThatJumpsBackDoesNotFreezeTheReport(t *testing.T) {
	asked := 0
	h := popWith(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			asked++
		}
		fine(w, r)
	})
	get(t, h, "GET", "/healthz")
	h.now = func() time.Time { return now.Add(-time.Hour) }
	get(t, h, "GET", "/healthz")
	if asked != 2 {
		t.Errorf("nginx was asked %d times", asked)
	}
}

func TestHealthIsPrintedWhateverItsStatus(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusServiceUnavailable} {
		h := popWith(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		port := int(netip.MustParseAddrPort(server.Listener.Addr().String()).Port())
		var out strings.Builder
		if err := probe.Health(t.Context(), port, "/healthz", &out); err != nil {
			t.Fatal(err)
		}
		var seen report
		if err := json.Unmarshal([]byte(out.String()), &seen); err != nil || seen.Pop != "cdg-1" {
			t.Errorf("nginx answers %d: %v, got %s", status, err, out.String())
		}
		out.Reset()
		if err := probe.Health(t.Context(), port, "/metrics", &out); err != nil || !strings.Contains(out.String(), `pop_info{pop="cdg-1"} 1`) {
			t.Errorf("nginx answers %d: %v, metrics %s", status, err, out.String())
		}
	}
	if err := probe.Health(t.Context(), closedPort(t), "/healthz", io.Discard); err == nil {
		t.Error("nothing listens: no error")
	}
}

func TestLuggageThatFailsMakesAPoPDegradedAndNeverFailing(t *testing.T) {
	h := popWith(t, fine)
	h.manifest.Luggage = map[string]luggage.Check{"blog": {URL: "http://127.0.0.1:1/", EverySeconds: 10, TimeoutSeconds: 1}}
	status, seen := get(t, h, "GET", "/healthz")
	if status != 200 || seen.Components["luggage-blog"] != (component{degraded, "no status reported"}) {
		t.Errorf("%d %+v", status, seen)
	}
	if err := os.MkdirAll(filepath.Join(h.run, "luggage", "blog"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.now = func() time.Time { return now.Add(freshFor) }
	write(t, h, "luggage/blog/status.json", fmt.Sprintf(`{"at":%q}`, now.Format(time.RFC3339)))
	if _, seen := get(t, h, "GET", "/healthz"); seen.Components["luggage-blog"] != (component{ok, ""}) {
		t.Errorf("%+v", seen)
	}
}

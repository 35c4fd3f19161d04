package main

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
)

// pop is a health whose nginx answers with a status of the test's; nobody is where unbound should be.
func popWith(t *testing.T, nginx http.HandlerFunc) *health {
	t.Helper()
	server := httptest.NewServer(nginx)
	t.Cleanup(server.Close)
	manifest := &Manifest{Hosts: []string{host}, CheckTimeoutSeconds: 10}
	manifest.Ports.NginxStatus = int(netip.MustParseAddrPort(server.Listener.Addr().String()).Port())
	manifest.Ports.DNS = closedPort(t)
	it := newHealth(manifest, t.TempDir())
	it.now = func() time.Time { return now }
	it.volume = func() (volume, error) { return volume{sizeBytes: 3 << 30, freeBytes: 2 << 30}, nil }
	if err := os.Mkdir(filepath.Join(it.run, "certs"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, it, "name", "cdg-1\n")
	write(t, it, "volume", "")
	write(t, it, "certs/status.json", "[]")
	return it
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

func write(t *testing.T, it *health, path, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(it.run, path), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, it *health, method, path string) (int, report) {
	t.Helper()
	answer := httptest.NewRecorder()
	it.ServeHTTP(answer, httptest.NewRequest(method, path, nil))
	var seen report
	if answer.Header().Get("Content-Type") == "application/json" {
		if err := json.Unmarshal(answer.Body.Bytes(), &seen); err != nil {
			t.Fatal(err)
		}
	}
	return answer.Code, seen
}

func fine(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, "ok") }

func TestDegradedIsNotDead(t *testing.T) {
	it := popWith(t, fine)
	status, seen := get(t, it, "GET", "/healthz")
	if status != 200 || seen.Status != degraded || seen.Components["unbound"].Status != degraded || seen.Components["unbound"].Reason == "" {
		t.Errorf("%d %+v", status, seen)
	}
	if seen.Components["nginx"].Status != ok || seen.Pop != "cdg-1" {
		t.Errorf("%+v", seen)
	}
}

func TestWithoutNginxItFails(t *testing.T) {
	for name, nginx := range map[string]http.HandlerFunc{
		"an error":  func(answer http.ResponseWriter, _ *http.Request) { answer.WriteHeader(500) },
		"no answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
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
	it := popWith(t, fine)
	for _, test := range []struct {
		method, path string
		status       int
	}{{"GET", "/", 404}, {"GET", "/healthz/x", 404}, {"HEAD", "/healthz", 200}, {"POST", "/healthz", 405}} {
		if status, _ := get(t, it, test.method, test.path); status != test.status {
			t.Errorf("%s %s is %d, want %d", test.method, test.path, status, test.status)
		}
	}
}

func TestManyCallersCostOneRoundOfQuestions(t *testing.T) {
	asked := 0
	it := popWith(t, func(answer http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/healthz" {
			asked++
		}
		fine(answer, request)
	})
	for range 5 {
		get(t, it, "GET", "/healthz")
	}
	if asked != 1 {
		t.Errorf("nginx was asked %d times", asked)
	}
	it.now = func() time.Time { return now.Add(freshFor) }
	get(t, it, "GET", "/healthz")
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
		"not there":  {time.Time{}, "no space left on device", degraded},
		"both wrong": {now.Add(-time.Second), "no space left on device", degraded},
	} {
		t.Run(name, func(t *testing.T) {
			it := popWith(t, fine)
			text, err := json.Marshal([]certificateStatus{{Host: host, NotBefore: now.AddDate(0, 0, -60), NotAfter: test.notAfter, Error: test.failure}})
			if err != nil {
				t.Fatal(err)
			}
			write(t, it, "certs/status.json", string(text))
			status, seen := get(t, it, "GET", "/healthz")
			if status != 200 || seen.Components["certificates"].Status != test.status || len(seen.Certificates) != 1 {
				t.Errorf("%d %+v", status, seen)
			}
		})
	}
	for name, text := range map[string]string{"half-written": "[{", "of another shape": `{"a":1}`} {
		t.Run(name, func(t *testing.T) {
			it := popWith(t, fine)
			write(t, it, "certs/status.json", text)
			if status, seen := get(t, it, "GET", "/healthz"); status != 200 || seen.Components["certificates"].Status != degraded {
				t.Errorf("%d %+v", status, seen)
			}
		})
	}
}

func TestAClockThatJumpsBackDoesNotFreezeTheAnswer(t *testing.T) {
	asked := 0
	it := popWith(t, func(answer http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/healthz" {
			asked++
		}
		fine(answer, request)
	})
	get(t, it, "GET", "/healthz")
	it.now = func() time.Time { return now.Add(-time.Hour) }
	get(t, it, "GET", "/healthz")
	if asked != 2 {
		t.Errorf("nginx was asked %d times", asked)
	}
}

func TestHealthIsAskedGoodOrBad(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusServiceUnavailable} {
		it := popWith(t, func(answer http.ResponseWriter, _ *http.Request) { answer.WriteHeader(status) })
		server := httptest.NewServer(it)
		t.Cleanup(server.Close)
		port := int(netip.MustParseAddrPort(server.Listener.Addr().String()).Port())
		var out strings.Builder
		if err := askHealth(t.Context(), port, "/healthz", &out); err != nil {
			t.Fatal(err)
		}
		var seen report
		if err := json.Unmarshal([]byte(out.String()), &seen); err != nil || seen.Pop != "cdg-1" {
			t.Errorf("nginx answers %d: %v, got %s", status, err, out.String())
		}
		out.Reset()
		if err := askHealth(t.Context(), port, "/metrics", &out); err != nil || !strings.Contains(out.String(), `pop_info{pop="cdg-1"} 1`) {
			t.Errorf("nginx answers %d: %v, metrics %s", status, err, out.String())
		}
	}
	if err := askHealth(t.Context(), closedPort(t), "/healthz", io.Discard); err == nil {
		t.Error("nobody listens: no error")
	}
}

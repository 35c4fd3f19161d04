package health

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"fly-pops/pop/manifest"
)

// hangs is a handler that does not answer before the test ends.
func hangs(t *testing.T) http.HandlerFunc {
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-ended:
		case <-r.Context().Done():
		}
	}
}

// silentResolver receives queries and never answers.
func silentResolver(t *testing.T) int {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return int(netip.MustParseAddrPort(socket.LocalAddr().String()).Port())
}

// hung is a health for which everything accepts connections and never answers, except for nginx if a handler is given.
func hung(t *testing.T, nginx http.HandlerFunc) *health {
	t.Helper()
	stuck := hangs(t)
	if nginx == nil {
		nginx = stuck
	}
	h := popWith(t, nginx)
	h.roundTimeout = 50 * time.Millisecond
	h.manifest.Ports.DNS = silentResolver(t)
	tailscaled(t, h, stuck)
	disk := make(chan struct{})
	t.Cleanup(func() { close(disk) })
	h.volume = func() (volume, error) {
		<-disk
		return volume{}, nil
	}
	return h
}

func TestAComponentThatHangsIsDegradedAndClientsGetResponses(t *testing.T) {
	const silence = "did not answer within 0.05 s"
	h := hung(t, fine)
	status, seen := get(t, h, "GET", "/healthz")
	if status != 200 || seen.Status != degraded || seen.Pop != "cdg-1" {
		t.Errorf("%d %+v", status, seen)
	}
	for _, name := range []string{"unbound", "tailnet", "volume"} {
		if seen.Components[name] != (component{degraded, silence}) {
			t.Errorf("%s is %+v", name, seen.Components[name])
		}
	}
	for _, name := range []string{"nginx", "certificates", "counts"} {
		if seen.Components[name].Status != ok {
			t.Errorf("%s is %+v", name, seen.Components[name])
		}
	}
}

func TestNginxThatHangsFails(t *testing.T) {
	h := hung(t, nil)
	status, seen := get(t, h, "GET", "/healthz")
	if status != 503 || seen.Status != failing || seen.Components["nginx"] != (component{failing, "did not answer within 0.05 s"}) {
		t.Errorf("%d %+v", status, seen)
	}
	wants(t, scrape(t, h), `pop_info{pop="cdg-1"} 1`, `pop_serving 0`, `pop_component_up{component="volume"} 0`, `pop_component_up{component="certificates"} 1`)
}

func TestAPipeInPlaceOfAStatusFileIsNoStatus(t *testing.T) {
	for _, path := range []string{"secrets.json", "certs/vault.json"} {
		t.Run(path, func(t *testing.T) {
			h := popWith(t, fine)
			h.manifest.Expects = []string{"secrets", "certs"}
			if err := syscall.Mkfifo(filepath.Join(h.run, path), 0o644); err != nil {
				t.Fatal(err)
			}
			_, seen := get(t, h, "GET", "/healthz")
			for _, name := range h.manifest.Expects {
				if seen.Components[name] != (component{degraded, "no status reported"}) {
					t.Errorf("%s is %+v", name, seen.Components[name])
				}
			}
		})
	}
	h := popWith(t, fine)
	if err := errors.Join(os.Remove(filepath.Join(h.run, "certs/status.json")), syscall.Mkfifo(filepath.Join(h.run, "certs/status.json"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, seen := get(t, h, "GET", "/healthz"); seen.Components["certificates"] != (component{degraded, "not a regular file"}) {
		t.Errorf("%+v", seen.Components["certificates"])
	}
}

// inFakeTime runs checks of the test's own with a fake clock.
func inFakeTime(t *testing.T, test func(t *testing.T, h *health)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &health{manifest: &manifest.Manifest{}, run: t.TempDir(), roundTimeout: 2500 * time.Millisecond, now: time.Now}
		test(t, h)
	})
}

func TestNoCallerWaitsLongerThanTheTimeout(t *testing.T) {
	inFakeTime(t, func(t *testing.T, h *health) {
		var asked atomic.Int32
		h.checks = []*check{{component: "unbound", fallback: degraded, run: func(ctx context.Context) update {
			asked.Add(1)
			<-ctx.Done()
			return setComponent("unbound", h.probedComponent(degraded, ctx.Err()))
		}}}
		const callers = 100
		var all sync.WaitGroup
		for at := range callers {
			all.Go(func() {
				time.Sleep(time.Duration(at) * 100 * time.Millisecond)
				arrived := time.Now()
				found := h.current()
				if waited := time.Since(arrived); waited > h.roundTimeout {
					t.Errorf("caller %d waited %s", at, waited)
				}
				if found.Components["unbound"] != (component{degraded, "did not answer within 2.5 s"}) {
					t.Errorf("caller %d got %+v", at, found.Components["unbound"])
				}
			})
		}
		all.Wait()
		// 10 seconds of callers; a round takes 2.5, and is fresh for one more.
		if asked.Load() != 3 {
			t.Errorf("unbound was probed %d times", asked.Load())
		}
	})
}

func TestResultsCountWhenAnotherCheckUsedUpTheTime(t *testing.T) {
	inFakeTime(t, func(t *testing.T, h *health) {
		h.checks = []*check{{component: "hung", fallback: degraded, run: func(ctx context.Context) update {
			<-ctx.Done()
			return nil
		}}}
		for at := range 50 {
			name := fmt.Sprint(at)
			h.checks = append(h.checks, &check{component: name, fallback: failing, run: func(context.Context) update { return setComponent(name, component{Status: ok}) }})
		}
		if found := h.current(); found.Status != degraded {
			t.Errorf("%+v", found.Components)
		}
	})
}

func TestACheckThatHangsInTheKernelIsNotRepeatedUntilItReturns(t *testing.T) {
	inFakeTime(t, func(t *testing.T, h *health) {
		var asked atomic.Int32
		disk := make(chan struct{})
		h.checks = []*check{{component: "volume", fallback: degraded, run: func(context.Context) update {
			asked.Add(1)
			<-disk
			return setComponent("volume", component{Status: ok})
		}}}
		for range 20 {
			if found := h.current(); found.Components["volume"].Reason != "did not answer within 2.5 s" {
				t.Errorf("%+v", found.Components)
			}
			time.Sleep(freshFor)
		}
		if asked.Load() != 1 {
			t.Errorf("ran %d times: each run hangs in a thread of its own", asked.Load())
		}
		close(disk)
		synctest.Wait()
		if found := h.current(); asked.Load() != 2 || found.Components["volume"].Status != ok {
			t.Errorf("after it returned, it had run %d times: %+v", asked.Load(), found.Components)
		}
	})
}

func TestSlowClientsDoNotKeepOthersOut(t *testing.T) {
	h := popWith(t, fine)
	server := httptest.NewUnstartedServer(nil)
	server.Config = h.server()
	// So that the limit of connections is what makes room.
	server.Config.ReadTimeout = 0
	server.Start()
	t.Cleanup(server.Close)
	begin := func() net.Conn {
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { connection.Close() })
		if _, err := io.WriteString(connection, "GET /healthz HTTP/1.1\r\nHost: pop\r\n"); err != nil {
			t.Fatal(err)
		}
		return connection
	}
	first := begin()
	for range maxConnections - 1 {
		begin()
	}
	newcomer := begin()
	if _, err := io.WriteString(newcomer, "\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(newcomer), nil)
	if err != nil || response.StatusCode != 200 {
		t.Fatalf("%+v %v", response, err)
	}
	response.Body.Close()
	// The oldest made room.
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("the oldest is still open")
	}
}

func TestAConnectionThatEndsMakesRoom(t *testing.T) {
	var closed atomic.Int32
	all := &connectionLimit{max: 2}
	connect := func() net.Conn { return &countedConnection{closed: &closed} }
	for range 10 {
		connection := connect()
		all.track(connection, http.StateNew)
		all.track(connection, http.StateActive)
		all.track(connection, http.StateClosed)
	}
	if closed.Load() != 0 || len(all.open) != 0 {
		t.Errorf("%d were closed, %d are kept", closed.Load(), len(all.open))
	}
	for range 5 {
		all.track(connect(), http.StateNew)
	}
	if closed.Load() != 3 || len(all.open) != 2 {
		t.Errorf("%d were closed, %d are kept", closed.Load(), len(all.open))
	}
}

type countedConnection struct {
	net.Conn
	closed *atomic.Int32
}

func (c *countedConnection) Close() error {
	c.closed.Add(1)
	return nil
}

package main

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
)

// hangs is an answer that never comes, until the test ends.
func hangs(t *testing.T) http.HandlerFunc {
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	return func(_ http.ResponseWriter, request *http.Request) {
		select {
		case <-ended:
		case <-request.Context().Done():
		}
	}
}

// silentResolver takes questions and answers none.
func silentResolver(t *testing.T) int {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return int(netip.MustParseAddrPort(socket.LocalAddr().String()).Port())
}

// hung has everything behind it accept and never answer, but nginx when that is given.
func hung(t *testing.T, nginx http.HandlerFunc) *health {
	t.Helper()
	stuck := hangs(t)
	if nginx == nil {
		nginx = stuck
	}
	h := popWith(t, nginx)
	h.patience = 50 * time.Millisecond
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

func TestWhatHangsIsDegradedAndEverybodyIsAnswered(t *testing.T) {
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

func TestAnNginxThatHangsFails(t *testing.T) {
	h := hung(t, nil)
	status, seen := get(t, h, "GET", "/healthz")
	if status != 503 || seen.Status != failing || seen.Components["nginx"] != (component{failing, "did not answer within 0.05 s"}) {
		t.Errorf("%d %+v", status, seen)
	}
	wants(t, scrape(t, h), `pop_info{pop="cdg-1"} 1`, `pop_serving 0`, `pop_component_up{component="volume"} 0`, `pop_component_up{component="certificates"} 1`)
}

func TestAPipeInAWordsPlaceIsNoWord(t *testing.T) {
	for _, path := range []string{"secrets.json", "certs/vault.json"} {
		t.Run(path, func(t *testing.T) {
			h := popWith(t, fine)
			h.manifest.Expects = []string{"secrets", "certs"}
			if err := syscall.Mkfifo(filepath.Join(h.run, path), 0o644); err != nil {
				t.Fatal(err)
			}
			_, seen := get(t, h, "GET", "/healthz")
			for _, name := range h.manifest.Expects {
				if seen.Components[name] != (component{degraded, "no word from it"}) {
					t.Errorf("%s is %+v", name, seen.Components[name])
				}
			}
		})
	}
	h := popWith(t, fine)
	if err := errors.Join(os.Remove(filepath.Join(h.run, "certs/status.json")), syscall.Mkfifo(filepath.Join(h.run, "certs/status.json"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, seen := get(t, h, "GET", "/healthz"); seen.Components["certificates"] != (component{degraded, "no plain file"}) {
		t.Errorf("%+v", seen.Components["certificates"])
	}
}

// inFakeTime asks questions of the test's own, in a bubble whose clock stands still while anybody works.
func inFakeTime(t *testing.T, test func(t *testing.T, h *health)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &health{manifest: &Manifest{}, run: t.TempDir(), patience: 2500 * time.Millisecond, now: time.Now}
		test(t, h)
	})
}

func TestHoweverManyAskNobodyWaitsLongerThanPatience(t *testing.T) {
	inFakeTime(t, func(t *testing.T, h *health) {
		var asked atomic.Int32
		h.questions = []*question{{component: "unbound", otherwise: degraded, ask: func(ctx context.Context) answer {
			asked.Add(1)
			<-ctx.Done()
			return is("unbound", h.asked(degraded, ctx.Err()))
		}}}
		const callers = 100
		var all sync.WaitGroup
		for at := range callers {
			all.Go(func() {
				time.Sleep(time.Duration(at) * 100 * time.Millisecond)
				arrived := time.Now()
				found := h.current()
				if waited := time.Since(arrived); waited > h.patience {
					t.Errorf("caller %d waited %s", at, waited)
				}
				if found.Components["unbound"] != (component{degraded, "did not answer within 2.5 s"}) {
					t.Errorf("caller %d was told %+v", at, found.Components["unbound"])
				}
			})
		}
		all.Wait()
		// 10 seconds of callers; a round takes 2.5, and is fresh for one more.
		if asked.Load() != 3 {
			t.Errorf("unbound was asked %d times", asked.Load())
		}
	})
}

func TestWhatAnsweredCountsWhenAnotherUsedUpTheTime(t *testing.T) {
	inFakeTime(t, func(t *testing.T, h *health) {
		h.questions = []*question{{component: "hung", otherwise: degraded, ask: func(ctx context.Context) answer {
			<-ctx.Done()
			return nil
		}}}
		for at := range 50 {
			name := fmt.Sprint(at)
			h.questions = append(h.questions, &question{component: name, otherwise: failing, ask: func(context.Context) answer { return is(name, component{Status: ok}) }})
		}
		if found := h.current(); found.Status != degraded {
			t.Errorf("%+v", found.Components)
		}
	})
}

func TestWhatHangsInTheKernelIsAskedOnceUntilItComesBack(t *testing.T) {
	inFakeTime(t, func(t *testing.T, h *health) {
		var asked atomic.Int32
		disk := make(chan struct{})
		h.questions = []*question{{component: "volume", otherwise: degraded, ask: func(context.Context) answer {
			asked.Add(1)
			<-disk
			return is("volume", component{Status: ok})
		}}}
		for range 20 {
			if found := h.current(); found.Components["volume"].Reason != "did not answer within 2.5 s" {
				t.Errorf("%+v", found.Components)
			}
			time.Sleep(freshFor)
		}
		if asked.Load() != 1 {
			t.Errorf("asked %d times: each hangs in a thread of its own", asked.Load())
		}
		close(disk)
		synctest.Wait()
		if found := h.current(); asked.Load() != 2 || found.Components["volume"].Status != ok {
			t.Errorf("after it came back, asked %d times: %+v", asked.Load(), found.Components)
		}
	})
}

func TestSlowClientsKeepNobodyOut(t *testing.T) {
	h := popWith(t, fine)
	server := httptest.NewUnstartedServer(nil)
	server.Config = h.server()
	// So that it is not the clock that makes room.
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
	for range mostConnections - 1 {
		begin()
	}
	newcomer := begin()
	if _, err := io.WriteString(newcomer, "\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(newcomer), nil)
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("%+v %v", answer, err)
	}
	answer.Body.Close()
	// The oldest made room.
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("the oldest is still open")
	}
}

func TestAConnectionThatEndsMakesRoom(t *testing.T) {
	var closed atomic.Int32
	all := &connections{most: 2}
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

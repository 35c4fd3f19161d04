package acme

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// fixedPeers are peers at addresses that a test sets.
type fixedPeers struct {
	addresses []netip.Addr
	err       error
	queries   atomic.Int64
}

func (p *fixedPeers) Addresses(context.Context) ([]netip.Addr, error) {
	p.queries.Add(1)
	return p.addresses, p.err
}

var (
	token    = strings.Repeat("t", 43)
	response = token + "." + strings.Repeat("k", 43)
)

// peer is another PoP on an address of loopback, at the port all of them have.
func peer(t *testing.T, address string, port int, handler http.Handler) (netip.Addr, int) {
	t.Helper()
	listener, err := net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr(address), uint16(port)).String())
	if err != nil {
		t.Skipf("%s cannot be listened on here: %v", address, err)
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return netip.MustParseAddr(address), listener.Addr().(*net.TCPAddr).Port
}

func serveRequest(handler http.Handler, method, path string) (int, string) {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(method, "http://www.example.test"+path, nil))
	return recorder.Code, recorder.Body.String()
}

func TestAChallengeOfThisPoP(t *testing.T) {
	held := newTokenStore()
	s := newChallengeServer(held, nil, netip.Addr{}, 1107)
	held.add(token, response)
	for _, handler := range []http.Handler{s.nginxHandler(), s.peerHandler()} {
		if code, text := serveRequest(handler, "GET", challengePath+token); code != 200 || text != response {
			t.Errorf("%d %q", code, text)
		}
	}
	if held.lastRequester(token) != nginxRequester {
		t.Error("nginx's door counts more than a peer's")
	}
	held.remove(token)
	if code, _ := serveRequest(s.nginxHandler(), "GET", challengePath+token); code != 404 {
		t.Errorf("%d once it is over", code)
	}
}

func TestWhatIsNoChallenge(t *testing.T) {
	peers := &fixedPeers{}
	s := newChallengeServer(newTokenStore(), peers, netip.Addr{}, 1107)
	for name, test := range map[string]struct {
		method, path string
		code         int
	}{
		"another path":        {"GET", "/", 404},
		"no token":            {"GET", challengePath, 404},
		"short":               {"GET", challengePath + "abc", 404},
		"long":                {"GET", challengePath + strings.Repeat("a", 129), 404},
		"a path in the token": {"GET", challengePath + strings.Repeat("a", 30) + "/b", 404},
		"a dot in the token":  {"GET", challengePath + strings.Repeat("a", 30) + ".b", 404},
		"a post":              {"POST", challengePath + token, 405},
	} {
		t.Run(name, func(t *testing.T) {
			if code, _ := serveRequest(s.nginxHandler(), test.method, test.path); code != test.code {
				t.Errorf("%d", code)
			}
		})
	}
	if peers.queries.Load() != 0 {
		t.Error("peers are asked for what has not the form of a token")
	}
}

func TestAPeersChallenge(t *testing.T) {
	held := newTokenStore()
	held.add(token, response)
	theirs := newChallengeServer(held, &fixedPeers{}, netip.Addr{}, 0)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	address, port := peer(t, "127.0.0.2", 0, theirs.peerHandler())
	hanging, _ := peer(t, "127.0.0.3", port, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	wrong, _ := peer(t, "127.0.0.4", port, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<script>planted</script>")
	}))
	endless, _ := peer(t, "127.0.0.5", port, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, token+"."+strings.Repeat("k", 1<<20))
	}))
	unused := netip.MustParseAddr("127.0.0.6")
	own := netip.MustParseAddr("127.0.0.7")

	s := newChallengeServer(newTokenStore(), &fixedPeers{addresses: []netip.Addr{own, hanging, wrong, endless, unused, address}}, own, port)
	if code, text := serveRequest(s.nginxHandler(), "GET", challengePath+token); code != 200 || text != response {
		t.Errorf("%d %q", code, text)
	}
	if held.lastRequester(token) != peerRequester {
		t.Error("the peer does not know that it was a peer's question")
	}
	held.remove(token)
	s.peers = &fixedPeers{addresses: []netip.Addr{wrong, endless, unused, address}}
	if code, text := serveRequest(s.nginxHandler(), "GET", challengePath+token); code != 404 || strings.Contains(text, "planted") {
		t.Errorf("%d %q", code, text)
	}
}

func TestAPeerNeverForwardsARequest(t *testing.T) {
	peers := &fixedPeers{addresses: []netip.Addr{netip.MustParseAddr("127.0.0.2")}}
	s := newChallengeServer(newTokenStore(), peers, netip.Addr{}, 1107)
	if code, _ := serveRequest(s.peerHandler(), "GET", challengePath+token); code != 404 || peers.queries.Load() != 0 {
		t.Errorf("%d, peers looked up %d times", code, peers.queries.Load())
	}
}

func TestWithoutPeersOrWithoutTheirAddresses(t *testing.T) {
	for name, peers := range map[string]Peers{"none": nil, "no answer from DNS": &fixedPeers{err: errors.New("planted")}, "alone": &fixedPeers{}} {
		t.Run(name, func(t *testing.T) {
			s := newChallengeServer(newTokenStore(), peers, netip.Addr{}, 1107)
			if code, text := serveRequest(s.nginxHandler(), "GET", challengePath+token); code != 404 || strings.Contains(text, "planted") {
				t.Errorf("%d %q", code, text)
			}
		})
	}
}

// Peers get no more requests than the limits, whatever visitors send.
func TestAFloodOfTokensIsBounded(t *testing.T) {
	var asked atomic.Int64
	release := make(chan struct{})
	address, port := peer(t, "127.0.0.2", 0, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-release
		http.NotFound(w, r)
	}))
	s := newChallengeServer(newTokenStore(), &fixedPeers{addresses: []netip.Addr{address}}, netip.Addr{}, port)
	if s.limit.Limit() != peerRate || s.limit.Burst() != peerBurst {
		t.Errorf("%v a second, %d at once", s.limit.Limit(), s.limit.Burst())
	}
	s.timeout = time.Minute

	// So many at a time: the others are answered while those wait.
	s.limit = rate.NewLimiter(rate.Inf, 0)
	const flood = 500
	answered := make(chan int, flood)
	for range flood {
		go func() {
			code, _ := serveRequest(s.nginxHandler(), "GET", challengePath+randomToken())
			answered <- code
		}()
	}
	for range flood - maxPeerQuestions {
		if code := <-answered; code != 404 {
			t.Errorf("%d", code)
		}
	}
	close(release)
	for range maxPeerQuestions {
		<-answered
	}
	if asked.Load() > maxPeerQuestions {
		t.Errorf("asked %d times at once", asked.Load())
	}

	// So many a second: here none come back.
	asked.Store(0)
	s.limit = rate.NewLimiter(0, peerBurst)
	for range 2 * peerBurst {
		serveRequest(s.nginxHandler(), "GET", challengePath+randomToken())
	}
	if asked.Load() != peerBurst {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestSocketAndPrivatePort(t *testing.T) {
	held := newTokenStore()
	held.add(token, response)
	own := netip.MustParseAddr("127.0.0.8")
	port := 0
	if listener, err := net.Listen("tcp", "127.0.0.8:0"); err == nil {
		port = listener.Addr().(*net.TCPAddr).Port
		listener.Close()
	}
	s := newChallengeServer(held, nil, own, port)
	socket := filepath.Join(t.TempDir(), "socket")
	ctx, stop := context.WithCancel(t.Context())
	for range 2 { // The second time one of a process that was killed is there.
		s = newChallengeServer(held, nil, own, port)
		for range 2 { // What listens already does so still.
			if err := s.listen(ctx, socket); err != nil {
				t.Fatal(err)
			}
		}
		if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o660 {
			t.Errorf("%v: %v", info, err)
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}}
		response, err := client.Get("http://www.example.test" + challengePath + token)
		if err != nil || response.StatusCode != 200 {
			t.Fatalf("%v: %v", response, err)
		}
		response.Body.Close()
		response, err = http.Get("http://" + netip.AddrPortFrom(own, uint16(port)).String() + challengePath + token)
		if err != nil || response.StatusCode != 200 {
			t.Fatalf("%v: %v", response, err)
		}
		response.Body.Close()
		stop()
		ctx, stop = context.WithCancel(t.Context())
		for tries := 0; tries < 500; tries++ { // until the port is free again
			if listener, err := net.Listen("tcp", netip.AddrPortFrom(own, uint16(port)).String()); err == nil {
				listener.Close()
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		_ = os.Remove(socket)
		if err := os.WriteFile(socket, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := newChallengeServer(held, nil, netip.MustParseAddr("192.0.2.1"), 1107).listen(t.Context(), filepath.Join(t.TempDir(), "none", "socket")); err == nil ||
		strings.Count(err.Error(), "cannot listen for challenges") != 2 {
		t.Errorf("says %v", err)
	}
}

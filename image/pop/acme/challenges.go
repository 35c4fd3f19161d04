package acme

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// Timeout of each read and write on connections from nginx and other PoPs.
const serverTimeout = 8 * time.Second

// challengeServer responds to challenge requests of authorities: from its own tokens, or else by asking the other PoPs.
type challengeServer struct {
	tokens *tokenStore
	// nil: there are no other PoPs.
	peers      Peers
	ownAddress netip.Addr
	port       int

	// Addresses that it listens on already.
	listening map[string]bool

	// Returns the encrypted certificate for another PoP's request. "": none. nil: sharing is off.
	shared func(request string) string

	limit *rate.Limiter
	slots chan struct{}
	// For all peers together.
	timeout time.Duration
	client  *http.Client
}

func newChallengeServer(tokens *tokenStore, peers Peers, own netip.Addr, port int) *challengeServer {
	return &challengeServer{
		tokens: tokens, peers: peers, ownAddress: own, port: port, listening: map[string]bool{},
		limit: rate.NewLimiter(peerRate, peerBurst), slots: make(chan struct{}, maxPeerQuestions), timeout: peerTimeout,
		client: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 4 << 10},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// nginxHandler responds to requests that reached this PoP from the internet.
func (s *challengeServer) nginxHandler() http.Handler {
	return challengeHandler(func(ctx context.Context, token string) string {
		if response := s.tokens.response(token, nginxRequester); response != "" {
			return response
		}
		return s.queryPeers(ctx, token)
	})
}

// peerHandler responds to other PoPs from the tokens held here. It never forwards a request, so there is one hop at most.
func (s *challengeServer) peerHandler() http.Handler {
	challenge := challengeHandler(func(_ context.Context, token string) string { return s.tokens.response(token, peerRequester) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sealed, isShared := strings.CutPrefix(r.URL.Path, sharePath)
		if isShared && r.Method == http.MethodGet && s.shared != nil {
			if text := s.shared(sealed); text != "" {
				w.Header().Set("Cache-Control", "no-store")
				_, _ = io.WriteString(w, text)
				return
			}
		}
		challenge.ServeHTTP(w, r)
	})
}

func challengeHandler(find func(context.Context, string) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, found := strings.CutPrefix(r.URL.Path, challengePath)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "GET or HEAD", http.StatusMethodNotAllowed)
			return
		}
		text := ""
		if found && tokenPattern.MatchString(token) {
			text = find(r.Context(), token)
		}
		w.Header().Set("Cache-Control", "no-store")
		if text == "" {
			http.Error(w, "no such challenge", http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = io.WriteString(w, text) // The client may be gone.
	})
}

// listen serves until ctx is done. It reports addresses that it cannot listen on and tries them again at the next call: a private address may come up late.
func (s *challengeServer) listen(ctx context.Context, socket string) error {
	var failures []error
	listen := func(network, address string, handler http.Handler) {
		if s.listening[address] {
			return
		}
		if network == "unix" {
			_ = os.Remove(address) // Left by a process that was killed.
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, network, address)
		if err == nil && network == "unix" {
			// nginx is in the group of the directory.
			err = os.Chmod(address, 0o660)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("cannot listen for challenges: %w", err))
			return
		}
		s.listening[address] = true
		server := &http.Server{
			Handler: handler, ReadTimeout: serverTimeout, WriteTimeout: serverTimeout, IdleTimeout: serverTimeout, MaxHeaderBytes: 16 << 10,
		}
		context.AfterFunc(ctx, func() { _ = server.Close() })
		go func() { _ = server.Serve(listener) }()
	}
	listen("unix", socket, s.nginxHandler())
	if s.ownAddress.IsValid() {
		listen("tcp", netip.AddrPortFrom(s.ownAddress, uint16(s.port)).String(), s.peerHandler())
	}
	return errors.Join(failures...)
}

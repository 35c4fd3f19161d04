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

const (
	// What visitors may make this PoP ask its peers, whatever they send: so many tokens a second, and at a time.
	peerRate, peerBurst, peerQuestions = 20, 40, 16
	// More machines than that are not asked.
	mostPeers    = 64
	peerPatience = 2 * time.Second
	// So many connections of nginx or of peers at a time.
	serverPatience = 5 * time.Second
)

// Peers knows the app's other machines.
type Peers interface {
	// Addresses of their private network, this machine's own perhaps among them.
	Addresses(ctx context.Context) ([]netip.Addr, error)
}

// challenges answers authorities: those this PoP has tokens of, and with the help of its peers those of theirs.
type challenges struct {
	tokens *tokens
	// nil: there are none.
	peers Peers
	own   netip.Addr
	port  int

	// Where it listens already.
	open map[string]bool

	limit *rate.Limiter
	slots chan struct{}
	// With all peers together.
	patience time.Duration
	ask      *http.Client
}

func newChallenges(held *tokens, peers Peers, own netip.Addr, port int) *challenges {
	return &challenges{
		tokens: held, peers: peers, own: own, port: port, open: map[string]bool{},
		limit: rate.NewLimiter(peerRate, peerBurst), slots: make(chan struct{}, peerQuestions), patience: peerPatience,
		ask: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 4 << 10},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// forNginx answers what reached this PoP from outside.
func (it *challenges) forNginx() http.Handler {
	return handler(func(ctx context.Context, token string) string {
		if answer := it.tokens.answer(token, byNginx); answer != "" {
			return answer
		}
		return it.askPeers(ctx, token)
	})
}

// forPeers answers with what is held here. It never asks on: a question goes one step and no further.
func (it *challenges) forPeers() http.Handler {
	return handler(func(_ context.Context, token string) string { return it.tokens.answer(token, byPeer) })
}

func handler(find func(context.Context, string) string) http.Handler {
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		token, found := strings.CutPrefix(request.URL.Path, challengePath)
		if request.Method != http.MethodGet && request.Method != http.MethodHead {
			answer.Header().Set("Allow", "GET, HEAD")
			http.Error(answer, "GET or HEAD", http.StatusMethodNotAllowed)
			return
		}
		text := ""
		if found && tokenForm.MatchString(token) {
			text = find(request.Context(), token)
		}
		answer.Header().Set("Cache-Control", "no-store")
		if text == "" {
			http.Error(answer, "no such challenge", http.StatusNotFound)
			return
		}
		answer.Header().Set("Content-Type", "application/octet-stream")
		_, _ = io.WriteString(answer, text) // Whoever asked may be gone.
	})
}

// askPeers asks all at once; the first good answer wins. "": nobody has it, or too much is asked.
func (it *challenges) askPeers(ctx context.Context, token string) string {
	if it.peers == nil || !it.limit.Allow() {
		return ""
	}
	select {
	case it.slots <- struct{}{}:
		defer func() { <-it.slots }()
	default:
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, it.patience)
	defer cancel()
	addresses, err := it.peers.Addresses(ctx)
	if err != nil {
		return ""
	}
	answers, asked := make(chan string, mostPeers), 0
	for _, address := range addresses {
		if address == it.own || asked == mostPeers {
			continue
		}
		asked++
		go func() { answers <- it.askPeer(ctx, address, token) }()
	}
	for range asked {
		if answer := <-answers; answer != "" {
			return answer
		}
	}
	return ""
}

func (it *challenges) askPeer(ctx context.Context, address netip.Addr, token string) string {
	url := fmt.Sprintf("http://%s%s%s", netip.AddrPortFrom(address, uint16(it.port)), challengePath, token)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return ""
	}
	answer, err := it.ask.Do(request)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, longestAnswer+1))
	if err != nil || answer.StatusCode != http.StatusOK || !isAnswerTo(token, string(text)) {
		return ""
	}
	return string(text)
}

// serve until ctx is done. What cannot listen is told, and tried again by the next call: a private address may come up late.
func (it *challenges) serve(ctx context.Context, socket string) error {
	var failures []error
	listen := func(network, address string, handler http.Handler) {
		if it.open[address] {
			return
		}
		if network == "unix" {
			_ = os.Remove(address) // Of a process that was killed.
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, network, address)
		if err == nil && network == "unix" {
			// nginx is of the group the folder gives it.
			err = os.Chmod(address, 0o660)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("challenges cannot be answered: %w", err))
			return
		}
		it.open[address] = true
		server := &http.Server{
			Handler: handler, ReadTimeout: serverPatience, WriteTimeout: serverPatience, IdleTimeout: serverPatience, MaxHeaderBytes: 16 << 10,
		}
		context.AfterFunc(ctx, func() { _ = server.Close() })
		go func() { _ = server.Serve(listener) }()
	}
	listen("unix", socket, it.forNginx())
	if it.own.IsValid() {
		listen("tcp", netip.AddrPortFrom(it.own, uint16(it.port)).String(), it.forPeers())
	}
	return errors.Join(failures...)
}

package acme

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"time"
)

const (
	// What visitors can make this PoP ask of its peers, whatever they send: tokens a second, at once, and in progress.
	peerRate, peerBurst, maxPeerQuestions = 20, 40, 16
	// More machines than that are not asked.
	maxPeers = 64
	// All peers together.
	peerTimeout = 2 * time.Second
)

// Peers knows the app's other machines.
type Peers interface {
	// Addresses of their private network, this machine's own perhaps among them.
	Addresses(ctx context.Context) ([]netip.Addr, error)
}

// queryPeers asks all peers at once; the first good answer wins. "": none has it, or too much is asked.
func (s *challengeServer) queryPeers(ctx context.Context, token string) string {
	if s.peers == nil || !s.limit.Allow() {
		return ""
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	addresses, err := s.peers.Addresses(ctx)
	if err != nil {
		return ""
	}
	answers, asked := make(chan string, maxPeers), 0
	for _, address := range addresses {
		if address == s.ownAddress || asked == maxPeers {
			continue
		}
		asked++
		go func() { answers <- s.queryPeer(ctx, address, token) }()
	}
	for range asked {
		if answer := <-answers; answer != "" {
			return answer
		}
	}
	return ""
}

func (s *challengeServer) queryPeer(ctx context.Context, address netip.Addr, token string) string {
	url := fmt.Sprintf("http://%s%s%s", netip.AddrPortFrom(address, uint16(s.port)), challengePath, token)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return ""
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxKeyAuthorization+1))
	if err != nil || answer.StatusCode != http.StatusOK || !isKeyAuthorization(token, string(text)) {
		return ""
	}
	return string(text)
}

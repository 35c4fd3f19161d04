package acme

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

const (
	// Limits of what visitors can make this PoP ask its peers: tokens per second, burst, and in progress.
	peerRate, peerBurst, maxPeerQuestions = 20, 40, 16
	// At most that many machines are asked.
	maxPeers = 64
	// For all peers together. A busy PoP may take some seconds, and an authority waits about ten (Boulder's HTTP-01 timeout).
	peerTimeout = 6 * time.Second
)

// Peers finds the app's other machines.
type Peers interface {
	// Addresses in the private network, possibly including this machine's own.
	Addresses(ctx context.Context) ([]netip.Addr, error)
}

// queryPeers asks all peers at once and returns the first good response. "": no peer has one, or a limit is reached.
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
	addresses, err := s.others(ctx)
	if err != nil {
		return ""
	}
	responses := make(chan string, maxPeers)
	for _, address := range addresses {
		go func() { responses <- s.queryPeer(ctx, address, token) }()
	}
	for range addresses {
		if response := <-responses; response != "" {
			return response
		}
	}
	return ""
}

// others are the addresses of the app's other machines, at most maxPeers.
func (s *challengeServer) others(ctx context.Context) ([]netip.Addr, error) {
	addresses, err := s.peers.Addresses(ctx)
	others := slices.DeleteFunc(slices.Clone(addresses), func(address netip.Addr) bool { return address == s.ownAddress })
	return others[:min(len(others), maxPeers)], err
}

func (s *challengeServer) queryPeer(ctx context.Context, address netip.Addr, token string) string {
	text, err := s.fetch(ctx, address, challengePath+token, maxKeyAuthorization+1)
	if err != nil || !isKeyAuthorization(token, text) {
		return ""
	}
	return text
}

// fetch returns the first maxBytes of a PoP's response. "": its status is not 200.
func (s *challengeServer) fetch(ctx context.Context, address netip.Addr, path string, maxBytes int64) (string, error) {
	response, err := s.get(ctx, address, path)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxBytes))
	if err != nil || response.StatusCode != http.StatusOK {
		return "", err
	}
	return string(text), nil
}

func (s *challengeServer) get(ctx context.Context, address netip.Addr, path string) (*http.Response, error) {
	url := fmt.Sprintf("http://%s%s", netip.AddrPortFrom(address, uint16(s.port)), path)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return s.client.Do(request)
}

// checkPeers returns an error for the first PoP that does not respond to challenges: an authority whose request reached it would get 502 or 504. nil: all
// respond, or there are no others.
func (s *challengeServer) checkPeers(ctx context.Context) error {
	if s.peers == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	addresses, err := s.others(ctx)
	if err != nil {
		return nil // The check of the names shows whether this matters.
	}
	token, _ := newProbe()
	failures := make(chan error, maxPeers)
	for _, address := range addresses {
		go func() {
			// A random token: 404 is a response.
			response, err := s.get(ctx, address, challengePath+token)
			if err != nil {
				failures <- unreadyError{fmt.Errorf("the PoP at %s does not answer challenges: %w", address, shortReason(err, s.timeout))}
				return
			}
			failures <- response.Body.Close()
		}()
	}
	var first error
	for range addresses {
		if err := <-failures; first == nil {
			first = err
		}
	}
	return first
}

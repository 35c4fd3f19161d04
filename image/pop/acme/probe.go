package acme

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

const (
	probeTimeout = 10 * time.Second
	// Addresses of a name that are tried. An authority connects to one of them.
	maxAddresses = 4
)

// probe connects like an authority: to port 80 of each address, whichever PoP accepts the connection.
func (c *nameChecker) probe(ctx context.Context, name string, addresses []netip.Addr) (Reach, error) {
	token, response := newProbe()
	c.tokens.add(token, response)
	defer c.tokens.remove(token)
	reached := 0
	for _, address := range addresses {
		err := c.fetch(ctx, name, address, token, response)
		// The machine may have no IPv6 or no IPv4, which says nothing about the name.
		if errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) {
			continue
		}
		if unready, is := errors.AsType[unreadyError](err); is {
			return reachUnready, unready
		}
		if err != nil {
			return reachUnanswered, err
		}
		reached++
	}
	if reached == 0 {
		return reachUnknown, fmt.Errorf("port 80 of %s cannot be reached from here: there is no route to %s", name, joinAddresses(addresses))
	}
	if c.tokens.lastRequester(token) == peerRequester {
		return reachViaPeer, nil
	}
	return reachDirect, nil
}

func (c *nameChecker) fetch(ctx context.Context, name string, address netip.Addr, token, wanted string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 16 << 10,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return c.dial(ctx, network, netip.AddrPortFrom(address, 80).String())
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+name+challengePath+token, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("port 80 of %s (%s) does not answer: %w. An authority proves the name there", name, address, shortReason(err, probeTimeout))
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxKeyAuthorization+1))
	switch {
	case err != nil:
		return fmt.Errorf("port 80 of %s (%s) ended its response early: %w", name, address, err)
	case response.Header.Get(popHeader) != "" && slices.Contains(unreadyStatuses, response.StatusCode):
		return unready(name, address, response)
	case response.StatusCode != http.StatusOK || string(text) != wanted:
		return fmt.Errorf("port 80 of %s (%s) is answered by something else with %d: requests for http://%s%s must reach this app's PoPs unchanged",
			name, address, response.StatusCode, name, challengePath)
	}
	return nil
}

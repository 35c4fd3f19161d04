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
	"strings"
	"syscall"
	"time"
)

// Before an authority is bothered each name is looked at as the world sees it: a validation that fails counts against the name at the authority.

const (
	probePatience = 10 * time.Second
	// Addresses of a name that are tried; an authority takes one of them.
	mostAddresses = 4
)

// Reach is where a name leads, as far as a look can tell.
type Reach int

const (
	// This PoP cannot tell.
	unknown Reach = iota
	// Not to this edge.
	elsewhere
	// To an address where nobody answers as one of our PoPs would.
	unanswered
	// To this PoP.
	direct
	// To another PoP of the app, which asked this one.
	viaPeer
)

// looker looks at names.
type looker struct {
	tokens *tokens
	// The app's addresses; empty: not known.
	edge []netip.Addr
	// Whether a name's addresses are what the world sees.
	isPrivate func(name string) bool
	lookup    func(ctx context.Context, network, name string) ([]netip.Addr, error)
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
}

// look says where a name leads, and what keeps an authority from reaching this PoP by it.
func (it *looker) look(ctx context.Context, name string) (Reach, error) {
	addresses, reach, err := it.resolve(ctx, name)
	if err != nil {
		return reach, err
	}
	return it.probe(ctx, name, addresses)
}

func (it *looker) resolve(ctx context.Context, name string) ([]netip.Addr, Reach, error) {
	if it.isPrivate(name) {
		if len(it.edge) == 0 {
			return nil, unknown, fmt.Errorf("%s is in a zone of dns.forward, so what the world sees of it cannot be asked here, and the addresses of this edge are not known", name)
		}
		return it.edge, unknown, nil
	}
	// With its final dot no search list applies.
	found, err := it.lookup(ctx, "ip", name+".")
	if err != nil {
		if missing, is := errors.AsType[*net.DNSError](err); is && missing.IsNotFound {
			return nil, elsewhere, fmt.Errorf("%s does not resolve: set its %s", name, records(it.edge))
		}
		return nil, unknown, fmt.Errorf("%s cannot be resolved: %w", name, dnsReason(err))
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	if len(it.edge) > 0 {
		if err := misdirected(name, found, it.edge); err != nil {
			return nil, elsewhere, err
		}
	}
	return found[:min(len(found), mostAddresses)], unknown, nil
}

// misdirected names the first address that is not the edge's: an authority may take any of them.
func misdirected(name string, found, edge []netip.Addr) error {
	for _, address := range found {
		if slices.Contains(edge, address) {
			continue
		}
		own := slices.DeleteFunc(slices.Clone(edge), func(it netip.Addr) bool { return it.Is4() != address.Is4() })
		if len(own) == 0 {
			return fmt.Errorf("%s resolves to %s, and this edge has no %s address: remove its %s record", name, address, family(address), record(address))
		}
		return fmt.Errorf("%s resolves to %s, not to this edge (%s): set its %s record", name, address, list(own), record(address))
	}
	return nil
}

// records of a name that has none yet.
func records(edge []netip.Addr) string {
	var found []string
	for _, address := range edge {
		found = append(found, fmt.Sprintf("%s record to %s", record(address), address))
	}
	if len(found) == 0 {
		return "A and AAAA records to the addresses of this edge"
	}
	return strings.Join(found, " and its ")
}

func record(address netip.Addr) string {
	if address.Is4() {
		return "A"
	}
	return "AAAA"
}

func family(address netip.Addr) string {
	if address.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

func list(addresses []netip.Addr) string {
	texts := make([]string, len(addresses))
	for i, address := range addresses {
		texts[i] = address.String()
	}
	return strings.Join(texts, ", ")
}

// probe takes the way an authority will take: port 80 of each address, to whichever PoP is there.
func (it *looker) probe(ctx context.Context, name string, addresses []netip.Addr) (Reach, error) {
	token, answer := newProbe()
	it.tokens.hold(token, answer)
	defer it.tokens.drop(token)
	reached := 0
	for _, address := range addresses {
		err := it.fetch(ctx, name, address, token, answer)
		// A machine may have no IPv6, or no IPv4: that says nothing of the name.
		if errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL) {
			continue
		}
		if err != nil {
			return unanswered, err
		}
		reached++
	}
	if reached == 0 {
		return unknown, fmt.Errorf("port 80 of %s cannot be reached from here: there is no way to %s", name, list(addresses))
	}
	if it.tokens.doorOf(token) == byPeer {
		return viaPeer, nil
	}
	return direct, nil
}

func (it *looker) fetch(ctx context.Context, name string, address netip.Addr, token, wanted string) error {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 16 << 10,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return it.dial(ctx, network, netip.AddrPortFrom(address, 80).String())
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
		return fmt.Errorf("port 80 of %s (%s) does not answer: %w. An authority proves the name there", name, address, reasonOf(err, probePatience))
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, longestAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("port 80 of %s (%s) breaks off its answer: %w", name, address, err)
	case response.StatusCode != http.StatusOK || string(text) != wanted:
		return fmt.Errorf("port 80 of %s (%s) is answered by something else with %d: requests for http://%s%s must arrive at this app's PoPs as they are",
			name, address, response.StatusCode, name, challengePath)
	}
	return nil
}

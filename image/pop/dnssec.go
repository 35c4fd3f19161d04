package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"fly-pops/pop/internal/resolve"
	"fly-pops/pop/tailnet"
)

// validated are the names whose signatures matter: the root's, on which all others hang, and those of the origins.
func validated(origins []string) []string {
	names := []string{"."}
	for _, origin := range origins {
		host := tailnet.HostOf(origin)
		if _, err := netip.ParseAddr(host); err != nil && host != "" {
			names = append(names, host+".")
		}
	}
	return names
}

// validate is a round of the watch. unbound that does not answer is another fault.
func (h *health) validate(ctx context.Context) (error, bool) {
	err := askDNSSEC(ctx, h.manifest.Ports.DNS, validated(h.manifest.Origins), h.now)
	return err, err == nil
}

// askDNSSEC returns the names that unbound refuses because of their signatures: it has no answer when it checks them, and has one when it does not. A name
// that cannot be had either way is not this fault. The first refused name is enough if it is the root.
func askDNSSEC(ctx context.Context, port int, names []string, now func() time.Time) error {
	refused := []error{}
	for _, name := range names {
		why, err := signatureFault(ctx, port, name)
		if err != nil || why == "" {
			continue
		}
		if name == "." {
			return fmt.Errorf("DNSSEC fails for every name, so no public name has an address (%s); the clock here says %s", why, now().UTC().Format(time.RFC3339))
		}
		refused = append(refused, fmt.Errorf("DNSSEC fails for %s, so it has no address (%s)", strings.TrimSuffix(name, "."), why))
	}
	return errors.Join(refused...)
}

// signatureFault is "" if there is none.
func signatureFault(ctx context.Context, port int, name string) (string, error) {
	code, why, err := queryUnbound(ctx, port, name, true)
	if err != nil || code != dnsmessage.RCodeServerFailure {
		return "", err
	}
	code, _, err = queryUnbound(ctx, port, name, false)
	if err != nil || code != dnsmessage.RCodeSuccess && code != dnsmessage.RCodeNameError {
		return "", err
	}
	if why == "" {
		why = "unbound does not say why"
	}
	return why, nil
}

// queryUnbound returns the response code, and unbound's reason beside it.
func queryUnbound(ctx context.Context, port int, name string, validate bool) (dnsmessage.RCode, string, error) {
	kind := dnsmessage.TypeA
	if name == "." {
		kind = dnsmessage.TypeSOA
	}
	answer, err := resolve.Query(ctx, fmt.Sprintf("127.0.0.1:%d", port), resolve.Question{Name: name, Type: kind, Unchecked: !validate})
	return answer.Code, answer.Reason, err
}

package probe

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

// SignedNames are the names whose DNSSEC signatures matter: the root, on which all others depend, and the origins.
func SignedNames(origins []string) []string {
	names := []string{"."}
	for _, origin := range origins {
		host := tailnet.HostOf(origin)
		if _, err := netip.ParseAddr(host); err != nil && host != "" {
			names = append(names, host+".")
		}
	}
	return names
}

// DNSSEC returns an error for each name that unbound rejects because of its signatures: it answers only if it does not validate them. A name that cannot be
// resolved either way has another fault, and so does an unbound that does not answer. If the root is rejected, no other name is probed.
func DNSSEC(ctx context.Context, port int, names []string, now func() time.Time) error {
	rejected := []error{}
	for _, name := range names {
		reason, err := signatureFault(ctx, port, name)
		if err != nil || reason == "" {
			continue
		}
		if name == "." {
			return fmt.Errorf("DNSSEC fails for every name, so no public name has an address (%s); the PoP's clock says %s", reason, now().UTC().Format(time.RFC3339))
		}
		rejected = append(rejected, fmt.Errorf("DNSSEC fails for %s, so it has no address (%s)", strings.TrimSuffix(name, "."), reason))
	}
	return errors.Join(rejected...)
}

// signatureFault returns why unbound rejects a name's signatures; "" if it does not.
func signatureFault(ctx context.Context, port int, name string) (string, error) {
	code, reason, err := queryUnbound(ctx, port, name, true)
	if err != nil || code != dnsmessage.RCodeServerFailure {
		return "", err
	}
	code, _, err = queryUnbound(ctx, port, name, false)
	if err != nil || code != dnsmessage.RCodeSuccess && code != dnsmessage.RCodeNameError {
		return "", err
	}
	if reason == "" {
		reason = "unbound gives no reason"
	}
	return reason, nil
}

// queryUnbound returns the response code and unbound's reason.
func queryUnbound(ctx context.Context, port int, name string, validate bool) (dnsmessage.RCode, string, error) {
	kind := dnsmessage.TypeA
	if name == "." {
		kind = dnsmessage.TypeSOA
	}
	answer, err := resolve.Query(ctx, resolve.Unbound(port), resolve.Question{Name: name, Type: kind, Unchecked: !validate})
	return answer.Code, answer.Reason, err
}

package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"
)

// takeShared asks the other PoPs for a newer certificate and installs it. It returns whether there is one.
func (a *Agent) takeShared(ctx context.Context, cert *managedCert) bool {
	now := a.now()
	if a.config.ShareFile == "" || a.challenges.peers == nil {
		return false
	}
	if cert.dueSince.IsZero() {
		cert.dueSince = now
	}
	if now.Before(cert.nextShare) {
		return false
	}
	pause := quickCheckPause
	if now.Sub(cert.dueSince) > newFor {
		pause = time.Minute
	}
	cert.nextShare = now.Add(pause)
	if a.share == nil {
		return false
	}
	until := time.Time{}
	if a.isCurrent(cert) {
		until = cert.leaf.NotAfter
	}
	request, err := sealJSON(a.share, sharedRequest{Names: namesDigest(cert.Names), Until: until, At: now}, requestContext)
	if err != nil {
		return false
	}
	var best *x509.Certificate
	var bestContent []byte
	var issuedBy, from string
	for address, response := range a.challenges.requestShared(ctx, request, a.silentPeers) {
		leaf, content, directory, err := a.config.openShared(a.share, request, response, cert.Certificate, until, now)
		if err != nil {
			fmt.Fprintf(os.Stderr, "pop: certificate of %s from the PoP at %s: %v\n", cert.Names[0], address, err)
			continue
		}
		if best == nil || leaf.NotAfter.After(best.NotAfter) {
			best, bestContent, issuedBy, from = leaf, content, directory, address.String()
		}
	}
	if best == nil {
		return false
	}
	if err := a.install(cert, best, bestContent, savedOrder{IssuedBy: issuedBy, Issued: within(cert.order.Issued, week, now), Taken: true}); err != nil {
		a.recordFailure(cert, err)
		cert.nextShare = *cert.order.RetryAt
		return true
	}
	a.lastShared = now
	fmt.Fprintf(os.Stderr, "pop: certificate of %s from the PoP at %s, until %s\n", strings.Join(best.DNSNames, ", "), from, best.NotAfter.Format(time.RFC3339))
	a.refreshWindow(ctx, cert)
	return true
}

// waitsForPeers says whether another PoP orders first: PoPs order in the order of their addresses, which all of them see alike, each two minutes after the one
// before. A PoP orders for one site after the other: as long as certificates arrive, the others wait.
func (a *Agent) waitsForPeers(ctx context.Context, cert *managedCert) bool {
	if a.config.ShareFile == "" || a.challenges.peers == nil {
		return false
	}
	if a.shareError != nil {
		// Secrets arrive a moment after boot.
		return errors.Is(a.shareError, fs.ErrNotExist) && a.now().Before(cert.dueSince.Add(shareWait))
	}
	others, err := a.challenges.others(ctx)
	if err != nil {
		return false
	}
	before := 0
	for _, address := range others {
		if address.Less(a.challenges.ownAddress) {
			before++
		}
	}
	since := cert.dueSince
	if a.lastShared.After(since) {
		since = a.lastShared
	}
	return a.now().Before(since.Add(time.Duration(before) * shareWait))
}

// requestShared asks all other PoPs at once and returns the responses of those that have a certificate. It skips silent PoPs, and adds those that do not
// respond to them.
func (s *challengeServer) requestShared(ctx context.Context, request string, silent map[netip.Addr]bool) map[netip.Addr]string {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	addresses, err := s.others(ctx)
	if err != nil {
		return nil
	}
	addresses = slices.DeleteFunc(addresses, func(address netip.Addr) bool { return silent[address] })
	type response struct {
		from netip.Addr
		text string
		err  error
	}
	responses := make(chan response, maxPeers)
	for _, address := range addresses {
		go func() {
			text, err := s.fetch(ctx, address, sharePath+request, maxShared)
			responses <- response{address, text, err}
		}()
	}
	found := map[netip.Addr]string{}
	for range addresses {
		one := <-responses
		if one.err != nil {
			silent[one.from] = true
		} else if one.text != "" {
			found[one.from] = one.text
		}
	}
	return found
}

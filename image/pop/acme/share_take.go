package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"
)

// takeShared asks the other PoPs for a newer certificate, and puts it in place. It returns whether there is one.
func (a *Agent) takeShared(ctx context.Context, cert *managedCert) bool {
	now := a.now()
	if a.config.ShareFile == "" || a.challenges.peers == nil || now.Before(cert.nextShare) {
		return false
	}
	if cert.dueSince.IsZero() {
		cert.dueSince = now
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
	if cert.leaf != nil && checkCovers(cert.leaf, cert.Names) == nil && slices.Contains(a.config.Directories, cert.order.IssuedBy) {
		until = cert.leaf.NotAfter
	}
	request, err := sealJSON(a.share, sharedRequest{Names: namesDigest(cert.Names), Until: until, At: now}, requestContext)
	if err != nil {
		return false
	}
	var best *x509.Certificate
	var bestContent []byte
	var issuedBy, from string
	for address, answer := range a.challenges.askShared(ctx, request) {
		leaf, content, directory, err := a.config.openShared(a.share, request, answer, cert.Certificate, until, now)
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
		a.setProblem(cert, err)
		return true
	}
	fmt.Fprintf(os.Stderr, "pop: certificate of %s from the PoP at %s, until %s\n", strings.Join(best.DNSNames, ", "), from, best.NotAfter.Format(time.RFC3339))
	a.refreshWindow(ctx, cert)
	return true
}

// waitsForPeers says whether others order first: the PoPs do in the order of their addresses, which all of them see alike, each two minutes after the one before.
func (a *Agent) waitsForPeers(ctx context.Context, cert *managedCert) bool {
	if a.config.ShareFile == "" || a.challenges.peers == nil {
		return false
	}
	if a.shareError != nil {
		// Secrets come a moment after the boot.
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
	return a.now().Before(cert.dueSince.Add(time.Duration(before) * shareWait))
}

// askShared asks all other PoPs at once; those that have nothing to give are left out.
func (s *challengeServer) askShared(ctx context.Context, request string) map[netip.Addr]string {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	addresses, err := s.others(ctx)
	if err != nil {
		return nil
	}
	type answer struct {
		from netip.Addr
		text string
	}
	answers := make(chan answer, maxPeers)
	for _, address := range addresses {
		go func() { answers <- answer{address, s.fetchShared(ctx, address, request)} }()
	}
	found := map[netip.Addr]string{}
	for range addresses {
		if one := <-answers; one.text != "" {
			found[one.from] = one.text
		}
	}
	return found
}

func (s *challengeServer) fetchShared(ctx context.Context, address netip.Addr, request string) string {
	response, err := s.get(ctx, address, sharePath+request)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxShared))
	if err != nil || response.StatusCode != http.StatusOK {
		return ""
	}
	return string(text)
}

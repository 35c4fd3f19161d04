// Package acme gets certificates from an authority (https://www.rfc-editor.org/rfc/rfc8555) and renews them, for `pop certs`.
//
// Each PoP has an account of its own, and makes its keys on its volume (/var/lib/pop/acme, which only the user of `pop certs` reads). One certificate covers
// all names of a site. nginx gets a copy in /var/lib/pop/certs; the last good one stays until there is a better one.
//
// A certificate is due when there is none for all of its names, or when it is time to renew it (schedule.go). PoPs that share certificates ask the
// others for a newer one first (share.go). Otherwise an order is made (order.go). Names are proved by HTTP-01 or by DNS-01: with HTTP-01 they are checked
// before (name_check.go), and each PoP responds to challenges of all PoPs (challenges.go); with DNS-01 TXT records are set (dns01.go). An order is saved on the
// volume before it is sent to the authority, so that a PoP that restarts continues it.
package acme

import (
	"bytes"
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"fly-pops/pop/internal/pair"
	"fly-pops/pop/internal/resolve"
)

// Agent orders and renews the certificates of a configuration. Everything that has to survive a restart is on the volume.
type Agent struct {
	config      *Config
	environment Environment
	now         func() time.Time
	started     time.Time

	tokens     *tokenStore
	challenges *challengeServer
	checkName  func(ctx context.Context, name string) (Reach, error)
	// nil: CAA records are not checked before an order.
	queryCAA func(ctx context.Context, name string) (resolve.Answer, error)

	// Called with each status. nil: not called.
	Report func(Status)

	certs []*managedCert
	ready bool
	// nil: all is well.
	environmentError, listenError, shareError error
	// Encrypts shared certificates. Read in each round. nil: sharing is off, or the secret is missing.
	share cipher.AEAD
	// Authorities that did not respond in this round, by directory: there is one timeout per round, not one per certificate.
	unavailable map[string]error
	// PoPs that did not respond in this round, likewise.
	silentPeers map[netip.Addr]bool
	// When a certificate was last taken from another PoP.
	lastShared time.Time
	// When unused files were last looked for.
	unusedCheck time.Time
	unusedError error
}

// New reads the state from the volume. It makes no requests.
func New(config *Config, environment Environment, problems []string, now func() time.Time) *Agent {
	a := &Agent{config: config, environment: environment, now: now, started: now(), tokens: newTokenStore()}
	a.challenges = newChallengeServer(a.tokens, newPeers(environment, now), environment.Private, config.PeerPort)
	if config.ShareFile != "" {
		a.challenges.shared = a.sharedResponse
	}
	resolver := resolve.By(config.NameServer)
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	a.checkName = (&nameChecker{
		tokens: a.tokens, edge: environment.Addresses, isPrivateName: config.isPrivateName,
		failureReason: failureReasonBy(config.NameServer), lookup: resolver.LookupNetIP, dial: (&net.Dialer{}).DialContext,
	}).check
	a.queryCAA = queryBy(config.NameServer)
	if len(problems) > 0 {
		a.environmentError = errors.New(strings.Join(problems, "; "))
	}
	for _, certificate := range config.Certificates {
		cert := &managedCert{Certificate: certificate}
		a.certs = append(a.certs, cert)
		a.load(cert)
	}
	return a
}

// Serve responds to challenges until ctx is done, and reports the state on the volume before any request is made.
func (a *Agent) Serve(ctx context.Context) {
	a.prepare(ctx)
	a.report(nil)
}

// prepare tries again what may have been missing at boot: the private address, the secret for sharing.
func (a *Agent) prepare(ctx context.Context) {
	a.listenError = a.challenges.listen(ctx, a.config.Socket)
	a.share, a.shareError = a.config.sharing()
}

// Round does what is due, and returns the pause until the next one.
func (a *Agent) Round(ctx context.Context) time.Duration {
	a.prepare(ctx)
	failure := a.blocker()
	a.unavailable, a.silentPeers = map[string]error{}, map[netip.Addr]bool{}
	for _, cert := range a.certs {
		if ctx.Err() != nil {
			return 0
		}
		a.load(cert)
		a.installCopies(cert)
		if failure == nil {
			a.maintain(ctx, cert)
		} else {
			a.lookForOthers(ctx, cert)
		}
		a.report(failure)
		a.finishRequest(cert)
	}
	if failure == nil {
		a.unusedError = a.removeUnused()
	}
	return a.nextPause(failure)
}

// blocker is what prevents all orders. nil: nothing.
func (a *Agent) blocker() error {
	if a.now().Before(pair.Earliest) {
		return fmt.Errorf("the clock of this machine says %s, so no certificate is ordered", a.now().UTC().Format(time.RFC3339))
	}
	if text, err := os.ReadFile(a.config.Volume); err == nil && len(bytes.TrimSpace(text)) > 0 {
		return fmt.Errorf("%s: no certificate is ordered, because its key would be lost with the memory", bytes.TrimSpace(text))
	}
	return nil
}

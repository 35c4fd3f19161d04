package acme

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"fly-pops/pop/internal/files"
	"fly-pops/pop/internal/pair"
)

const maxFileSize = 256 << 10

// managedCert is the state of one certificate.
type managedCert struct {
	Certificate
	order savedOrder
	// The volume did not take the order, so this process keeps it, and with it the time of the next attempt.
	unsaved bool
	// Issued by an authority, as saved on the volume. nil: none yet.
	leaf    *x509.Certificate
	content []byte
	// A renewal was requested (`pop renew`).
	requested bool
	// When the last request with an attempt was made, while its file cannot be removed: the volume is read-only. Zero: there is none.
	answered time.Time
	// When the renewal window is fetched again.
	pollAt time.Time

	// Failed checks of its names in a row, and how many of them were followed by a long pause.
	checks, slowChecks int
	// Since when it is due, and when the other PoPs are asked for theirs again. Only with sharing.
	dueSince, nextShare time.Time
	// Attempts in a row that CAA records prevented.
	forbidden int
	// Checks that ended because another PoP did not respond.
	peerChecks int
	reach      Reach
	nextCheck  time.Time
	// When names are checked again while nothing can be ordered.
	nextLook time.Time
	// When removing leftover TXT records is tried again.
	nextRemoval time.Time
	// The last error of a check, an order or the volume. nil: all is well.
	problem   error
	problemAt time.Time
}

// load reads the state from the volume. A missing or incomplete file counts as absent.
func (a *Agent) load(cert *managedCert) {
	cert.leaf, cert.content = readPair(a.config.pairFile(cert.Certificate))
	if !cert.unsaved || a.saveOrder(cert, orderIsLost) == nil {
		cert.order = a.config.readOrder(cert.Certificate)
	}
	cert.requested = a.isRequested(cert)
}

// readPair returns the leaf of a pair and the complete PEM. nil: there is none.
func readPair(path string) (*x509.Certificate, []byte) {
	text, err := readFile(path)
	if err != nil {
		return nil, nil
	}
	chain, err := pair.ParseChain(string(pair.OnlyCertificates(text)))
	if err != nil {
		return nil, nil
	}
	return chain[0], text
}

func (c *Config) readOrder(certificate Certificate) savedOrder {
	var order savedOrder
	if text, err := readFile(c.orderFile(certificate)); err != nil || json.Unmarshal(text, &order) != nil {
		return savedOrder{}
	}
	return order
}

func readFile(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil || info.Size() > maxFileSize {
		return nil, errors.Join(err, fs.ErrInvalid)
	}
	return os.ReadFile(path)
}

// saveOrder saves the state of a certificate. What the volume does not take stays in this process, and each round tries again.
func (a *Agent) saveOrder(cert *managedCert, otherwise string) error {
	err := a.config.save(a.config.orderFile(cert.Certificate), cert.order, otherwise)
	cert.unsaved = err != nil
	return err
}

// installCopies writes the last good pair to the files that nginx reads, one for each name it covers.
func (a *Agent) installCopies(cert *managedCert) {
	if cert.leaf == nil {
		return
	}
	for _, name := range cert.Names {
		path := a.config.servedFile(name)
		if found, err := readFile(path); cert.leaf.VerifyHostname(name) != nil || err == nil && bytes.Equal(found, cert.content) {
			continue
		}
		// The directory's setgid bit gives it to nginx's group.
		if err := files.Replace(path, cert.content, 0o640); err != nil {
			a.setProblem(cert, fmt.Errorf("the certificate cannot be written for nginx: %w", err))
		}
	}
}

// isCurrent says whether there is a certificate for all names. One from an authority that is no longer configured, such as a staging one, does not count.
func (a *Agent) isCurrent(cert *managedCert) bool {
	return cert.leaf != nil && checkCovers(cert.leaf, cert.Names) == nil && slices.Contains(a.config.Directories, cert.order.IssuedBy)
}

// isDue says whether to order now.
func (a *Agent) isDue(cert *managedCert) bool {
	return !a.isCurrent(cert) || !a.now().Before(a.renewalTime(cert))
}

// renewalTime is when to renew the current certificate.
func (a *Agent) renewalTime(cert *managedCert) time.Time {
	seed := seedOf(a.environment.Pop, pair.Serial(cert.leaf))
	if cert.order.Taken {
		// The PoP that ordered it renews first: only its renewals are exempt from the authority's rate limits.
		seed = latestSeed(cert.order.Window)
	}
	return renewAt(cert.leaf.NotBefore, cert.leaf.NotAfter, cert.order.Window, seed).UTC().Truncate(time.Second)
}

// isUrgent says that the current certificate expires soon.
func (a *Agent) isUrgent(cert *managedCert) bool {
	return cert.leaf != nil && isUrgent(cert.leaf.NotBefore, cert.leaf.NotAfter, a.now())
}

func (a *Agent) setProblem(cert *managedCert, err error) {
	cert.problem, cert.problemAt = err, a.now().UTC().Truncate(time.Second)
}

func (a *Agent) seed(cert *managedCert) float64 {
	return seedOf(a.environment.Pop, cert.Names[0], a.now().String())
}

// selfSignedUntil is when all workers of nginx use a first certificate that is installed now. nginx's clock and its cache time are whole seconds.
func (a *Agent) selfSignedUntil() *time.Time {
	if a.config.NginxCacheSeconds == 0 {
		return nil
	}
	until := a.now().Add(time.Duration(a.config.NginxCacheSeconds+2) * time.Second).UTC()
	return &until
}

// isServed says that nginx serves the current certificate. While any worker may still serve the self-signed one, the certificate counts as absent.
func (a *Agent) isServed(cert *managedCert) bool {
	until := cert.order.SelfSignedUntil
	return cert.leaf != nil && (until == nil || !a.now().Before(*until) || until.Sub(a.now()) > time.Minute)
}

package acme

import (
	"errors"
	"time"

	"fly-pops/pop/internal/pair"
)

// report calls Report with the current status.
func (a *Agent) report(failure error) {
	now := a.now().UTC().Truncate(time.Second)
	status := Status{At: now, Certificates: []CertificateStatus{}}
	if err := errors.Join(a.environmentError, a.listenError, a.shareError, a.unusedError, failure); err != nil {
		status.Error, status.ErrorAt = err.Error(), &now
	}
	for _, cert := range a.certs {
		for _, name := range cert.Names {
			found := CertificateStatus{Host: name}
			if a.isServed(cert) && cert.leaf.VerifyHostname(name) == nil {
				renewal := a.renewalTime(cert)
				found.NotBefore, found.NotAfter, found.Serial, found.RenewAt = &cert.leaf.NotBefore, &cert.leaf.NotAfter, pair.Serial(cert.leaf), &renewal
			}
			if cert.problem != nil {
				at := cert.problemAt
				found.Error, found.ErrorAt, found.RetryAt = cert.problem.Error(), &at, cert.order.RetryAt
			}
			status.Certificates = append(status.Certificates, found)
		}
	}
	status.Held = a.isHeld(failure != nil)
	if a.Report != nil {
		a.Report(status)
	}
}

// isHeld says whether this PoP should stay out of service: its first certificate is on its way, and other PoPs serve. Once in service it stays there, because
// challenges may arrive at it. If something prevents all orders, it is held only if other PoPs are known to serve.
func (a *Agent) isHeld(isBlocked bool) bool {
	if a.ready {
		return false
	}
	waiting := false
	for _, cert := range a.certs {
		if a.isServed(cert) {
			a.ready = true
			return false
		}
		isUnknown := cert.reach == reachUnknown && !(isBlocked && cert.checks >= confirmingChecks)
		waiting = waiting || cert.leaf != nil || isUnknown || cert.reach == reachViaPeer
	}
	a.ready = !waiting
	return waiting
}

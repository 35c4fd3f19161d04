package acme

import (
	"crypto/x509"
	"fmt"
	"time"

	"fly-pops/pop/internal/files"
)

// install saves a new pair on the volume and copies it for nginx. saved says where it comes from.
func (a *Agent) install(cert *managedCert, leaf *x509.Certificate, content []byte, saved savedOrder) error {
	if err := files.Replace(a.config.pairFile(cert.Certificate), content, 0o600); err != nil {
		return volumeError{fmt.Errorf("the certificate that was issued cannot be written: %w", err)}
	}
	if until := cert.order.LeaveAloneUntil; until != nil && a.now().Before(*until) {
		// The certificate is from another PoP or another authority: this authority's Retry-After still applies.
		saved.LeaveAloneUntil, saved.RetryAt, saved.Error, saved.ErrorAt = until, until, cert.order.Error, cert.order.ErrorAt
	}
	saved.Records = cert.order.Records
	saved.FailedValidations = within(cert.order.FailedValidations, time.Hour, a.now())
	if cert.leaf == nil {
		saved.SelfSignedUntil = a.selfSignedUntil()
	}
	cert.leaf, cert.content, cert.pollAt, cert.problem = leaf, content, time.Time{}, nil
	cert.checks, cert.slowChecks, cert.dueSince, cert.nextShare = 0, 0, time.Time{}, time.Time{}
	a.installCopies(cert)
	cert.order = saved
	if err := a.saveOrder(cert, orderIsLost); err != nil {
		a.setProblem(cert, err)
	}
	return nil
}

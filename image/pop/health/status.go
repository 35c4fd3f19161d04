package health

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"fly-pops/pop/acme"
	"fly-pops/pop/certs"
	"fly-pops/pop/internal/statusfile"
	secrets "fly-pops/pop/secrets/status"
	"fly-pops/pop/selfsigned"
)

const (
	// `certs` hangs if it has reported nothing for this long. It usually reports every half minute, and at least once an hour.
	staleAfter = 2 * time.Hour

	// Status files are shorter: some 300 bytes for each of a hundred certificates.
	maxStatusBytes = 256 << 10

	// Where other commands write their status files. Tests use another directory.
	defaultRunDir = "/run/pop"
)

// readStatus reads a status file from the directory used as /run/pop; nil if it is missing or unreadable.
func readStatus[T any](run, path string) *T {
	relative, err := filepath.Rel(defaultRunDir, path)
	if err != nil {
		return nil
	}
	var value T
	if statusfile.Read(filepath.Join(run, relative), maxStatusBytes, &value) != nil {
		return nil
	}
	return &value
}

func (h *health) checkSecrets(context.Context) update {
	status := readStatus[secrets.Status](h.run, secrets.DefaultFile)
	return func(s *snapshot) {
		if status != nil {
			s.Components["secrets"], s.Recipient = newComponent(degraded, errorOrNil(status.Error)), status.Recipient
		}
	}
}

// checkCertificates reports three components: the certificates, and the two agents that renew them.
func (h *health) checkCertificates(context.Context) update {
	vault, authority := readStatus[certs.Status](h.run, certs.StatusFile), readStatus[acme.Status](h.run, acme.StatusFile)
	all, err := h.allCertificates(vault, authority)
	certsComponent, acmeComponent := h.certsComponent(vault), h.acmeComponent(authority)
	found, missing := newComponent(degraded, err), h.missingCertificates(all)
	status := degraded
	// A host without a certificate is a fault of its own while others are served. If no host has one, the PoP must not get visitors.
	if len(missing) > 0 && len(missing) == len(all) && h.mayWait(all, authority) {
		status = failing
	}
	if len(missing) > 0 {
		found = newComponent(status, errors.Join(errors.Join(missing...), err))
	}
	return func(s *snapshot) {
		s.Certificates, s.Components["certificates"] = all, found
		if vault != nil {
			s.VaultSecretID = vault.Vault.SecretID
		}
		setComponentIfAny("certs", certsComponent)(s)
		setComponentIfAny("acme", acmeComponent)(s)
	}
}

// mayWait returns whether a PoP without any certificate may stay without visitors: only if a certificate can arrive without them. That is so for the vault's.
// An authority's challenges reach only PoPs in service, and a new edge only after its DNS records are set.
func (h *health) mayWait(all []selfsigned.Status, authority *acme.Status) bool {
	for _, status := range all {
		if !h.isFromAuthority(status) {
			return true
		}
	}
	return authority == nil || authority.Held
}

// missingCertificates has an error for each host that visitors cannot reach without a warning, because its first certificate has not arrived. A PoP keeps its
// certificates on the volume, so an outage of vault or authority does not matter here. In a stack with neither, self-signed certificates are fine.
func (h *health) missingCertificates(statuses []selfsigned.Status) []error {
	var missing []error
	for _, status := range statuses {
		switch {
		case !status.SelfSigned || !h.isFromAuthority(status) && !h.manifest.ExpectsComponent("certs"):
		case !h.isFromAuthority(status):
			missing = append(missing, fmt.Errorf("%s: only a self-signed certificate so far, the vault's has not arrived yet", status.Host))
		case status.Error != "":
			missing = append(missing, fmt.Errorf("%s: only a self-signed certificate so far: %s", status.Host, status.Error))
		default:
			missing = append(missing, fmt.Errorf("%s: only a self-signed certificate so far, the authority's has not arrived yet", status.Host))
		}
	}
	return missing
}

// isFromAuthority returns whether an ACME authority issues the host's certificate.
func (h *health) isFromAuthority(of selfsigned.Status) bool {
	return slices.Contains(h.manifest.ACMEHosts, of.Host)
}

// certsComponent is the state of the agent. Faults of single certificates are in the component "certificates".
func (h *health) certsComponent(status *certs.Status) *component {
	if status == nil {
		return nil
	}
	err := errorOrNil(status.Vault.Error)
	if at := status.Vault.At; err == nil && at != nil && h.now().Sub(*at) > staleAfter {
		err = fmt.Errorf("no status since %s", at.Format(time.RFC3339))
	}
	found := newComponent(degraded, errors.Join(err, status.Vault.SecretID.Problem(h.now())))
	return &found
}

// acmeComponent is what affects all orders. Faults of single certificates are in the component "certificates".
func (h *health) acmeComponent(status *acme.Status) *component {
	if status == nil {
		return nil
	}
	err := errorOrNil(status.Error)
	if err == nil && h.now().Sub(status.At) > staleAfter {
		err = fmt.Errorf("no status since %s", status.At.Format(time.RFC3339))
	}
	found := newComponent(degraded, err)
	return &found
}

// allCertificates are the certificates that `self-signed` found at boot, updated with what `certs` has reported since.
func (h *health) allCertificates(vault *certs.Status, authority *acme.Status) ([]selfsigned.Status, error) {
	statuses := []selfsigned.Status{}
	err := statusfile.Read(filepath.Join(h.run, "certs", "status.json"), maxStatusBytes, &statuses)
	if vault != nil {
		for _, c := range vault.Certificates {
			statuses = mergeCertificateStatus(statuses, reportedCertificate{c.Host, c.NotBefore, c.NotAfter, c.Serial, c.Source, c.Error})
		}
	}
	if authority != nil {
		for _, c := range authority.Certificates {
			statuses = mergeCertificateStatus(statuses, reportedCertificate{c.Host, c.NotBefore, c.NotAfter, c.Serial, "acme", c.Error})
		}
	}
	failures := []error{err}
	for _, status := range statuses {
		// missingCertificates has the error of a host whose first certificate has not arrived.
		if status.Error != "" && !(status.SelfSigned && h.isFromAuthority(status)) {
			failures = append(failures, fmt.Errorf("%s: %s", status.Host, status.Error))
		}
		switch now := h.now(); {
		case status.NotAfter.IsZero():
		case !now.Before(status.NotAfter):
			failures = append(failures, fmt.Errorf("%s: expired at %s", status.Host, status.NotAfter.Format(time.RFC3339)))
		case acme.EndsSoon(status.NotBefore, status.NotAfter, now):
			failures = append(failures, fmt.Errorf("%s: expires at %s", status.Host, status.NotAfter.Format(time.RFC3339)))
		}
	}
	return statuses, errors.Join(failures...)
}

// reportedCertificate is what `certs` reports of a host's certificate.
type reportedCertificate struct {
	host                string
	notBefore, notAfter *time.Time
	serial, source      string
	error               string
}

func mergeCertificateStatus(statuses []selfsigned.Status, reported reportedCertificate) []selfsigned.Status {
	merged := selfsigned.Status{Host: reported.host}
	i := slices.IndexFunc(statuses, func(status selfsigned.Status) bool { return status.Host == reported.host })
	if i >= 0 {
		merged = statuses[i]
	}
	if reported.notAfter != nil {
		merged.NotAfter, merged.Serial, merged.Source = *reported.notAfter, reported.serial, reported.source
		if reported.notBefore != nil {
			merged.NotBefore = *reported.notBefore
		}
		isIssued := reported.source == "vault" || reported.source == "acme"
		merged.SelfSigned = merged.SelfSigned && !isIssued
		if isIssued {
			merged.Error = ""
		}
	}
	if reported.error != "" {
		merged.Error = reported.error
	}
	if i < 0 {
		return append(statuses, merged)
	}
	statuses[i] = merged
	return statuses
}

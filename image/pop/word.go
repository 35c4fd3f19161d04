package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"fly-pops/pop/acme"
	"fly-pops/pop/certs"
	secrets "fly-pops/pop/secrets/status"
)

// Components a PoP may have or not; one that left no word is left out unless the manifest expects it.
var optionalComponents = []string{"tailnet", "secrets", "certs", "acme"}

// silentAfter so long without a round `certs` hangs: its longest pause between two is an hour, its usual one half a minute.
const silentAfter = 2 * time.Hour

// Status files are shorter than this: some 300 bytes for each of a hundred certificates.
const longestWord = 256 << 10

// read reads a status file from the folder used as /run/pop; nil if it is missing or unreadable.
func read[T any](run, path string) *T {
	below, err := filepath.Rel(runFolder, path)
	if err != nil {
		return nil
	}
	var value T
	if readPlain(filepath.Join(run, below), longestWord, &value) != nil {
		return nil
	}
	return &value
}

// readPlain reads the JSON of a file that belongs to another user, who may have put anything in its place: a pipe without a writer, a link, a huge file.
func readPlain(path string, most int64, value any) error {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.New("no plain file")
	}
	text, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, value)
}

func (h *health) secrets(context.Context) answer {
	status := read[secrets.Status](h.run, secrets.DefaultFile)
	return func(to *snapshot) {
		if status != nil {
			to.Components["secrets"], to.Recipient = judge(degraded, told(status.Error)), status.Recipient
		}
	}
}

// certificates are one component; the state of the agent that renews them is another.
func (h *health) certificates(context.Context) answer {
	vault, authority := read[certs.Status](h.run, certs.StatusFile), read[acme.Status](h.run, acme.StatusFile)
	all, err := h.allCertificates(vault, authority)
	vaultComponent, authorityComponent := h.certsComponent(vault), h.acmeComponent(authority)
	found, missing := judge(degraded, err), h.withoutCertificate(all)
	severity := degraded
	// While others are served, a host without is a fault of its own; with none at all there is nothing a visitor could be sent here for.
	if len(missing) > 0 && len(missing) == len(all) && h.mayWait(all, authority) {
		severity = failing
	}
	if len(missing) > 0 {
		found = judge(severity, errors.Join(errors.Join(missing...), err))
	}
	return func(to *snapshot) {
		to.Certificates, to.Components["certificates"] = all, found
		if vault != nil {
			to.VaultSecretID = vault.Vault.SecretID
		}
		isIfAny("certs", vaultComponent)(to)
		isIfAny("acme", authorityComponent)(to)
	}
}

// mayWait: a PoP without any certificate gets no visitors as long as one is on its way that does not need them. The vault's does not. An authority's may: it
// comes to those PoPs that are in service, and to a new edge only after DNS leads to it.
func (h *health) mayWait(all []certificateStatus, authority *acme.Status) bool {
	for _, status := range all {
		if !h.isOrdered(status) {
			return true
		}
	}
	return authority == nil || authority.Held
}

// withoutCertificate names the hosts that no visitor can reach without a warning: their certificate is still to come. One that was given a certificate before
// has it on its volume, and is served with that while vault or authority are away. In a stack with neither, all are as they should be.
func (h *health) withoutCertificate(statuses []certificateStatus) []error {
	var missing []error
	for _, status := range statuses {
		switch {
		case !status.SelfSigned || !h.isOrdered(status) && !h.manifest.expects("certs"):
		case !h.isOrdered(status):
			missing = append(missing, fmt.Errorf("%s: only a self-signed certificate so far, the vault's is still to come", status.Host))
		case status.Error != "":
			missing = append(missing, fmt.Errorf("%s: only a self-signed certificate so far: %s", status.Host, status.Error))
		default:
			missing = append(missing, fmt.Errorf("%s: only a self-signed certificate so far, the authority's is still to come", status.Host))
		}
	}
	return missing
}

// isOrdered: an authority gives the host's certificate.
func (h *health) isOrdered(of certificateStatus) bool {
	return slices.Contains(h.manifest.ACMEHosts, of.Host)
}

// certsComponent is how the agent fares; what is wrong with a single certificate stands in the component "certificates".
func (h *health) certsComponent(status *certs.Status) *component {
	if status == nil {
		return nil
	}
	err := told(status.Vault.Error)
	if at := status.Vault.At; err == nil && at != nil && h.now().Sub(*at) > silentAfter {
		err = fmt.Errorf("no word since %s", at.Format(time.RFC3339))
	}
	found := judge(degraded, errors.Join(err, status.Vault.SecretID.Problem(h.now())))
	return &found
}

// acmeComponent is what holds for all orders; what is wrong with a single certificate stands in the component "certificates".
func (h *health) acmeComponent(status *acme.Status) *component {
	if status == nil {
		return nil
	}
	err := told(status.Error)
	if err == nil && h.now().Sub(status.At) > silentAfter {
		err = fmt.Errorf("no word since %s", status.At.Format(time.RFC3339))
	}
	found := judge(degraded, err)
	return &found
}

func told(reason string) error {
	if reason == "" {
		return nil
	}
	return errors.New(reason)
}

// allCertificates are what `self-signed` found at boot, each replaced by what `certs` knows of it since.
func (h *health) allCertificates(vault *certs.Status, authority *acme.Status) ([]certificateStatus, error) {
	statuses := []certificateStatus{}
	err := readPlain(filepath.Join(h.run, "certs", "status.json"), longestWord, &statuses)
	if vault != nil {
		for _, it := range vault.Certificates {
			statuses = merge(statuses, newer{it.Host, it.NotBefore, it.NotAfter, it.Serial, it.Source, it.Error})
		}
	}
	if authority != nil {
		for _, it := range authority.Certificates {
			statuses = merge(statuses, newer{it.Host, it.NotBefore, it.NotAfter, it.Serial, "acme", it.Error})
		}
	}
	failures := []error{err}
	for _, status := range statuses {
		// Of one without any certificate that browsers take, withoutCertificate tells it.
		if status.Error != "" && !(status.SelfSigned && h.isOrdered(status)) {
			failures = append(failures, fmt.Errorf("%s: %s", status.Host, status.Error))
		}
		switch left := status.NotAfter.Sub(h.now()); {
		case status.NotAfter.IsZero():
		case left <= 0:
			failures = append(failures, fmt.Errorf("%s: expired at %s", status.Host, status.NotAfter.Format(time.RFC3339)))
		case left < status.NotAfter.Sub(status.NotBefore)/acme.EndsSoonShare:
			failures = append(failures, fmt.Errorf("%s: expires at %s", status.Host, status.NotAfter.Format(time.RFC3339)))
		}
	}
	return statuses, errors.Join(failures...)
}

// newer is what `certs` knows of a host's certificate.
type newer struct {
	host                string
	notBefore, notAfter *time.Time
	serial, source      string
	error               string
}

func merge(statuses []certificateStatus, found newer) []certificateStatus {
	known := certificateStatus{Host: found.host}
	at := len(statuses)
	for i, status := range statuses {
		if status.Host == found.host {
			known, at = status, i
		}
	}
	if found.notAfter != nil {
		known.NotAfter, known.Serial, known.Source = *found.notAfter, found.serial, found.source
		if found.notBefore != nil {
			known.NotBefore = *found.notBefore
		}
		fromElsewhere := found.source == "vault" || found.source == "acme"
		known.SelfSigned = known.SelfSigned && !fromElsewhere
		if fromElsewhere {
			known.Error = ""
		}
	}
	if found.error != "" {
		known.Error = found.error
	}
	if at == len(statuses) {
		return append(statuses, known)
	}
	statuses[at] = known
	return statuses
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"fly-pops/pop/certs"
	"fly-pops/pop/reload"
	secrets "fly-pops/pop/secrets/status"
)

// Parts a PoP may have or not; one that left no word is left out unless the manifest expects it.
var optionalParts = []string{"tailnet", "secrets", "certs", "reload"}

// silentAfter so long without a round `certs` hangs: its longest pause between two is an hour, its usual one half a minute.
const silentAfter = 2 * time.Hour

// word is what other commands of pop left for health; nil: nothing, or nothing readable.
type word struct {
	secrets *secrets.Status
	certs   *certs.Status
	reload  *reload.Status
}

func (it *health) readWord() word {
	return word{
		secrets: read[secrets.Status](it.run, secrets.DefaultFile),
		certs:   read[certs.Status](it.run, certs.StatusFile),
		reload:  read[reload.Status](it.run, reload.StatusFile),
	}
}

// read takes a status file from the folder that stands for /run/pop.
func read[T any](run, path string) *T {
	below, err := filepath.Rel(runFolder, path)
	if err != nil {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(run, below))
	if err != nil {
		return nil
	}
	var value T
	if json.Unmarshal(text, &value) != nil {
		return nil
	}
	return &value
}

func (it word) recipient() string {
	if it.secrets == nil {
		return ""
	}
	return it.secrets.Recipient
}

func secretsPart(status *secrets.Status) *part {
	if status == nil {
		return nil
	}
	found := judge(degraded, told(status.Error))
	return &found
}

func reloadPart(status *reload.Status) *part {
	if status == nil {
		return nil
	}
	found := judge(degraded, told(status.Error))
	return &found
}

// certsPart is how the agent fares; what is wrong with a single certificate stands in the part "certificates".
func (it *health) certsPart(status *certs.Status) *part {
	if status == nil {
		return nil
	}
	err := told(status.Vault.Error)
	if at := status.Vault.At; err == nil && at != nil && it.now().Sub(*at) > silentAfter {
		err = fmt.Errorf("no word since %s", at.Format(time.RFC3339))
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

// certificates are what `self-signed` found at boot, each replaced by what `certs` knows of it since.
func (it *health) certificates(agent *certs.Status) ([]certificateStatus, error) {
	statuses := []certificateStatus{}
	text, err := os.ReadFile(filepath.Join(it.run, "certs", "status.json"))
	if err == nil {
		err = json.Unmarshal(text, &statuses)
	}
	if agent != nil {
		for _, found := range agent.Certificates {
			statuses = merge(statuses, found)
		}
	}
	failures := []error{err}
	for _, status := range statuses {
		if status.Error != "" {
			failures = append(failures, fmt.Errorf("%s: %s", status.Host, status.Error))
		}
		switch left := status.NotAfter.Sub(it.now()); {
		case status.NotAfter.IsZero():
		case left <= 0:
			failures = append(failures, fmt.Errorf("%s: expired at %s", status.Host, status.NotAfter.Format(time.RFC3339)))
		case left < expiresSoon:
			failures = append(failures, fmt.Errorf("%s: expires at %s", status.Host, status.NotAfter.Format(time.RFC3339)))
		}
	}
	return statuses, errors.Join(failures...)
}

func merge(statuses []certificateStatus, found certs.CertificateStatus) []certificateStatus {
	known := certificateStatus{Host: found.Host}
	at := len(statuses)
	for i, status := range statuses {
		if status.Host == found.Host {
			known, at = status, i
		}
	}
	if found.NotAfter != nil {
		known.NotAfter, known.Serial, known.Source = *found.NotAfter, found.Serial, found.Source
		known.SelfSigned = known.SelfSigned && found.Source != "vault"
		known.Error = ""
	}
	if found.Error != "" {
		known.Error = found.Error
	}
	if at == len(statuses) {
		return append(statuses, known)
	}
	statuses[at] = known
	return statuses
}

package acme

import (
	"fmt"
	"time"
)

// Status is what health is told. There is no secret in it.
type Status struct {
	// Of the last round.
	At time.Time `json:"at"`
	// What holds for all certificates: the configuration of this machine, the volume, the first authority.
	Error   string     `json:"error,omitempty"`
	ErrorAt *time.Time `json:"errorAt,omitempty"`
	// This PoP is better not put into service yet: its first certificate is on its way, and visitors are served by others meanwhile.
	Held         bool                `json:"held,omitempty"`
	Certificates []CertificateStatus `json:"certificates"`
}

// CertificateStatus is one name's.
type CertificateStatus struct {
	Host string `json:"host"`
	// Absent: there is no certificate of an authority yet.
	NotBefore *time.Time `json:"notBefore,omitempty"`
	NotAfter  *time.Time `json:"notAfter,omitempty"`
	Serial    string     `json:"serial,omitempty"`
	// When it is renewed, as far as is known now.
	RenewAt *time.Time `json:"renewAt,omitempty"`
	// Why there is none, or why it is not renewed.
	Error   string     `json:"error,omitempty"`
	ErrorAt *time.Time `json:"errorAt,omitempty"`
	// When that is tried again. Absent: soon.
	RetryAt *time.Time `json:"retryAt,omitempty"`
}

// Problems of a status, a sentence each; several names with one reason are one.
func (s Status) Problems() []string {
	var found []string
	if s.Error != "" {
		found = append(found, s.Error)
	}
	for at, certificate := range s.Certificates {
		if certificate.Error != "" && (at == 0 || s.Certificates[at-1].Error != certificate.Error) {
			found = append(found, fmt.Sprintf("certificate of %s: %s", certificate.Host, certificate.Error))
		}
	}
	return found
}

package acme

import (
	"fmt"
	"time"
)

// Status is what `pop health` reads. It contains no secrets.
type Status struct {
	// Time of the last round.
	At time.Time `json:"at"`
	// Problem of all certificates: the configuration of this machine, the volume, the first authority.
	Error   string     `json:"error,omitempty"`
	ErrorAt *time.Time `json:"errorAt,omitempty"`
	// This PoP should stay out of service: its first certificate is on its way, and other PoPs serve visitors until then.
	Held         bool                `json:"held,omitempty"`
	Certificates []CertificateStatus `json:"certificates"`
}

// CertificateStatus is the status of one name.
type CertificateStatus struct {
	Host string `json:"host"`
	// Absent: no authority has issued a certificate yet.
	NotBefore *time.Time `json:"notBefore,omitempty"`
	NotAfter  *time.Time `json:"notAfter,omitempty"`
	Serial    string     `json:"serial,omitempty"`
	// When it will be renewed, as far as is known now.
	RenewAt *time.Time `json:"renewAt,omitempty"`
	// Why there is no certificate, or why it is not renewed.
	Error   string     `json:"error,omitempty"`
	ErrorAt *time.Time `json:"errorAt,omitempty"`
	// When the next attempt is. Absent: soon.
	RetryAt *time.Time `json:"retryAt,omitempty"`
}

// Problems returns the errors of a status, one sentence each. Names with the same reason are listed once.
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

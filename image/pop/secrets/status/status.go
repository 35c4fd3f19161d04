// Package status is the status file that pop-secrets writes for `pop health`. It is a package of its own so that health does not link the sops library.
package status

import "time"

const DefaultFile = "/run/pop/secrets.json"

// Status is what `pop health` reads.
type Status struct {
	Recipient  string     `json:"recipient,omitempty"`
	At         *time.Time `json:"at,omitempty"`
	Generation int        `json:"generation,omitempty"`
	Files      []string   `json:"files,omitempty"`
	Error      string     `json:"error,omitempty"`
	ErrorAt    *time.Time `json:"errorAt,omitempty"`
}

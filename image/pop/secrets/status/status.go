// Package status is the word that pop-secrets leaves for pop health. A package of its own: health shall not link the sops library for a struct.
package status

import "time"

const DefaultFile = "/run/pop/secrets.json"

// Status is what health is told.
type Status struct {
	Recipient  string     `json:"recipient,omitempty"`
	At         *time.Time `json:"at,omitempty"`
	Generation int        `json:"generation,omitempty"`
	Files      []string   `json:"files,omitempty"`
	Error      string     `json:"error,omitempty"`
	ErrorAt    *time.Time `json:"errorAt,omitempty"`
}

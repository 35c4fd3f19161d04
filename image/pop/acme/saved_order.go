package acme

import (
	"time"
)

// savedOrder is the state of a certificate and its order as saved on the volume. A PoP that restarts continues from it.
type savedOrder struct {
	// Directory that issued the current certificate. "": there is none.
	IssuedBy string `json:"issuedBy,omitempty"`
	// Another PoP ordered it, with its own account.
	Taken bool `json:"taken,omitempty"`
	// When the authority wants the current certificate renewed (ARI). nil: not known.
	Window *Window `json:"window,omitempty"`
	// Until then nginx may still serve the self-signed certificate instead of the first issued one. nil: it does not.
	SelfSignedUntil *time.Time `json:"selfSignedUntil,omitempty"`
	// Names of the order in progress. nil: there is none.
	Names     []string `json:"names,omitempty"`
	Directory string   `json:"directory,omitempty"`
	// PEM of the certificate's key.
	Key string `json:"key,omitempty"`
	// URL of the order at the authority. "": not sent yet.
	Location string `json:"location,omitempty"`
	// TXT records that were set and not removed yet, of this order and earlier ones.
	Records []challengeRecord `json:"records,omitempty"`
	// Failed attempts in a row.
	Failures int `json:"failures,omitempty"`
	// No attempt is made before that.
	RetryAt *time.Time `json:"retryAt,omitempty"`
	// Failed validations of the last hour, which authorities count.
	FailedValidations []time.Time `json:"failedValidations,omitempty"`
	// The authority's Retry-After, which applies to requested renewals too. nil: it did not say.
	LeaveAloneUntil *time.Time `json:"leaveAloneUntil,omitempty"`
	// When certificates for these names were issued to this PoP within the last week.
	Issued []time.Time `json:"issued,omitempty"`
	// Why the last attempt failed, and when.
	Error   string     `json:"error,omitempty"`
	ErrorAt *time.Time `json:"errorAt,omitempty"`
}

func (o *savedOrder) clear() { o.Names, o.Directory, o.Key, o.Location = nil, "", "", "" }

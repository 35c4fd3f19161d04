package acme

import (
	"time"
)

// savedOrder is what the volume has of a certificate that is being ordered, or could not be had: a PoP that starts again continues there.
type savedOrder struct {
	// Directory that the certificate in use came from; "": there is none.
	IssuedBy string `json:"issuedBy,omitempty"`
	// Another PoP ordered it, by an account of its own.
	Taken bool `json:"taken,omitempty"`
	// When the authority wants the certificate in use renewed, as far as it was asked. nil: it does not say.
	Window *Window `json:"window,omitempty"`
	// Until then nginx may still serve the self-signed certificate from before the first one. nil: it does not.
	SelfSignedUntil *time.Time `json:"selfSignedUntil,omitempty"`
	// Names of the order in progress; nil: there is none.
	Names     []string `json:"names,omitempty"`
	Directory string   `json:"directory,omitempty"`
	// PEM of the certificate's key.
	Key string `json:"key,omitempty"`
	// URL at the authority; "": not heard of yet.
	Location string `json:"location,omitempty"`
	// TXT records that were set and are not removed yet, of whichever order.
	Records []challengeRecord `json:"records,omitempty"`
	// Attempts in a row that failed.
	Failures int `json:"failures,omitempty"`
	// Nothing is asked of an authority before that.
	RetryAt *time.Time `json:"retryAt,omitempty"`
	// Validations that failed within the last hour, which authorities count.
	FailedValidations []time.Time `json:"failedValidations,omitempty"`
	// Before that the authority wants to be left alone, whoever asks. nil: it did not say.
	LeaveAloneUntil *time.Time `json:"leaveAloneUntil,omitempty"`
	// When certificates for these names were issued to this PoP, within the last week.
	Issued []time.Time `json:"issued,omitempty"`
	// Why the last attempt failed, and when.
	Error   string     `json:"error,omitempty"`
	ErrorAt *time.Time `json:"errorAt,omitempty"`
}

func (o *savedOrder) clear() { o.Names, o.Directory, o.Key, o.Location = nil, "", "", "" }

package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

// Error types, which decide what follows from a failure.

// unavailableError: the authority did not respond, or not like an ACME server. Nothing counts against its rate limits.
type unavailableError struct{ error }

func (e unavailableError) Unwrap() error { return e.error }

// retryAfterError carries the authority's Retry-After.
type retryAfterError struct {
	error
	after time.Duration
}

func (e retryAfterError) Unwrap() error { return e.error }

// lostOrderError: this order cannot be continued, but another may be made.
type lostOrderError struct{ error }

func (e lostOrderError) Unwrap() error { return e.error }

// volumeError: the volume cannot be written to. The order is not the reason, and continues once the volume can be.
type volumeError struct{ error }

func (e volumeError) Unwrap() error { return e.error }

// validationError: a name was not proved, which authorities count.
type validationError struct {
	error
	// It may be caused by a PoP that did not respond for a moment.
	isBrief bool
}

func (e validationError) Unwrap() error { return e.error }

// joined is all errors as one sentence, each text once. nil: there are none.
func joined(errs ...error) error {
	var all error
	seen := map[string]bool{}
	for _, err := range errs {
		switch {
		case err == nil || seen[err.Error()]:
		case all == nil:
			all = err
		default:
			all = fmt.Errorf("%w; %w", all, err)
		}
		if err != nil {
			seen[err.Error()] = true
		}
	}
	return all
}

// unavailable explains why an authority does not respond.
func unavailable(directory string, err error) error {
	host := directory
	if address, problem := url.Parse(directory); problem == nil {
		host = address.Host
	}
	var unknownAuthority x509.UnknownAuthorityError
	if errors.As(err, &unknownAuthority) {
		return unavailableError{fmt.Errorf("the certificate of %s is from a CA that this PoP does not trust: name its root as certificates.acme.trust", host)}
	}
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return unavailableError{fmt.Errorf("the certificate of %s is not valid by the clock of this machine: %s", host, invalid.Detail)}
	}
	// acmez quotes unexpected responses, which may be whole pages.
	return unavailableError{fmt.Errorf("%s: %s", host, oneLine(shortReason(err, exchangeTimeout).Error()))}
}

// shortReason removes the wrapping of Go's network errors.
func shortReason(err error, timeout time.Duration) error {
	var timed interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timed) && timed.Timeout() {
		return fmt.Errorf("no answer in %s", timeout)
	}
	if missing, is := errors.AsType[*net.DNSError](err); is {
		return fmt.Errorf("its name cannot be resolved: %w", dnsReason(missing))
	}
	if wrapped, is := errors.AsType[*url.Error](err); is {
		err = wrapped.Err
	}
	if op, is := errors.AsType[*net.OpError](err); is {
		err = op.Err
	}
	return err
}

// dnsReason leaves out the name server, which is the PoP's own.
func dnsReason(err error) error {
	if missing, is := errors.AsType[*net.DNSError](err); is {
		if missing.IsTimeout {
			return errors.New("no answer from DNS")
		}
		return errors.New(missing.Err)
	}
	return err
}

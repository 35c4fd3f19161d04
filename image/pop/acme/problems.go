package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// Sentences of what goes wrong, and what follows from it.

// away: the authority did not answer, or not as one. Nothing was counted there.
type away struct{ error }

func (it away) Unwrap() error { return it.error }

// later: an answer that says when to come back.
type later struct {
	error
	after time.Duration
}

func (it later) Unwrap() error { return it.error }

// awayFrom says what keeps an authority from answering.
func awayFrom(directory string, err error) error {
	host := directory
	if address, problem := url.Parse(directory); problem == nil {
		host = address.Host
	}
	var unknownAuthority x509.UnknownAuthorityError
	if errors.As(err, &unknownAuthority) {
		return away{fmt.Errorf("the certificate of %s is of an authority that is not known here: name its root as certificates.acme.trust", host)}
	}
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return away{fmt.Errorf("the certificate of %s is not valid by the clock here: %s", host, invalid.Detail)}
	}
	// acmez quotes what it did not expect, and that may be a page.
	return away{fmt.Errorf("%s: %s", host, oneLine(reasonOf(err, exchangePatience).Error()))}
}

// reasonOf leaves out what Go says of itself.
func reasonOf(err error, patience time.Duration) error {
	var timed interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timed) && timed.Timeout() {
		return fmt.Errorf("no answer in %s", patience)
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

// dnsReason leaves out which name server was asked: it is the PoP's own.
func dnsReason(err error) error {
	if missing, is := errors.AsType[*net.DNSError](err); is {
		if missing.IsTimeout {
			return errors.New("no answer from DNS")
		}
		return errors.New(missing.Err)
	}
	return err
}

// sentenceOf an authority's problem: https://www.rfc-editor.org/rfc/rfc8555#section-6.7
func sentenceOf(problem acme.Problem) string {
	kind := strings.TrimPrefix(problem.Type, acme.ProblemTypeNamespace)
	advice := map[string]string{
		"caa":                     "its CAA records forbid this authority: add one that allows it, or remove them",
		"dns":                     "the authority cannot resolve the name: look at its A, AAAA and CAA records, and at DNSSEC",
		"connection":              "the authority does not reach port 80 of the name, though this PoP does: look for a firewall, or for an address that answers here only",
		"incorrectResponse":       "the authority got another answer than this PoP's: something else answers for the name",
		"unauthorized":            "the authority does not let this PoP's account do that",
		"rejectedIdentifier":      "the authority gives no certificate for this name",
		"rateLimited":             "the authority's limit is reached",
		"externalAccountRequired": "the authority wants an account made with it before: name its key as certificates.acme.eab",
		"invalidContact":          "the authority does not take certificates.acme.email",
		"unsupportedContact":      "the authority does not take certificates.acme.email",
		"userActionRequired":      "the authority wants something done by its account's owner",
		"accountDoesNotExist":     "the authority does not know the account of this PoP any more",
		"badNonce":                "the authority refused every nonce it gave",
	}[kind]
	if advice == "" {
		advice = "the authority refused (" + kind + ")"
	}
	text := advice + ": " + oneLine(problem.Detail)
	for _, part := range problem.Subproblems {
		text += fmt.Sprintf("; %s: %s", part.Identifier.Value, oneLine(part.Detail))
	}
	return text
}

const longestDetail = 300

// oneLine: an authority's words go into a status and a log.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.Map(func(char rune) rune {
		if char < ' ' || char == 0x7f {
			return ' '
		}
		return char
	}, text)), " ")
	if len(text) > longestDetail {
		text = text[:longestDetail] + "..."
	}
	return text
}

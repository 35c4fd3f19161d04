package acme

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"fly-pops/pop/internal/resolve"
)

const (
	// From a challenge to its result, and from the last result to the certificate.
	pollTimeout = 90 * time.Second
	// A chain of four with RSA-4096 keys has 8 KB.
	maxResponseSize = 256 << 10
	// If the clock is further off, nothing is ordered: the validity of the certificate would be checked against a wrong time.
	clockTolerance = 10 * time.Minute
)

// exchangeTimeout is for one request and its response. Tests set their own.
var exchangeTimeout = 20 * time.Second

// pollInterval is how often an authority is polled for a result unless it says when. Tests set their own.
var pollInterval = time.Second

// authority is a client for one ACME directory. It uses the PoP's own resolver.
type authority struct {
	directory string
	client    *acme.Client
	http      *http.Client
	now       func() time.Time
	// How names are proved.
	challengeType string
	// The directory as checkDirectory fetched it. nil: not yet.
	checked []byte

	lock sync.Mutex
	// Retry-After of the last failed response, and of the last response. 0: the header was missing.
	retryAfter, lastRetryAfter time.Duration
}

func newAuthority(config *Config, directory string, now func() time.Time) (*authority, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, Time: now}
	if config.CAFile != "" {
		text, err := os.ReadFile(config.CAFile)
		if err != nil {
			return nil, fmt.Errorf("the CA certificates of certificates.acme.trust: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("the CA certificates of certificates.acme.trust: no certificate in %s", config.CAFile)
		}
	}
	ca := &authority{directory: directory, now: now, challengeType: config.challengeType()}
	ca.http = &http.Client{
		Timeout: exchangeTimeout,
		Transport: limitedTransport{ca, &http.Transport{
			TLSClientConfig:        trust,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second, Resolver: resolve.By(config.NameServer)}).DialContext,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           1,
			IdleConnTimeout:        5 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		}},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 2 || r.URL.Scheme != "https" {
				return errors.New("too many redirects, or a redirect to plain HTTP")
			}
			return nil
		},
	}
	ca.client = &acme.Client{Directory: directory, HTTPClient: ca.http, UserAgent: "fly-pops", PollInterval: pollInterval, PollTimeout: pollTimeout}
	return ca, nil
}

// checkDirectory checks, before anything is ordered, that the authority responds and that its clock agrees with this machine's.
func (ca *authority) checkDirectory(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, ca.directory, nil)
	if err != nil {
		return err
	}
	response, err := ca.http.Do(request)
	if err != nil {
		return unavailable(ca.directory, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return unavailable(ca.directory, err)
	}
	if response.StatusCode != http.StatusOK {
		return ca.withRetryAfter(unavailableError{fmt.Errorf("%s responds with %d instead of its directory", request.URL.Host, response.StatusCode)})
	}
	var directory acme.Directory
	if json.Unmarshal(text, &directory) != nil || directory.NewOrder == "" {
		return unavailableError{fmt.Errorf("%s responds with something other than its directory", request.URL.Host)}
	}
	if theirs, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		if off := ca.now().Sub(theirs).Abs(); off > clockTolerance {
			return unavailableError{fmt.Errorf("the clock of this machine says %s and that of %s says %s, so no certificate is ordered",
				ca.now().UTC().Format(time.RFC3339), request.URL.Host, theirs.UTC().Format(time.RFC3339))}
		}
	}
	return ca.useDirectory(directory)
}

// useDirectory makes acmez use this directory. acmez keeps a directory for twelve hours by its URL, also one that was wrong, or whose URLs have changed since.
// So the URL gets a fragment for each content, without the random fields that some authorities add: https://community.letsencrypt.org/t/33417
func (ca *authority) useDirectory(directory acme.Directory) error {
	text, err := json.Marshal(directory)
	if err != nil {
		return err
	}
	ca.checked = text
	ca.client.Directory = fmt.Sprintf("%s#%x", ca.directory, sha256.Sum256(text))
	return nil
}

// describe converts an error of acmez to a readable one, of the type that decides when to retry.
func (ca *authority) describe(err error) error {
	if err == nil {
		return nil
	}
	var problem acme.Problem
	if pointer, is := errors.AsType[*acme.Problem](err); is && pointer != nil {
		problem = *pointer
	} else if !errors.As(err, &problem) {
		if known, is := errors.AsType[unavailableError](err); is {
			return known
		}
		return ca.withRetryAfter(unavailable(ca.directory, err))
	}
	sentence := errors.New(problemText(problem, ca.challengeType))
	if problem.Status >= 500 && problem.Type != acme.ProblemTypeRateLimited {
		return ca.withRetryAfter(unavailableError{sentence})
	}
	return ca.withRetryAfter(sentence)
}

func (ca *authority) withRetryAfter(err error) error {
	ca.lock.Lock()
	defer ca.lock.Unlock()
	if ca.retryAfter == 0 {
		return err
	}
	wait := ca.retryAfter
	ca.retryAfter = 0
	return retryAfterError{err, wait}
}

// pollWait is how long to wait after the last response of the authority. 0: it did not say.
func (ca *authority) pollWait() time.Duration {
	ca.lock.Lock()
	defer ca.lock.Unlock()
	return ca.lastRetryAfter
}

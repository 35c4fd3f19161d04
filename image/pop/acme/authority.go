package acme

import (
	"context"
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
	// From a challenge to its verdict, and from the last of them to the certificate.
	pollTimeout = 90 * time.Second
	// A chain of four with RSA-4096 keys has 8 KB.
	maxResponseSize = 256 << 10
	// Orders of a clock that is further off are not made: it would judge the certificate wrongly.
	clockTolerance = 10 * time.Minute
)

// exchangeTimeout is for one request and its response. A test has its own.
var exchangeTimeout = 20 * time.Second

// pollInterval is how often an authority is asked for a verdict where it does not say. A test has its own.
var pollInterval = time.Second

// authority is one ACME directory, reached by the PoP's own resolver.
type authority struct {
	directory string
	client    *acme.Client
	http      *http.Client
	now       func() time.Time
	// How names are proved.
	challengeType string

	lock sync.Mutex
	// Of the last response that was a failure, and of the last response of all. 0: it did not say.
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

// checkDirectory makes sure, before anything is ordered, that the authority answers and that its clock agrees with ours.
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
			return unavailableError{fmt.Errorf("the clock here says %s and that of %s %s: no certificate is ordered by it",
				ca.now().UTC().Format(time.RFC3339), request.URL.Host, theirs.UTC().Format(time.RFC3339))}
		}
	}
	return nil
}

// describe turns an error of acmez into a sentence, and into the type that decides when to try again.
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

// pollWait is how long the authority wants to be left alone after its last response. 0: it did not say.
func (ca *authority) pollWait() time.Duration {
	ca.lock.Lock()
	defer ca.lock.Unlock()
	return ca.lastRetryAfter
}

package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"fly-pops/pop/internal/resolve"
)

const (
	// Of one question and its answer.
	exchangePatience = 20 * time.Second
	// From a challenge to its verdict, and from the last of them to the certificate.
	pollPatience = 90 * time.Second
	// A chain of four with RSA-4096 keys has 8 KB.
	longestExchange = 256 << 10
	// Orders of a clock that is further off are not made: it would judge the certificate wrongly.
	clockTolerance = 10 * time.Minute
)

// pollInterval is how often an authority is asked for a verdict where it does not say. A test has its own.
var pollInterval = time.Second

// authority is one directory, asked by the PoP's own resolver.
type authority struct {
	directory string
	client    *acme.Client
	http      *http.Client
	now       func() time.Time

	lock sync.Mutex
	// Of the last answer that was a failure. 0: it did not say.
	retryAfter time.Duration
}

func newAuthority(config *Config, directory string, now func() time.Time) (*authority, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, Time: now}
	if config.CAFile != "" {
		text, err := os.ReadFile(config.CAFile)
		if err != nil {
			return nil, fmt.Errorf("the authorities of certificates.acme.trust: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("the authorities of certificates.acme.trust: no certificate in %s", config.CAFile)
		}
	}
	it := &authority{directory: directory, now: now}
	it.http = &http.Client{
		Timeout: exchangePatience,
		Transport: bounded{it, &http.Transport{
			TLSClientConfig:        trust,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second, Resolver: resolve.By(config.NameServer)}).DialContext,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           1,
			IdleConnTimeout:        5 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		}},
		CheckRedirect: func(request *http.Request, via []*http.Request) error {
			if len(via) > 2 || request.URL.Scheme != "https" {
				return errors.New("sent elsewhere too often, or to where nothing is encrypted")
			}
			return nil
		},
	}
	it.client = &acme.Client{Directory: directory, HTTPClient: it.http, UserAgent: "fly-pops", PollInterval: pollInterval, PollTimeout: pollPatience}
	return it, nil
}

// bounded reads no answer of any length, and keeps an authority's word on when to come back, which acmez drops with a refused order.
type bounded struct {
	of   *authority
	next http.RoundTripper
}

func (it bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := it.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(response.Body, longestExchange), response.Body}
	if response.StatusCode >= 400 {
		it.of.lock.Lock()
		it.of.retryAfter = retryAfter(response.Header.Get("Retry-After"), it.of.now())
		it.of.lock.Unlock()
	}
	return response, nil
}

// retryAfter has two forms: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// greet asks for the directory: before anything is ordered an authority answers, with a clock like the one here.
func (it *authority) greet(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, it.directory, nil)
	if err != nil {
		return err
	}
	response, err := it.http.Do(request)
	if err != nil {
		return awayFrom(it.directory, err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode != http.StatusOK {
		return it.mayWait(away{fmt.Errorf("%s answers %d where its directory should be", request.URL.Host, response.StatusCode)})
	}
	if theirs, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		if off := it.now().Sub(theirs).Abs(); off > clockTolerance {
			return away{fmt.Errorf("the clock here says %s and that of %s %s: no certificate is ordered by it",
				it.now().UTC().Format(time.RFC3339), request.URL.Host, theirs.UTC().Format(time.RFC3339))}
		}
	}
	return nil
}

// told makes a sentence of what acmez says.
func (it *authority) told(err error) error {
	if err == nil {
		return nil
	}
	var problem acme.Problem
	if pointer, is := errors.AsType[*acme.Problem](err); is && pointer != nil {
		problem = *pointer
	} else if !errors.As(err, &problem) {
		if known, is := errors.AsType[away](err); is {
			return known
		}
		return it.mayWait(awayFrom(it.directory, err))
	}
	sentence := errors.New(sentenceOf(problem))
	if problem.Status >= 500 && problem.Type != acme.ProblemTypeRateLimited {
		return it.mayWait(away{sentence})
	}
	return it.mayWait(sentence)
}

func (it *authority) mayWait(err error) error {
	it.lock.Lock()
	defer it.lock.Unlock()
	if it.retryAfter == 0 {
		return err
	}
	wait := it.retryAfter
	it.retryAfter = 0
	return later{err, wait}
}

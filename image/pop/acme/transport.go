package acme

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"time"
)

// limitedTransport responds with the checked directory to acmez, limits the size of responses, and records their Retry-After header: acmez drops it for a
// rejected order, and otherwise applies it to the machine's clock.
type limitedTransport struct {
	ca   *authority
	next http.RoundTripper
}

func (t limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.ca.checked != nil && r.URL.String() == t.ca.client.Directory {
		header := http.Header{"Content-Type": {"application/json"}}
		return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(bytes.NewReader(t.ca.checked)), Request: r}, nil
	}
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(response.Body, maxResponseSize), response.Body}
	t.ca.lock.Lock()
	defer t.ca.lock.Unlock()
	t.ca.lastRetryAfter = retryAfter(response.Header.Get("Retry-After"), t.ca.now())
	if response.StatusCode >= 400 {
		t.ca.retryAfter = t.ca.lastRetryAfter
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
